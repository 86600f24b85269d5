//! A schedule and its slots.

use chrono::{DateTime, Utc};
use deskhand_jobs::JobId;
use serde::Serialize;
use utoipa::ToSchema;

use crate::base::TenantId;
use crate::db::Text;
use crate::dispatch::words::words;

crate::id!(
    /// Identifies one schedule.
    ScheduleId, "schedule"
);

words!(
    /// What happens to a slot while the job of the slot before has not ended.
    Overlap {
        /// The slot is passed over.
        Skip = "skip",
        /// The slot waits until that job has ended. Only one waits: a later one takes its place.
        Queue = "queue",
        /// The slot fires all the same.
        Allow = "allow",
    }
);

words!(
    /// What happens to slots that nobody fired in time, because no scheduler ran.
    CatchUp {
        /// The latest one fires.
        Latest = "latest",
        /// The latest ones fire, up to a number. Only for schedules whose jobs may overlap.
        All = "all",
        /// None fires.
        None = "none",
    }
);

words!(
    /// What became of a slot.
    SlotOutcome {
        /// Its job was enqueued.
        Fired = "fired",
        /// It was passed over; the row says why.
        Skipped = "skipped",
        /// It waits until the job of the slot before has ended.
        Waiting = "waiting",
        /// It waits until a freeze window ends.
        Deferred = "deferred",
    }
);

/// A schedule.
#[derive(Debug, Clone, PartialEq, Serialize, sqlx::FromRow)]
pub struct Schedule {
    /// The schedule.
    pub id: ScheduleId,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// Its name, for people.
    pub name: String,
    /// What its jobs do.
    pub kind: String,
    /// Their arguments, as JSON text.
    pub args: String,
    /// When it is due: a crontab line of five fields, or `@every 5m` and its like.
    pub cron: String,
    /// The time zone in which the line is read.
    pub zone: String,
    /// How long at most a slot is delayed, in milliseconds, to spread what would start at once.
    pub jitter_ms: i64,
    /// What happens while the last job runs.
    pub overlap: Overlap,
    /// What happens to missed slots.
    pub catch_up: CatchUp,
    /// How many missed slots fire with [`CatchUp::All`].
    pub catch_up_max: i64,
    /// Whether it exists for the scheduler at all.
    pub enabled: bool,
    /// Whether somebody paused it.
    pub paused: bool,
    /// When the pause ends by itself; `None` is never.
    pub paused_until: Option<DateTime<Utc>>,
    /// Why it is paused.
    pub pause_reason: Option<String>,
    /// Whether it comes from the configuration.
    pub declared: bool,
    /// Whether somebody changed it since, or made it.
    pub edited: bool,
    /// What the configuration says of it, as JSON; `None` if it is declared no more, or never was.
    pub declaration: Option<String>,
    /// The cursor: slots up to this instant are dealt with.
    pub last_slot_at: DateTime<Utc>,
    /// The slot that waits for the job before it or for the end of a freeze window. There is never more than one.
    pub held_slot_at: Option<DateTime<Utc>>,
    /// Until when it waits; `None` is until the job before it has ended.
    pub held_until: Option<DateTime<Utc>>,
    /// When a slot fires next; `None` if there is none.
    pub next_at: Option<DateTime<Utc>>,
    /// The job of the last slot that fired.
    #[serde(serialize_with = "as_text")]
    pub last_job_id: Option<Text<JobId>>,
    /// Why the last slot could not fire, if it could not.
    pub last_error: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// Counts the changes.
    pub version: i64,
}

/// What became of one slot.
#[derive(Debug, Clone, PartialEq, Serialize, sqlx::FromRow, ToSchema)]
pub struct Slot {
    /// The instant by the crontab line.
    pub slot_at: DateTime<Utc>,
    /// What became of it.
    pub outcome: SlotOutcome,
    /// Why it was passed over, or for what it waits.
    pub reason: Option<String>,
    /// The name of the freeze window that skipped or deferred it.
    pub freeze_window: Option<String>,
    /// Until when that window deferred it.
    pub deferred_until: Option<DateTime<Utc>>,
    /// Its job.
    #[serde(serialize_with = "as_text")]
    #[schema(value_type = Option<JobId>)]
    pub job_id: Option<Text<JobId>>,
    /// When it was dealt with.
    pub created_at: DateTime<Utc>,
}

#[allow(clippy::ref_option, reason = "serde calls it so")]
fn as_text<S: serde::Serializer>(id: &Option<Text<JobId>>, serializer: S) -> Result<S::Ok, S::Error> {
    id.map(|id| id.0).serialize(serializer)
}
