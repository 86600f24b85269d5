//! `deskhand workers`.

use clap::Subcommand;

use super::print::{Output, at, or_dash};
use crate::app::App;
use crate::http::WorkerView;

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
    let workers: Vec<WorkerView> = app.queue.workers().await?.into_iter().map(WorkerView::from).collect();
    output.rows(&workers, ["WORKER", "NAME", "QUEUES", "CONCURRENCY", "OVER HTTP", "STARTED"], |worker| {
        [
            worker.id.to_string(),
            worker.name.clone(),
            worker.queues.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
            worker.concurrency.to_string(),
            (if worker.remote { "yes" } else { "-" }).to_owned(),
            or_dash(worker.started_at.map(at)),
        ]
    })
}
