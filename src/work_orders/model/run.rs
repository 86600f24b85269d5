//! One run of a synchronisation, whatever number of attempts it takes, and what it came to.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use deskhand_jobs::JobId;
use serde::{Deserialize, Serialize};

use super::words::words;
use super::{Part, Position, SyncLogId, System, SystemId};
use crate::base::TenantId;

words!(
    /// How a run stands.
    RunStatus, "status" {
        /// It goes on, or waits to go on.
        Pending = "pending",
        /// It reached the end and stored everything.
        Success = "success",
        /// It reached the end, and some tickets could not be stored.
        Partial = "partial",
        /// It did not reach the end.
        Failed = "failed",
    }
);

impl RunStatus {
    /// Says whether the run reached the end of its list.
    pub fn is_good(self) -> bool {
        matches!(self, Self::Success | Self::Partial)
    }
}

words!(
    /// What a run does.
    SyncType, "sync type" {
        /// Brings tickets here.
        Sync = "sync",
        /// Brings one ticket here.
        Pull = "pull",
        /// Takes a change there.
        Update = "update",
        /// Looks which tickets are gone.
        Reconcile = "reconcile",
    }
);

/// What became of the tickets of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Counts {
    /// All that came.
    pub fetched: i64,
    /// New here.
    pub created: i64,
    /// Known and different.
    pub updated: i64,
    /// Known and the same.
    pub unchanged: i64,
    /// Not readable or not storable.
    pub failed: i64,
    /// Gone from the system.
    pub deleted: i64,
    /// Words for status or priority that no rule of the system knows; the tickets are stored all the same.
    pub unmapped: i64,
}

impl Counts {
    /// Returns what a run that reached the end came to: what could not be taken is kept, and asked for later.
    pub fn verdict(&self) -> RunStatus {
        if self.failed == 0 { RunStatus::Success } else { RunStatus::Partial }
    }
}

/// The arguments of the job that runs one synchronisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyncSystem {
    /// The system.
    pub system: SystemId,
}

/// A ticket that could not be taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RowError {
    /// Which, as far as that can be told.
    pub external_id: String,
    /// Why.
    pub message: String,
    /// Whether its system can be asked for it by that.
    #[serde(skip)]
    #[schema(ignore)]
    pub can_be_asked_for: bool,
}

impl RowError {
    /// Says why a ticket could not be taken.
    pub fn of(external_id: impl Into<String>, message: impl Into<String>) -> Self {
        Self { external_id: external_id.into(), message: message.into(), can_be_asked_for: true }
    }

    /// Says why a ticket could not be taken that does not say what names it; `known_as` is what it says beside that.
    pub fn nameless(known_as: Option<String>, message: impl Into<String>) -> Self {
        let known_as: String = known_as.unwrap_or_default().chars().take(Self::MAX_NAME_CHARS).collect();
        let external_id = if known_as.is_empty() { "unknown".to_owned() } else { known_as };
        Self { external_id, message: message.into(), can_be_asked_for: false }
    }

    /// How much of what a ticket is known as is kept.
    pub const MAX_NAME_CHARS: usize = 200;
}

/// The record of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncLog {
    /// Its id.
    pub id: SyncLogId,
    /// Whose it is.
    pub tenant: TenantId,
    /// The system.
    pub system: SystemId,
    /// Set if it is the record of one part of the run only.
    pub part: Option<Part>,
    /// The job that runs it: all attempts of the job are one run.
    pub job: JobId,
    /// What it does.
    pub sync_type: SyncType,
    /// How it stands.
    pub status: RunStatus,
    /// What became of the tickets.
    pub counts: Counts,
    /// How many pages were stored.
    pub pages: i64,
    /// How far it has come.
    pub position: Position,
    /// The first tickets that could not be taken.
    pub row_errors: Vec<RowError>,
    /// What stopped it, or the last attempt of it.
    pub error_message: Option<String>,
    /// How often in a row the system asked us to wait, and since when.
    pub waits: i64,
    /// Since when the system has been asking us to wait.
    pub waiting_since: Option<DateTime<Utc>>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// Counts the changes of the row: who changes it proves by the version that nobody else did.
    pub version: i64,
}

impl SyncLog {
    /// The most tickets whose failure is kept with the run.
    pub const MAX_ROW_ERRORS: usize = 20;
    /// How long a system may keep a run waiting.
    pub const LONGEST_WAIT: TimeDelta = TimeDelta::hours(24);

