//! A schedule as doors show it.

use chrono::{DateTime, Utc};
use deskhand_jobs::{JobId, Registry};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::dispatch::schedules::{CatchUp, Overlap, Schedule, is_known};

/// Whether a schedule fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It fires.
    On,
    /// Somebody switched it off.
    Off,
    /// Somebody paused it.
    Paused,
    /// Its kind is not known to this program.
    UnknownKind,
}

impl State {
    /// Says the state in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
            Self::Paused => "paused",
            Self::UnknownKind => "its kind is not known to this program",
        }
    }
}

/// A schedule as doors show it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Schedule)]
pub struct ScheduleView {
    /// Its name.
    pub name: String,
    /// What its jobs do.
    pub kind: String,
    /// Their arguments.
    #[schema(value_type = Object)]
    pub args: Box<RawValue>,
    /// When it is due: a crontab line of five fields, or `@every 5m` and its like.
    pub cron: String,
    /// The time zone in which the line is read.
    pub zone: String,
    /// How long at most a slot is delayed, in milliseconds.
    pub jitter_ms: i64,
    /// What happens while the last job runs.
    pub overlap: Overlap,
    /// What happens to missed slots.
    pub catch_up: CatchUp,
    /// How many missed slots fire at most.
    pub catch_up_max: i64,
    /// Whether it runs at all.
    pub enabled: bool,
    /// Whether it fires, in one word.
    pub state: State,
    /// The same in words.
    #[schema(value_type = String)]
    pub state_text: &'static str,
    /// Whether somebody paused it.
    pub paused: bool,
    /// When the pause ends by itself.
    pub paused_until: Option<DateTime<Utc>>,
    /// Why it is paused.
    pub pause_reason: Option<String>,
    /// Whether the configuration declares it.
    pub declared: bool,
    /// Whether somebody changed it since, or made it.
    pub edited: bool,
    /// The slot that waits for the job before it, or for the end of a freeze window.
    pub held_slot_at: Option<DateTime<Utc>>,
    /// Until when it waits; null is until the job before it has ended.
    pub held_until: Option<DateTime<Utc>>,
    /// When a slot fires next; null while it is switched off.
    pub next_at: Option<DateTime<Utc>>,
    /// The job of the last slot that fired.
    pub last_job_id: Option<JobId>,
    /// Why the last slot could not fire, if it could not.
    pub last_error: Option<String>,
    /// Counts the changes: who edits it says which one was seen.
    pub version: i64,
}

impl ScheduleView {
    /// Shows a schedule as this program, which knows these kinds, sees it.
    pub fn new(schedule: Schedule, registry: &Registry) -> Self {
        let state = match (is_known(registry, &schedule.kind), schedule.enabled, schedule.paused) {
            (false, ..) => State::UnknownKind,
            (true, false, _) => State::Off,
            (true, true, true) => State::Paused,
            (true, true, false) => State::On,
        };
        Self {
            name: schedule.name,
            kind: schedule.kind,
            // What is no JSON is shown as nothing; `last_error` tells why its slots do not fire.
            args: RawValue::from_string(schedule.args).unwrap_or_default(),
            cron: schedule.cron,
            zone: schedule.zone,
            jitter_ms: schedule.jitter_ms,
            overlap: schedule.overlap,
            catch_up: schedule.catch_up,
            catch_up_max: schedule.catch_up_max,
            enabled: schedule.enabled,
            state,
            state_text: state.words(),
            paused: schedule.paused,
            paused_until: schedule.paused_until,
            pause_reason: schedule.pause_reason,
            declared: schedule.declared,
            edited: schedule.edited,
            held_slot_at: schedule.held_slot_at,
            held_until: schedule.held_until,
            next_at: schedule.next_at.filter(|_| schedule.enabled),
            last_job_id: schedule.last_job_id.map(|id| id.0),
            last_error: schedule.last_error,
            version: schedule.version,
        }
    }
}
