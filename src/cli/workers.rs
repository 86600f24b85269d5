//! `deskhand workers`.

use clap::Subcommand;

use super::print::{Output, instant};
use crate::app::App;

#[derive(Debug, Subcommand)]
pub(super) enum Workers {
    /// Show the workers that are alive.
    List {
        #[command(flatten)]
        output: Output,
    },
}

pub(super) async fn run(command: Workers, app: &App) -> anyhow::Result<()> {
    let Workers::List { output } = command;
    output.rows(&app.queue.workers().await?, ["WORKER", "NAME", "QUEUES", "CONCURRENCY", "STARTED"], |worker| {
        [
            worker.id.to_string(),
            worker.name.clone(),
            worker.queues.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
            worker.concurrency.to_string(),
            instant(worker.started_at_ms),
        ]
    })
}
