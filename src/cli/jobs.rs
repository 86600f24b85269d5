//! `deskhand jobs`.

use clap::{Args, Subcommand};
use deskhand_jobs::queue::Cancelled;
use deskhand_jobs::{BatchId, JobId, Kind, QueueName};

use super::enqueue::send_off;
use super::print::{Output, at, line, or_dash, short};
use crate::app::App;
use crate::base::PageRequest;
use crate::dispatch::ledger::Filter;
use crate::dispatch::{Place, Reason};
use crate::http::JobView;

#[derive(Debug, Subcommand)]
pub(super) enum Jobs {
    /// Show jobs, the latest first.
    List(List),
    /// Show one job with everything that is known of it.
    Show {
        /// The job.
        id: JobId,
        #[command(flatten)]
        output: Output,
    },
    /// Say why a job is not running now.
    Explain {
        /// The job.
        id: JobId,
        #[command(flatten)]
        output: Output,
    },
    /// Run a job now that waits for its time, or a dead one again.
    Retry {
        /// The job.
        id: JobId,
    },
    /// End a job that waits; ask one that runs to stop.
    Cancel {
        /// The job.
        id: JobId,
    },
    /// Give up a dead job.
    Discard {
        /// The job.
        id: JobId,
    },
}

/// Show jobs, the latest first.
#[derive(Debug, Args)]
pub(super) struct List {
    /// Only those that are waiting, pending, scheduled, ready, running, succeeded, dead or cancelled.
    #[arg(long)]
    state: Option<Place>,
    /// Only the members of a batch: the id of the job that closes it.
    #[arg(long)]
    batch: Option<BatchId>,
    /// Walk through scheduled, ready or running jobs, however many they are: "" at first, then what the page before says.
    #[arg(long, conflicts_with = "page")]
    cursor: Option<String>,
    #[command(flatten)]
    narrow: Narrow,
}

/// What every list of jobs can be narrowed by.
#[derive(Debug, Args)]
pub(super) struct Narrow {
    /// Only those of a kind.
    #[arg(long)]
    kind: Option<Kind>,
    /// Only those of a queue.
    #[arg(long)]
    queue: Option<QueueName>,
    /// The page; the first is 1.
    #[arg(long)]
    page: Option<u64>,
    /// How many a page has.
    #[arg(long)]
    size: Option<u64>,
    #[command(flatten)]
    output: Output,
}

pub(super) async fn run(command: Jobs, app: &App) -> anyhow::Result<()> {
    let tenant = app.tenant();
    match command {
        Jobs::List(List { state, batch, cursor: Some(cursor), narrow }) => {
            walk(app, state, narrow, Filter { batch, ..Filter::default() }, &cursor).await
        }
        Jobs::List(List { state, batch, cursor: None, narrow }) => {
            list(app, state, narrow, Filter { batch, ..Filter::default() }).await
        }
        Jobs::Show { id, output } => {
            let view = JobView::from(app.jobs.get(&tenant, id).await?);
            output.one(&view, || describe(&view))
        }
        Jobs::Explain { id, output } => {
            let reasons = app.jobs.explain(&tenant, id).await?;
            let text = |reason: &Reason| format!("{}: {}", reason.code, reason.text);
            output.one(&reasons, || reasons.iter().map(text).collect::<Vec<_>>().join("\n"))
        }
        Jobs::Retry { id } => {
            app.jobs.retry(&app.actor(), id).await?;
            send_off(app).await;
            line(&format!("job {id} runs as soon as a worker takes it"))
        }
        Jobs::Cancel { id } => match app.jobs.cancel(&app.actor(), id, "cancelled on the command line").await? {
            Cancelled::Asked => line(&format!("job {id} runs and was asked to stop")),
            Cancelled::Ended | Cancelled::AlreadyEnded | Cancelled::Unknown => line(&format!("job {id} is cancelled")),
        },
        Jobs::Discard { id } => {
            let gone = app.jobs.discard(&app.actor(), &[id], "discarded on the command line").await?;
            if gone.is_empty() {
                let state = app.jobs.get(&tenant, id).await?.entry.state;
                anyhow::bail!("job {id} is {state} and not dead: `deskhand jobs cancel {id}` ends it");
            }
            line(&format!("job {id} is given up"))
        }
    }
}

/// Prints a page of jobs, of those that `like` names.
pub(super) async fn list(app: &App, place: Option<Place>, narrow: Narrow, like: Filter) -> anyhow::Result<()> {
    let Narrow { kind, queue, page, size, output } = narrow;
    let page = PageRequest::new(page, size)?;
    let filter = Filter { kind, queue, ..like };
    let views = JobView::list(app, &app.tenant(), place, filter, page).await?;
    rows(output, &views.items)
}

/// Prints a page of jobs that the queues have, and the cursor of the next one.
async fn walk(app: &App, place: Option<Place>, narrow: Narrow, like: Filter, cursor: &str) -> anyhow::Result<()> {
    let Narrow { kind, queue, page, size, output } = narrow;
    let page = PageRequest::new(page, size)?;
    let filter = Filter { kind, queue, ..like };
    let walked = JobView::walk(app, &app.tenant(), place, filter, cursor, page).await?;
    if output.is_json() {
        return output.one(&walked, String::new);
    }
    rows(output, &walked.data)?;
    walked.next.map_or(Ok(()), |next| line(&format!("there may be more: --cursor {next}")))
}

fn rows(output: Output, views: &[JobView]) -> anyhow::Result<()> {
    output.rows(views, ["ID", "KIND", "QUEUE", "STATE", "FAILURES", "CREATED", "ERROR"], |job| {
        [
            job.id.to_string(),
            job.kind.to_string(),
            job.queue.to_string(),
            job.state.to_owned(),
            format!("{}/{}", job.failures, job.max_attempts),
            at(job.created_at),
            short(job.last_error.as_deref().unwrap_or("-"), 80),
        ]
    })
}

fn describe(job: &JobView) -> String {
    let mut rows = vec![
        ("id", job.id.to_string()),
        ("kind", job.kind.to_string()),
        ("args", job.args.get().to_owned()),
        ("tenant", job.tenant.to_string()),
        ("queue", job.queue.to_string()),
        ("state", job.state.to_owned()),
        ("batch", or_dash(job.batch.as_ref())),
        ("created", at(job.created_at)),
        ("run at", at(job.run_at)),
        ("failures", format!("{} of {} allowed", job.failures, job.max_attempts)),
        ("recoveries", job.recoveries.to_string()),
        ("hand-backs", job.hand_backs.to_string()),
        ("generation", job.generation.to_string()),
        ("worker", or_dash(job.worker.as_ref())),
        ("started", or_dash(job.started_at.map(at))),
        ("ended", or_dash(job.ended_at.map(at))),
        ("took", or_dash(job.duration_ms.map(|ms| format!("{ms} ms")))),
    ];
    if let Some(reason) = job.dead_reason {
        rows.push(("dead because", reason.as_str().to_owned()));
    }
    rows.push(("last error", or_dash(job.last_error.as_ref())));
    if let Some(progress) = job.progress {
        let total = progress.total.map(|total| format!(" of {total}")).unwrap_or_default();
        rows.push(("progress", format!("{}{total}", progress.done)));
    }
    if let Some(result) = &job.result {
        rows.push(("result", result.to_string()));
    }
    rows.extend(job.log.iter().map(|note| ("log", format!("{} attempt {}: {}", at(note.at), note.attempt, note.text))));
    rows.iter().map(|(name, value)| format!("{name:<13}{value}")).collect::<Vec<_>>().join("\n")
}
