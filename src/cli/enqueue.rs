//! `deskhand enqueue`.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, Utc};
use clap::{Args, ValueEnum};
use deskhand_jobs::{JobId, Priority, QueueName, outcome};
use serde_json::value::RawValue;

use super::print::Output;
use crate::app::App;
use crate::base::instant;
use crate::dispatch::Relay;
use crate::dispatch::service::NewJob;
use crate::http::JobView;

/// How often a waiting command looks.
const LOOK: Duration = Duration::from_millis(250);

/// Enqueue a job.
#[derive(Debug, Args)]
pub(super) struct Enqueue {
    /// What to do, as in mail.send.
    kind: String,
    /// The arguments, as JSON.
    #[arg(long, value_name = "JSON", default_value = "{}")]
    args: String,
    /// Another queue than the kind's own.
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
    let args = RawValue::from_string(command.args)
        .context("--args is not JSON: give an object such as --args '{\"system\":\"…\"}'")?;
    let new = NewJob {
        kind: command.kind,
        args,
        queue: command.queue,
        priority: command.priority.map(Priority::from),
        run_at: command.run_at,
        max_attempts: command.max_attempts,
        unique: None,
        group: None,
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
