//! A schedule and its slots.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use deskhand_jobs::JobId;
use serde::{Deserialize, Serialize};

use crate::base::TenantId;
use crate::db::Text;

crate::id!(
    /// Identifies one schedule.
    ScheduleId, "schedule"
);

/// A text that is not one of the words it may be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not one of {words}")]
pub struct NoWord {
    given: String,
    words: &'static str,
}

/// Defines an enum that is one word in the database and on the wire.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $($(#[$variant_doc])* $variant),+
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $word),+ })
            }
        }

        impl FromStr for $name {
            type Err = NoWord;

            fn from_str(text: &str) -> Result<Self, NoWord> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(NoWord { given: text.to_owned(), words: concat!($($word, " "),+) }),
                }
            }
        }

        crate::sql_text!($name);
    };
}

words!(
    /// What happens to a slot while the job of the slot before has not ended.
    Overlap {
        /// The slot is passed over.
        Skip = "skip",
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
    /// Whether somebody changed it since.
    pub edited: bool,
    /// The cursor: slots up to this instant are dealt with.
    pub last_slot_at: DateTime<Utc>,
    /// When the next slot fires; `None` if there is none.
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
#[derive(Debug, Clone, PartialEq, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct Slot {
    /// The instant by the crontab line.
    pub slot_at: DateTime<Utc>,
    /// What became of it.
    pub outcome: SlotOutcome,
    /// Why it was passed over.
    pub reason: Option<String>,
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
