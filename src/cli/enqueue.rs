//! `deskhand enqueue`.

use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, Utc};
use clap::{Args, ValueEnum};
use deskhand_jobs::{Group, GroupKey, JobId, Priority, QueueName, Unique, UniqueUntil, outcome};
use serde_json::value::RawValue;

use super::print::{Output, line};
use crate::app::App;
use crate::base::{Actor, Error, instant};
use crate::dispatch::service::NewJob;
use crate::dispatch::{MOST_AT_ONCE, Many, Relay};
use crate::http::{JobView, Wanted};

/// How often a waiting command looks.
const LOOK: Duration = Duration::from_millis(250);

/// Enqueue a job, or many of a file.
#[derive(Debug, Args)]
pub(super) struct Enqueue {
    /// What to do, as in mail.send.
    #[arg(required_unless_present = "file")]
    kind: Option<String>,
    /// A file with one job on each line, as JSON of the form that the API takes; - reads standard input. Of each 10,000 lines all
    /// jobs are accepted, or none.
    #[arg(
        long, value_name = "FILE",
        conflicts_with_all = ["kind", "args", "queue", "priority", "run_at", "max_attempts", "timeout_ms", "unique", "group", "idempotency_key", "wait"]
    )]
    file: Option<PathBuf>,
    /// The arguments, as JSON.
    #[arg(long, value_name = "JSON", default_value = "{}")]
    args: String,
    /// Another queue than the kind's own, or a remote queue.
    #[arg(long)]
    queue: Option<QueueName>,
    /// Another priority than the kind's own.
    #[arg(long, value_enum)]
    priority: Option<Urgency>,
    /// Not before this instant, as in 2026-11-22T08:00:00Z.
    #[arg(long, value_name = "INSTANT", value_parser = instant::read)]
    run_at: Option<DateTime<Utc>>,
    /// Another number of failures after which the job is dead.
    #[arg(long, value_name = "N")]
    max_attempts: Option<u32>,
    /// Another time limit than the kind's own.
    #[arg(long, value_name = "MS")]
    timeout_ms: Option<u64>,
    /// A key of which there may be one job that has not ended; a second one is not taken.
    #[arg(long, value_name = "KEY")]
    unique: Option<String>,
    /// A group whose limits it shares.
    #[arg(long, value_name = "KEY")]
    group: Option<GroupKey>,
    /// The same request under the same key is the same job.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Wait until the job has ended; fail unless it succeeded. A worker has to run somewhere.
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Urgency {
    Critical,
    High,
    Normal,
    Low,
}

impl From<Urgency> for Priority {
    fn from(urgency: Urgency) -> Self {
        match urgency {
            Urgency::Critical => Self::Critical,
            Urgency::High => Self::High,
            Urgency::Normal => Self::Normal,
            Urgency::Low => Self::Low,
        }
    }
}

pub(super) async fn run(command: Enqueue, app: &App) -> anyhow::Result<()> {
    if let Some(file) = &command.file {
        return many(file, app, command.output).await;
    }
    let args = RawValue::from_string(command.args)
        .context("--args is not JSON: give an object such as --args '{\"system\":\"…\"}'")?;
    let new = NewJob {
        kind: command.kind.unwrap_or_default(),
        args,
        queue: command.queue,
        priority: command.priority.map(Priority::from),
        run_at: command.run_at,
        max_attempts: command.max_attempts,
        timeout_ms: command.timeout_ms,
        unique: command.unique.map(|key| Unique::new(key, UniqueUntil::Finished)),
        group: command.group.map(Group::new),
        idempotency_key: command.idempotency_key,
    };
    let tenant = app.tenant();
    let id = app.jobs.enqueue(&app.actor(), new).await?.entry.id;
    send_off(app).await;
    if !command.wait {
        let view = JobView::from(app.jobs.get(&tenant, id).await?);
        return command.output.one(&view, || id.to_string());
    }
    let view = ended(app, id).await?;
    command.output.one(&view, || format!("{id} {}", view.state))?;
    let reason = view.last_error.as_deref().unwrap_or("no reason was given");
    anyhow::ensure!(view.state == "succeeded", "job {id} is {}: {reason}", view.state);
    Ok(())
}

/// Enqueues the jobs of a file, a line each, and prints their ids in the same order.
async fn many(file: &Path, app: &App, output: Output) -> anyhow::Result<()> {
    let reader: Box<dyn BufRead> = if file == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        let opened = std::fs::File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
        Box::new(std::io::BufReader::new(opened))
    };
    let mut jobs: Vec<(usize, NewJob)> = Vec::new();
    for (n, text) in reader.lines().enumerate() {
        let text = text.with_context(|| format!("cannot read line {} of {}", n + 1, file.display()))?;
        if text.trim().is_empty() {
            continue;
        }
        let wanted: Wanted =
            serde_json::from_str(&text).with_context(|| format!("line {} is no job; nothing was enqueued", n + 1))?;
        jobs.push((n + 1, NewJob::from(wanted)));
    }
    let actor = Actor::terminal(app.tenant());
    let mut ids = Vec::with_capacity(jobs.len());
    while !jobs.is_empty() {
        let rest = jobs.split_off(jobs.len().min(MOST_AT_ONCE));
        let (lines, part): (Vec<usize>, Vec<NewJob>) = std::mem::replace(&mut jobs, rest).into_iter().unzip();
        let Many { ids: accepted } = app
            .jobs
            .enqueue_many(&actor, part)
            .await
            .map_err(|error| by_line(error, &lines))
            .with_context(|| format!("{} jobs of lines before {} were enqueued", ids.len(), lines[0]))?;
        ids.extend(accepted);
    }
    send_off(app).await;
    if output.is_json() {
        return output.one(&Many { ids }, String::new);
    }
    ids.iter().try_for_each(|id| line(&id.to_string()))
}

/// Names lines where the service names places: `/jobs/17/kind`.
fn by_line(error: Error, lines: &[usize]) -> anyhow::Error {
    let Error::Invalid(fields) = error else { return error.into() };
    let named = fields.into_iter().map(|field| {
        let (place, rest) =
            field.pointer.strip_prefix("/jobs/").unwrap_or_default().split_once('/').unwrap_or_default();
        match place.parse().ok().and_then(|place: usize| lines.get(place)) {
            Some(line) => format!("line {line}: /{rest}: {}", field.message),
            None => field.message,
        }
    });
    anyhow::anyhow!(named.collect::<Vec<_>>().join("\n"))
}

/// Brings the job to the queue at once. The job is accepted already: if this fails, a relay does it later.
pub(super) async fn send_off(app: &App) {
    let relay = Relay::new(app.db.clone(), Arc::clone(&app.queue));
    if let Err(error) = relay.push_due().await {
        tracing::warn!(error = outcome::chain(&error), "the job is accepted, but waits until the queue answers");
    }
}

async fn ended(app: &App, id: JobId) -> anyhow::Result<JobView> {
    loop {
        let view = JobView::from(app.jobs.get(&app.tenant(), id).await?);
        if matches!(view.state, "succeeded" | "dead" | "cancelled") {
            return Ok(view);
        }
        tokio::time::sleep(LOOK).await;
    }
}
