//! `deskhand schedules`.

use chrono::{DateTime, Utc};
use clap::Subcommand;

use super::enqueue::send_off;
use super::print::{Output, at, line, or_dash, short};
use crate::app::App;
use crate::base::instant;
use crate::dispatch::schedules::service;
use crate::http::ScheduleView;

#[derive(Debug, Subcommand)]
pub(super) enum Schedules {
    /// Show the schedules and when they fire next.
    List {
        #[command(flatten)]
        output: Output,
    },
    /// Enqueue a job of a schedule now; its slots are not disturbed.
    Run {
        /// The schedule.
        name: String,
    },
    /// Stop a schedule from firing.
    Pause {
        /// The schedule.
        name: String,
        /// Why, for who finds it paused.
        #[arg(long, default_value = "paused on the command line")]
        reason: String,
        /// When the pause ends by itself, as in 2026-11-22T08:00:00Z.
        #[arg(long, value_name = "INSTANT", value_parser = instant::read)]
        until: Option<DateTime<Utc>>,
    },
    /// Let a schedule fire again.
    Resume {
        /// The schedule.
        name: String,
    },
    /// Show when a schedule fires.
    Next {
        /// The schedule.
        name: String,
        /// How many times.
        #[arg(long, default_value_t = 5)]
        count: usize,
        #[command(flatten)]
        output: Output,
    },
}

pub(super) async fn run(command: Schedules, app: &App) -> anyhow::Result<()> {
    let tenant = app.tenant();
    match command {
        Schedules::List { output } => {
            let schedules = service::list(&app.db, &tenant).await?;
            let views: Vec<ScheduleView> = schedules.into_iter().map(ScheduleView::from).collect();
            output.rows(&views, ["SCHEDULE", "KIND", "CRON", "ZONE", "STATE", "NEXT", "ERROR"], |schedule| {
                [
                    schedule.name.clone(),
                    schedule.kind.clone(),
                    schedule.cron.clone(),
                    schedule.zone.clone(),
                    state(schedule).to_owned(),
                    or_dash(schedule.next_at.map(at)),
                    short(schedule.last_error.as_deref().unwrap_or("-"), 60),
                ]
            })
        }
        Schedules::Run { name } => {
            let id = service::run_now(&app.db, &app.registry, &tenant, &name).await?;
            send_off(app).await;
            line(&id.to_string())
        }
        Schedules::Pause { name, reason, until } => {
            service::pause(&app.db, &tenant, &name, &reason, until).await?;
            let end =
                until.map_or_else(|| "until somebody resumes it".to_owned(), |until| format!("until {}", at(until)));
            line(&format!("schedule {name} is paused {end}"))
        }
        Schedules::Resume { name } => {
            let schedule = service::resume(&app.db, &tenant, &name).await?;
            line(&format!("schedule {name} fires next at {}", or_dash(schedule.next_at.map(at))))
        }
        Schedules::Next { name, count, output } => {
            let fires = service::next_fires(&app.db, &tenant, &name, count).await?;
            output.one(&fires, || match fires.as_slice() {
                [] => "never: it is paused, switched off or has no further time".to_owned(),
                fires => fires.iter().copied().map(at).collect::<Vec<_>>().join("\n"),
            })
        }
    }
}

fn state(schedule: &ScheduleView) -> &'static str {
    match (schedule.enabled, schedule.paused) {
        (false, _) => "off",
        (true, true) => "paused",
        (true, false) => "on",
    }
}
