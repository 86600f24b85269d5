//! `deskhand schedules`.

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use super::enqueue::send_off;
use super::print::{Output, at, line, or_dash, short};
use crate::app::App;
use crate::base::{Actor, instant};
use crate::dispatch::freezes::Policy;
use crate::dispatch::schedules::{CatchUp, Definition, Edit, Fire, Night, Overlap, Schedule, service};
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
    /// Show when a schedule fires, and what clocks and freeze windows do to it.
    Next {
        /// The schedule.
        name: String,
        /// How many times.
        #[arg(long, default_value_t = 20)]
        count: usize,
        #[command(flatten)]
        output: Output,
    },
    /// Make a schedule that the configuration does not know.
    Add {
        /// Its name: letters, digits and '.', '_', '-'.
        name: String,
        /// What its jobs do.
        #[arg(long)]
        kind: String,
        #[command(flatten)]
        settings: Box<Settings>,
    },
    /// Change a schedule; what is not named stays.
    Edit {
        /// The schedule.
        name: String,
        #[command(flatten)]
        settings: Box<Settings>,
    },
    /// Bring an edited schedule back to what the configuration declares.
    Reset {
        /// The schedule.
        name: String,
    },
    /// Remove a schedule that the configuration does not declare.
    Remove {
        /// The schedule.
        name: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct Settings {
    /// When it is due: a crontab line of five fields, or "@every 5m".
    #[arg(long)]
    cron: Option<String>,
    /// The time zone of the line.
    #[arg(long)]
    zone: Option<String>,
    /// The arguments of its jobs, as a JSON object.
    #[arg(long, value_name = "JSON", value_parser = object)]
    args: Option<Map<String, Value>>,
    /// How long at most a slot is delayed, in milliseconds.
    #[arg(long, value_name = "MS")]
    jitter_ms: Option<u32>,
    /// While the last job has not ended: skip, queue or allow.
    #[arg(long)]
    overlap: Option<Overlap>,
    /// What happens to missed slots: latest, all or none.
    #[arg(long)]
    catch_up: Option<CatchUp>,
    /// How many missed slots fire with all.
    #[arg(long, value_name = "N")]
    catch_up_max: Option<u32>,
    /// Whether it runs: true or false.
    #[arg(long)]
    enabled: Option<bool>,
}

impl From<Settings> for Edit {
    fn from(settings: Settings) -> Self {
        let Settings { cron, zone, args, jitter_ms, overlap, catch_up, catch_up_max, enabled } = settings;
        Self { args, cron, zone, jitter_ms, overlap, catch_up, catch_up_max, enabled }
    }
}

fn object(text: &str) -> Result<Map<String, Value>, String> {
    serde_json::from_str(text).map_err(|error| format!("{error}; give a JSON object, as in {{\"days\": 30}}"))
}

pub(super) async fn run(command: Schedules, app: &App) -> anyhow::Result<()> {
    let (tenant, actor) = (app.tenant(), Actor::terminal(app.tenant()));
    match command {
        Schedules::List { output } => {
            let schedules = service::list(&app.db, &tenant).await?;
            let views: Vec<ScheduleView> =
                schedules.into_iter().map(|schedule| ScheduleView::new(schedule, &app.registry)).collect();
            output.rows(&views, ["SCHEDULE", "KIND", "CRON", "ZONE", "STATE", "NEXT", "ERROR"], |schedule| {
                [
                    schedule.name.clone(),
                    schedule.kind.clone(),
                    schedule.cron.clone(),
                    schedule.zone.clone(),
                    schedule.state_text.to_owned(),
                    or_dash(schedule.next_at.map(at)),
                    short(schedule.last_error.as_deref().unwrap_or("-"), 60),
                ]
            })
        }
        Schedules::Run { name } => {
            let id = service::run_now(&app.db, &app.registry, &actor, &name).await?;
            send_off(app).await;
            line(&id.to_string())
        }
        Schedules::Pause { name, reason, until } => {
            service::pause(&app.db, &actor, &name, &reason, until).await?;
            let end =
                until.map_or_else(|| "until somebody resumes it".to_owned(), |until| format!("until {}", at(until)));
            line(&format!("schedule {name} is paused {end}"))
        }
        Schedules::Resume { name } => fires_next(&service::resume(&app.db, &actor, &name).await?),
        Schedules::Next { name, count, output } => {
            let fires = service::next_fires(&app.db, &tenant, &name, count).await?;
            if fires.is_empty() && !output.is_json() {
                return line("never: it is paused, switched off or has no further time");
            }
            output.rows(&fires, ["FIRES", "LOCAL", "NOTE"], |fire| [at(fire.fire_at), fire.local.clone(), note(fire)])
        }
        Schedules::Add { name, kind, settings } => {
            let cron = settings.cron.clone().ok_or_else(|| anyhow::anyhow!("--cron is missing: say when it is due"))?;
            let definition = Definition::new(kind, cron).with((*settings).into());
            fires_next(&service::create(&app.db, &app.registry, &actor, &name, &definition).await?)
        }
        Schedules::Edit { name, settings } => {
            let seen = service::get(&app.db, &tenant, &name).await?.version;
            fires_next(&service::edit(&app.db, &app.registry, &actor, &name, seen, (*settings).into()).await?)
        }
        Schedules::Reset { name } => fires_next(&service::reset(&app.db, &app.registry, &actor, &name).await?),
        Schedules::Remove { name } => {
            service::remove(&app.db, &actor, &name).await?;
            line(&format!("schedule {name} is gone"))
        }
    }
}

fn fires_next(schedule: &Schedule) -> anyhow::Result<()> {
    let name = &schedule.name;
    match (schedule.enabled, schedule.paused) {
        (false, _) => line(&format!("schedule {name} is switched off")),
        (true, true) => line(&format!("schedule {name} is paused")),
        (true, false) => line(&format!("schedule {name} fires next at {}", or_dash(schedule.next_at.map(at)))),
    }
}

/// What is odd about a time.
fn note(fire: &Fire) -> String {
    let night = fire.night.map(|night| match night {
        Night::Gap => "gap: the clocks skip this time".to_owned(),
        Night::Fold => "fold: the clocks show this time twice".to_owned(),
    });
    let freeze = fire.freeze.as_ref().map(|freeze| match freeze.policy {
        Policy::Skip => format!("skipped by {}", freeze.window),
        Policy::Defer => format!("deferred by {} to {}", freeze.window, at(freeze.until)),
    });
    let notes: Vec<String> = night.into_iter().chain(freeze).collect();
    if notes.is_empty() { "-".to_owned() } else { notes.join("; ") }
}
