//! `deskhand remote-queues`.

use clap::Subcommand;
use deskhand_jobs::QueueName;

use super::print::{Output, line, or_dash};
use crate::app::App;
use crate::base::Actor;
use crate::dispatch::remote::RemoteDefaults;
use crate::http::RemoteQueueView;

#[derive(Debug, Subcommand)]
pub(super) enum RemoteQueues {
    /// Show the remote queues and how full they are.
    List {
        #[command(flatten)]
        output: Output,
    },
    /// Declare a remote queue, or declare it otherwise.
    Declare {
        /// The remote queue.
        name: QueueName,
        /// The longest time that an attempt of its jobs may take, unless a job says otherwise.
        #[arg(long, value_name = "MS")]
        timeout_ms: Option<u64>,
        /// The failures after which its jobs are dead, unless a job says otherwise.
        #[arg(long, value_name = "N")]
        max_attempts: Option<u32>,
    },
    /// Forget a remote queue that has no job left.
    Remove {
        /// The remote queue.
        name: QueueName,
    },
}

pub(super) async fn run(command: RemoteQueues, app: &App) -> anyhow::Result<()> {
    let actor = Actor::terminal(app.tenant());
    match command {
        RemoteQueues::List { output } => {
            let queues = RemoteQueueView::list(app, &app.tenant()).await?;
            output.rows(
                &queues,
                ["QUEUE", "READY", "RUNNING", "DEAD", "WORKERS", "TIMEOUT MS", "MAX ATTEMPTS"],
                |queue| {
                    let [ready, running, dead, workers] = queue.counts().map(|count| count.to_string());
                    let RemoteDefaults { timeout_ms, max_attempts } = queue.defaults();
                    [
                        queue.name().to_string(),
                        ready,
                        running,
                        dead,
                        workers,
                        or_dash(timeout_ms),
                        or_dash(max_attempts),
                    ]
                },
            )
        }
        RemoteQueues::Declare { name, timeout_ms, max_attempts } => {
            let defaults = RemoteDefaults { timeout_ms, max_attempts };
            let queue = app.jobs.declare_remote_queue(&actor, name, defaults).await?;
            line(&format!("remote queue {} takes jobs of any kind", queue.name))
        }
        RemoteQueues::Remove { name } => {
            app.jobs.remove_remote_queue(&actor, &name).await?;
            line(&format!("remote queue {name} is no more"))
        }
    }
}
