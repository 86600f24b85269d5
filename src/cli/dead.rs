//! `deskhand dead`.

use anyhow::Context;
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use deskhand_jobs::fingerprint::Fingerprint;
use deskhand_jobs::queue::Pace;
use deskhand_jobs::{JobId, Kind, QueueName};
use serde_json::value::RawValue;

use super::enqueue::send_off;
use super::jobs::{Narrow, list};
use super::print::{Output, at, line, or_dash, short};
use crate::app::App;
use crate::base::instant;
use crate::dispatch::ledger::Filter;
use crate::dispatch::{Edit, LedgerState, Place, Redriven};

#[derive(Debug, Subcommand)]
pub(super) enum Dead {
    /// Show the dead jobs, the latest first.
    List(List),
    /// Show what the dead jobs died of, the most frequent error first.
    Groups {
        #[command(flatten)]
        output: Output,
    },
    /// Run dead jobs again, with all their attempts.
    Redrive(Redrive),
    /// Give a dead job other arguments, with which it runs when it is redriven.
    Edit {
        /// The job.
        id: JobId,
        /// The arguments, as JSON.
        #[arg(long, value_name = "JSON")]
        args: String,
    },
}

/// Show the dead jobs, the latest first.
#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    narrow: Narrow,
    /// Only those that died of the same error, as `deskhand dead groups` shows it.
    #[arg(long)]
    group: Option<Fingerprint>,
    /// Only those that died at this instant or later, as in 2026-11-22T08:00:00Z.
    #[arg(long, value_name = "INSTANT", value_parser = instant::read)]
    after: Option<DateTime<Utc>>,
    /// Only those that died before this instant.
    #[arg(long, value_name = "INSTANT", value_parser = instant::read)]
    before: Option<DateTime<Utc>>,
}

/// Run dead jobs again, with all their attempts.
#[derive(Debug, Args)]
pub(super) struct Redrive {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    speed: Speed,
}

#[derive(Debug, Args)]
#[group(id = "which", required = true, multiple = true)]
struct Which {
    /// The jobs.
    #[arg(conflicts_with_all = ["kind", "queue", "group", "after", "before", "all"])]
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
    /// All that died at this instant or later, as in 2026-11-22T08:00:00Z.
    #[arg(long, value_name = "INSTANT", value_parser = instant::read)]
    after: Option<DateTime<Utc>>,
    /// All that died before this instant.
    #[arg(long, value_name = "INSTANT", value_parser = instant::read)]
    before: Option<DateTime<Utc>>,
    /// All.
    #[arg(long)]
    all: bool,
}

#[derive(Debug, Args)]
struct Speed {
    /// No more than so many each second; without it, all at once.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    per_second: Option<u32>,
    /// One after another, so many milliseconds apart.
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "per_second")]
    spacing_ms: Option<u64>,
}

impl Speed {
    fn pace(&self) -> Pace {
        let apart = self.spacing_ms.map(Pace::every);
        self.per_second.map(Pace::per_second).or(apart).unwrap_or(Pace::NOW)
    }
}

pub(super) async fn run(command: Dead, app: &App) -> anyhow::Result<()> {
    match command {
        Dead::List(List { narrow, group, after, before }) => {
            let like = Filter { fingerprint: group, ended_after: after, ended_before: before, ..Filter::default() };
            list(app, Some(Place::Ledger(LedgerState::Dead)), narrow, like).await
        }
        Dead::Groups { output } => groups(app, output).await,
        Dead::Redrive(command) => redrive(app, command).await,
        Dead::Edit { id, args } => {
            let args = RawValue::from_string(args)
                .context("--args is not JSON: give an object such as --args '{\"system\":\"…\"}'")?;
            app.jobs.edit(&app.actor(), id, Edit { args, version: None }).await?;
            line(&format!("job {id} has other arguments: `deskhand dead redrive {id}` runs it"))
        }
    }
}

async fn redrive(app: &App, Redrive { which, speed }: Redrive) -> anyhow::Result<()> {
    let (actor, pace) = (app.actor(), speed.pace());
    let Which { ids, kind, queue, group, after, before, all: _ } = which;
    let asked = ids.len();
    let Redriven { redriven, more } = if ids.is_empty() {
        let like =
            Filter { kind, queue, fingerprint: group, ended_after: after, ended_before: before, ..Filter::default() };
        app.jobs.redrive_like(&actor, like, pace).await?
    } else {
        Redriven { redriven: app.jobs.redrive_paced(&actor, &ids, pace).await?, more: false }
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
        line("more are dead: repeat the command when these have run")?;
    }
    Ok(())
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
