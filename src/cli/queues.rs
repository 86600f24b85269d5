//! `deskhand queues`.

use clap::Subcommand;
use deskhand_jobs::QueueName;

use super::print::{Output, line};
use crate::app::App;
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
    }
}
