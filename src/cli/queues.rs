//! `deskhand queues`.

use std::sync::Arc;

use clap::Subcommand;
use deskhand_jobs::QueueName;
use deskhand_jobs::queue::{Audit, Drift};
use serde::Serialize;

use super::print::{Output, line, or_dash};
use crate::app::App;
use crate::dispatch::Auditor;
use crate::http::find_queue;

#[derive(Debug, Subcommand)]
pub(super) enum Queues {
    /// Show the queues and how full they are.
    List {
        #[command(flatten)]
        output: Output,
    },
    /// Stop handing out jobs of a queue; what runs goes on.
    Pause {
        /// The queue.
        queue: QueueName,
    },
    /// Hand out jobs of a queue again.
    Resume {
        /// The queue.
        queue: QueueName,
    },
    /// Prove that each job is in exactly one place; shows what is not so. The scheduler does it every ten minutes, with repair.
    Audit {
        /// Repair what is not so: a job that is nowhere becomes ready, what is left of jobs that are gone is removed.
        #[arg(long)]
        repair: bool,
        #[command(flatten)]
        output: Output,
    },
}

/// A contradiction and where it was found.
#[derive(Serialize)]
struct Found {
    queue: QueueName,
    #[serde(flatten)]
    drift: Drift,
}

pub(super) async fn run(command: Queues, app: &App) -> anyhow::Result<()> {
    match command {
        Queues::List { output } => {
            let heads = ["QUEUE", "PAUSED", "READY", "SCHEDULED", "RUNNING", "DEAD", "SUCCEEDED", "FAILED"];
            output.rows(&app.queue.queues().await?, heads, |queue| {
                [
                    queue.name.to_string(),
                    if queue.paused { "yes" } else { "no" }.to_owned(),
                    queue.ready.to_string(),
                    queue.scheduled.to_string(),
                    queue.running.to_string(),
                    queue.dead.to_string(),
                    queue.succeeded_total.to_string(),
                    queue.failed_total.to_string(),
                ]
            })
        }
        Queues::Pause { queue } => {
            find_queue(app, &queue).await?;
            app.queue.pause(&queue).await?;
            line(&format!("queue {queue} is paused"))
        }
        Queues::Resume { queue } => {
            find_queue(app, &queue).await?;
            app.queue.resume(&queue).await?;
            line(&format!("queue {queue} hands out jobs"))
        }
        Queues::Audit { repair, output } => {
            let audits = Auditor::new(Arc::clone(&app.queue)).audit_all(repair).await?;
            let found = |(queue, audit): (QueueName, Audit)| {
                audit.drift.into_iter().map(move |drift| Found { queue: queue.clone(), drift })
            };
            let checked: u64 = audits.iter().map(|(_, audit)| audit.checked).sum();
            let found: Vec<Found> = audits.into_iter().flat_map(found).collect();
            if found.is_empty() && !output.is_json() {
                return line(&format!("{checked} jobs, each in exactly one place"));
            }
            output.rows(&found, ["QUEUE", "KIND", "JOB", "WHAT", "REPAIRED"], |Found { queue, drift }| {
                [
                    queue.to_string(),
                    drift.kind.to_string(),
                    or_dash(drift.id),
                    drift.what.clone(),
                    if drift.repaired { "yes" } else { "no" }.to_owned(),
                ]
            })
        }
    }
}
