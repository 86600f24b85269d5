//! `deskhand freezes`.

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};

use super::print::{Output, at, line, or_dash, short};
use crate::app::App;
use crate::base::{Actor, instant};
use crate::dispatch::freezes::{Draft, FreezeWindow, Policy, service};

#[derive(Debug, Subcommand)]
pub(super) enum Freezes {
    /// Show the freeze windows.
    List {
        #[command(flatten)]
        output: Output,
    },
    /// Enter a freeze window: from and until, or a crontab line and minutes.
    Add(Box<Add>),
    /// Take a freeze window out of the calendar.
    Remove {
        /// The name of the window.
        name: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct Add {
    /// Its name.
    name: String,
    /// Why schedules rest.
    #[arg(long)]
    reason: String,
    /// When it begins, as in 2026-11-22T08:00:00Z; with --cron, from when on it opens.
    #[arg(long, value_name = "INSTANT", value_parser = instant::read)]
    from: Option<DateTime<Utc>>,
    /// When it ends; with --cron, until when it opens.
    #[arg(long, value_name = "INSTANT", value_parser = instant::read)]
    until: Option<DateTime<Utc>>,
    /// When it opens again and again, as in "0 22 * * 5".
    #[arg(long, requires = "minutes")]
    cron: Option<String>,
    /// The time zone of the line; UTC.
    #[arg(long, requires = "cron")]
    zone: Option<String>,
    /// For how many minutes it opens by its line.
    #[arg(long, value_name = "N", requires = "cron")]
    minutes: Option<u32>,
    /// A schedule that it covers; may be repeated. Without --schedule and --kind it covers all.
    #[arg(long = "schedule", value_name = "NAME")]
    schedules: Vec<String>,
    /// Kinds of jobs that it covers, as in approvals; may be repeated.
    #[arg(long = "kind", value_name = "KIND")]
    kinds: Vec<String>,
    /// skip passes slots over, defer fires the latest of each schedule when the window ends.
    #[arg(long)]
    policy: Policy,
}

impl From<Add> for Draft {
    fn from(add: Add) -> Self {
        Self {
            name: add.name,
            reason: add.reason,
            starts_at: add.from,
            ends_at: add.until,
            cron: add.cron,
            zone: add.zone,
            duration_ms: add.minutes.map(|minutes| i64::from(minutes) * 60_000),
            schedules: add.schedules,
            kinds: add.kinds,
            policy: add.policy,
            enabled: true,
        }
    }
}

pub(super) async fn run(command: Freezes, app: &App) -> anyhow::Result<()> {
    let (tenant, actor) = (app.tenant(), Actor::terminal(app.tenant()));
    match command {
        Freezes::List { output } => {
            let windows = service::list(&app.db, &tenant).await?;
            output.rows(&windows, ["WINDOW", "FROM", "UNTIL", "OPENS", "COVERS", "POLICY", "ON", "REASON"], |window| {
                let FreezeWindow { draft, .. } = window;
                [
                    draft.name.clone(),
                    or_dash(draft.starts_at.map(at)),
                    or_dash(draft.ends_at.map(at)),
                    opens(draft),
                    covers(draft),
                    draft.policy.to_string(),
                    if draft.enabled { "yes" } else { "no" }.to_owned(),
                    short(&draft.reason, 60),
                ]
            })
        }
        Freezes::Add(add) => {
            let window = service::create(&app.db, &actor, (*add).into()).await?;
            line(&format!("freeze window {} covers {}", window.draft.name, covers(&window.draft)))
        }
        Freezes::Remove { name } => {
            let window = service::by_name(&app.db, &tenant, &name).await?;
            service::remove(&app.db, &actor, window.id).await?;
            line(&format!("freeze window {name} is gone"))
        }
    }
}

fn opens(draft: &Draft) -> String {
    let minutes = draft.duration_ms.unwrap_or_default() / 60_000;
    let zone = draft.zone.as_deref().unwrap_or("UTC");
    or_dash(draft.cron.as_ref().map(|cron| format!("{cron} {zone}, {minutes} min")))
}

fn covers(draft: &Draft) -> String {
    let named: Vec<&str> = draft.schedules.iter().chain(&draft.kinds).map(String::as_str).collect();
    if named.is_empty() { "everything".to_owned() } else { named.join(", ") }
}
