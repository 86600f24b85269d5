//! `deskhand dead`.

use clap::{Args, Subcommand};
use deskhand_jobs::fingerprint::Fingerprint;
use deskhand_jobs::{JobId, Kind, QueueName};

use super::enqueue::send_off;
use super::jobs::{Narrow, list};
use super::print::{Output, at, line, or_dash, short};
use crate::app::App;
use crate::dispatch::ledger::Filter;
use crate::dispatch::{LedgerState, Place};
use crate::http::{Redriven, redrive_like};

#[derive(Debug, Subcommand)]
pub(super) enum Dead {
    /// Show the dead jobs, the latest first.
    List(Narrow),
    /// Show what the dead jobs died of, the most frequent error first.
    Groups {
        #[command(flatten)]
        output: Output,
    },
    /// Run dead jobs again, with all their attempts.
    Redrive(Redrive),
}

/// Run dead jobs again, with all their attempts.
#[derive(Debug, Args)]
#[group(id = "which", required = true, multiple = true)]
pub(super) struct Redrive {
    /// The jobs.
    #[arg(conflicts_with_all = ["kind", "queue", "group", "all"])]
    ids: Vec<JobId>,
    /// All of a kind.
    #[arg(long)]
    kind: Option<Kind>,
    /// All of a queue.
    #[arg(long)]
    queue: Option<QueueName>,
    /// All that died of the same error, as `deskhand dead groups` shows it.
    #[arg(long)]
    group: Option<Fingerprint>,
    /// All.
    #[arg(long)]
    all: bool,
}

pub(super) async fn run(command: Dead, app: &App) -> anyhow::Result<()> {
    match command {
        Dead::List(narrow) => list(app, Some(Place::Ledger(LedgerState::Dead)), narrow).await,
        Dead::Groups { output } => groups(app, output).await,
        Dead::Redrive(Redrive { ids, kind, queue, group, .. }) => {
            let asked = ids.len();
            let Redriven { redriven, more } = if ids.is_empty() {
                redrive_like(app, &app.tenant(), Filter { state: None, kind, queue, fingerprint: group }).await?
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

async fn groups(app: &App, output: Output) -> anyhow::Result<()> {
    let groups = app.jobs.dead_groups(&app.tenant()).await?;
    output.rows(&groups, ["GROUP", "COUNT", "KIND", "REASON", "FIRST", "LAST", "ERROR"], |group| {
        [
            or_dash(group.fingerprint.as_ref()),
            group.count.to_string(),
            group.kind.to_string(),
            or_dash(group.dead_reason.map(deskhand_jobs::queue::DeadReason::as_str)),
            at(group.first_at),
            at(group.last_at),
            short(group.last_error.as_deref().unwrap_or("-"), 80),
        ]
    })
}
