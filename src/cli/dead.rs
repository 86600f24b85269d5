//! `deskhand dead`.

use clap::{Args, Subcommand};
use deskhand_jobs::{JobId, Kind, QueueName};

use super::enqueue::send_off;
use super::jobs::{Narrow, list};
use super::print::line;
use crate::app::App;
use crate::dispatch::{LedgerState, Place};
use crate::http::{Redriven, redrive_like};

#[derive(Debug, Subcommand)]
pub(super) enum Dead {
    /// Show the dead jobs, the latest first.
    List(Narrow),
    /// Run dead jobs again, with all their attempts.
    Redrive(Redrive),
}

/// Run dead jobs again, with all their attempts.
#[derive(Debug, Args)]
#[group(id = "which", required = true, multiple = true)]
pub(super) struct Redrive {
    /// The jobs.
    #[arg(conflicts_with_all = ["kind", "queue", "all"])]
    ids: Vec<JobId>,
    /// All of a kind.
    #[arg(long)]
    kind: Option<Kind>,
    /// All of a queue.
    #[arg(long)]
    queue: Option<QueueName>,
    /// All.
    #[arg(long)]
    all: bool,
}

pub(super) async fn run(command: Dead, app: &App) -> anyhow::Result<()> {
    match command {
        Dead::List(narrow) => list(app, Some(Place::Ledger(LedgerState::Dead)), narrow).await,
        Dead::Redrive(Redrive { ids, kind, queue, .. }) => {
            let asked = ids.len();
            let Redriven { redriven, more } = if ids.is_empty() {
                redrive_like(app, &app.tenant(), kind, queue).await?
            } else {
                Redriven { redriven: app.jobs.redrive(&app.tenant(), &ids).await?, more: false }
            };
            send_off(app).await;
            anyhow::ensure!(
                asked == 0 || !redriven.is_empty(),
                "{asked} jobs were named, and none of them is dead: see `deskhand dead list`"
            );
            if redriven.len() < asked {
                line(&format!("{} of {asked} jobs were dead and run again", redriven.len()))?;
            } else {
                line(&format!("{} jobs run again", redriven.len()))?;
            }
            if more {
                line("more are dead: repeat the command")?;
            }
            Ok(())
        }
    }
}
