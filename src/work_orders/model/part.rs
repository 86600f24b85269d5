//! Runs in parts: a long list is cut by the dates of changes, each part is read by a job of its own, and the last job sums up.

use std::num::NonZeroU32;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{RunStatus, SyncLog, SyncLogId, SyncPartId};

/// When a run is divided, and into how many parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FanOut {
    /// A run that has so many tickets before it, or more, is divided.
    pub from_tickets: u64,
    /// Into how many parts; 1 never divides.
    pub parts: NonZeroU32,
    /// How many parts of one system are read at once.
    pub at_once: NonZeroU32,
}

impl Default for FanOut {
    fn default() -> Self {
        const PARTS: NonZeroU32 = NonZeroU32::new(8).expect("it is not zero");
        const AT_ONCE: NonZeroU32 = NonZeroU32::new(4).expect("it is not zero");
        Self { from_tickets: 5_000, parts: PARTS, at_once: AT_ONCE }
    }
}

/// What makes the record of a run that of one of its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// The part.
    pub id: SyncPartId,
    /// Its place among the parts, from 1.
    pub number: i64,
    /// Changes from here on are another part's; `None` for the last.
    pub until: Option<DateTime<Utc>>,
}

/// The arguments of the job that reads one part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyncPart {
    /// The part.
    pub part: SyncPartId,
}

/// The arguments of the job that sums up the parts of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloseSync {
    /// The run.
    pub log: SyncLogId,
}

impl SyncLog {
    /// Takes the sums of all parts, in their order, and the position up to which there is no gap. Returns why the run has not reached its
    /// end, if it has not.
    pub fn sum_up(&mut self, parts: &[Self]) -> Option<String> {
        let mut failure = None;
        for (place, part) in parts.iter().enumerate() {
            let (sum, more) = (&mut self.counts, &part.counts);
            sum.fetched += more.fetched;
            sum.created += more.created;
            sum.updated += more.updated;
            sum.unchanged += more.unchanged;
            sum.failed += more.failed;
            sum.deleted += more.deleted;
            sum.unmapped += more.unmapped;
            self.pages += part.pages;
            let room = Self::MAX_ROW_ERRORS.saturating_sub(self.row_errors.len());
            self.row_errors.extend(part.row_errors.iter().take(room).cloned());
            // What follows a gap is not lost, it is stored; only the next run begins before it.
            if failure.is_none() && part.position.mark >= self.position.mark {
                self.position = part.position.clone();
            }
            if !part.status.is_good() && failure.is_none() {
                let why = match (&part.error_message, part.status) {
                    (Some(why), _) => why,
                    (None, RunStatus::Pending) => "its job was cancelled or ended before it had read everything",
                    (None, _) => "it says no reason",
                };
                failure = Some(format!("part {} of {} did not reach its end: {why}", place + 1, parts.len()));
            }
        }
        failure
    }
}

#[cfg(test)]
mod tests {
    use deskhand_jobs::JobId;

    use super::super::system::tests::system;
    use super::super::{Counts, Position, RowError};
    use super::*;

    fn at(seconds: i64) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp(seconds, 0)
    }

    fn part(status: RunStatus, mark: i64, error_message: Option<&str>) -> SyncLog {
        SyncLog {
            status,
            counts: Counts { fetched: 10, created: 7, failed: 3, ..Counts::default() },
            pages: 2,
            position: Position { mark: at(mark), seen: Vec::new() },
            row_errors: vec![RowError::of("1", "no"); 8],
            error_message: error_message.map(str::to_owned),
            ..SyncLog::begin(&system(), JobId::new(), DateTime::UNIX_EPOCH)
        }
    }

    fn run() -> SyncLog {
        SyncLog { row_errors: Vec::new(), ..part(RunStatus::Pending, 5, None) }
    }

    #[test]
    fn a_run_is_the_sum_of_its_parts() {
        let parts = [10, 20, 30].map(|mark| part(RunStatus::Success, mark, None));
        let mut log = run();
        assert_eq!(log.sum_up(&parts), None);
        assert_eq!((log.counts.fetched, log.counts.created, log.counts.failed, log.pages), (40, 28, 12, 8));
        assert_eq!((log.position.mark, log.row_errors.len()), (at(30), SyncLog::MAX_ROW_ERRORS));
    }

    #[test]
    fn the_position_never_passes_a_part_that_has_not_reached_its_end() {
        use RunStatus::{Failed, Partial, Pending, Success};
        for (stands, mark, why) in [
            (
                [(Success, 10, None), (Failed, 14, Some("500")), (Success, 30, None)],
                14,
                Some("part 2 of 3 did not reach its end: 500"),
            ),
            (
                [(Pending, 5, None), (Success, 20, None), (Failed, 21, Some("x"))],
                5,
                Some("part 1 of 3 did not reach its end: its job"),
            ),
            ([(Partial, 10, None), (Success, 10, None), (Success, 8, None)], 10, None),
        ] {
            let parts = stands.map(|(status, mark, error)| part(status, mark, error));
            let mut log = run();
            let failure = log.sum_up(&parts);
            assert_eq!(log.position.mark, at(mark), "{stands:?}");
            assert!(failure.as_deref().unwrap_or_default().starts_with(why.unwrap_or_default()), "{failure:?}");
            assert_eq!(failure.is_some(), why.is_some(), "{failure:?}");
        }
    }
}