    /// Begins the record of a run.
    pub fn begin(system: &System, job: JobId, now: DateTime<Utc>) -> Self {
        Self {
            id: SyncLogId::new(),
            tenant: system.tenant.clone(),
            system: system.id,
            part: None,
            job,
            sync_type: SyncType::Sync,
            status: RunStatus::Pending,
            counts: Counts::default(),
            pages: 0,
            position: Position::start(system.cursor_at, system.first_window(now)),
            row_errors: Vec::new(),
            error_message: None,
            waits: 0,
            waiting_since: None,
            started_at: now,
            ended_at: None,
            version: 1,
        }
    }

    /// Ends the run.
    pub fn end(&mut self, status: RunStatus, error_message: Option<String>, now: DateTime<Utc>) {
        self.status = status;
        self.error_message = error_message;
        self.ended_at = Some(now);
    }

    /// Goes on with a run, also with one that had failed and whose job somebody gave another chance.
    pub fn resume(&mut self) {
        self.status = RunStatus::Pending;
        self.ended_at = None;
    }

    /// Notes a ticket that could not be taken; once per ticket, because a page may bring it twice.
    pub fn note_row_error(&mut self, error: RowError) {
        if self.row_errors.iter().any(|known| known.external_id == error.external_id) {
            return;
        }
        self.counts.fetched += 1;
        self.counts.failed += 1;
        if self.row_errors.len() < Self::MAX_ROW_ERRORS {
            self.row_errors.push(error);
        }
    }

    /// Notes that the system asked us to wait.
    pub fn note_wait(&mut self, why: String, now: DateTime<Utc>) {
        self.waits += 1;
        self.waiting_since.get_or_insert(now);
        self.error_message = Some(why);
    }

    /// Notes a stored page: what went before it is over.
    pub fn note_page(&mut self) {
        self.pages += 1;
        self.waits = 0;
        self.waiting_since = None;
        self.error_message = None;
    }

    /// Returns the time from begin to end in milliseconds; `None` while it goes on.
    pub fn execution_time_ms(&self) -> Option<i64> {
        self.ended_at.map(|ended| (ended - self.started_at).num_milliseconds().max(0))
    }

    /// Returns how long to wait when the system says "not now"; `None` if it has said so for too long.
    ///
    /// What the system asks for, up to a day, is the least; up to 30 % more keeps callers apart. If it does not say, the wait doubles from 5 s
    /// up to 15 min. `draw` is a random number in `[0, 1)`.
    pub fn wait(&self, asked: Option<Duration>, now: DateTime<Utc>, draw: f64) -> Option<Duration> {
        if self.waiting_since.is_some_and(|since| now - since >= Self::LONGEST_WAIT) {
            return None;
        }
        let own = Duration::from_secs(5 << self.waits.clamp(0, 8)).min(Duration::from_mins(15));
        // Who asks for a century is not believed: after a day we look again.
        let longest = Self::LONGEST_WAIT.to_std().unwrap_or(Duration::MAX);
        let least = asked.unwrap_or(own).min(longest);
        Some(least.saturating_add(least.mul_f64(0.3 * draw.clamp(0.0, 1.0))))
    }
}

#[cfg(test)]
mod tests {
    use super::super::system::tests::system;
    use super::*;

    #[test]
    fn a_run_is_judged_by_its_tickets() {
        for (fetched, failed, expected) in [
            (0, 0, RunStatus::Success),
            (5, 0, RunStatus::Success),
            (5, 2, RunStatus::Partial),
            (5, 5, RunStatus::Partial),
        ] {
            assert_eq!(Counts { fetched, failed, ..Counts::default() }.verdict(), expected, "{failed} of {fetched}");
        }
    }

    #[test]
    fn a_wait_is_at_least_what_was_asked_and_ends_after_a_day() {
        let now = DateTime::UNIX_EPOCH;
        let log =
            |waits, waiting_since| SyncLog { waits, waiting_since, ..SyncLog::begin(&system(), JobId::new(), now) };
        let seconds = |n| Some(Duration::from_secs(n));
        assert_eq!(log(0, None).wait(seconds(7), now, 0.0), seconds(7));
        assert_eq!(log(0, None).wait(seconds(10), now, 1.0), seconds(13));
        assert_eq!(log(0, None).wait(None, now, 0.0), seconds(5));
        assert_eq!(log(3, Some(now)).wait(None, now, 0.0), seconds(40));
        assert_eq!(log(60, Some(now)).wait(None, now, 0.0), seconds(900));
        assert_eq!(log(0, None).wait(Some(Duration::MAX), now, 0.0), seconds(86_400));
        assert_eq!(log(9, Some(now - TimeDelta::hours(24))).wait(seconds(1), now, 0.0), None);
    }
}
