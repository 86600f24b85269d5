//! What has ended and nobody needs any more goes, in small bites: each is a transaction of its own, so that others get in between.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::{ledger, schedules};
use crate::base::Result;
use crate::base::clock::days_before;
use crate::db::Db;

/// How many rows one transaction removes.
const BITE: i64 = 1_000;

/// How long what has ended stays. Dead jobs stay until somebody looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Keep {
    /// For how many days after its end a job that succeeded or was cancelled stays.
    pub jobs_days: NonZeroU32,
    /// For how many days what became of a slot of a schedule stays.
    pub slots_days: NonZeroU32,
}

impl Default for Keep {
    fn default() -> Self {
        const WEEK: NonZeroU32 = NonZeroU32::new(7).expect("it is not zero");
        const MONTH: NonZeroU32 = NonZeroU32::new(30).expect("it is not zero");
        Self { jobs_days: WEEK, slots_days: MONTH }
    }
}

/// What went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Removed {
    /// Jobs.
    pub jobs: u64,
    /// Slots.
    pub slots: u64,
}

/// Removes what has been kept long enough, of all tenants, until it is told to stop.
///
/// # Errors
/// [`Error`](crate::base::Error) of the database; what went until then is gone.
pub async fn clean(db: &Db, keep: Keep, stop: &CancellationToken) -> Result<Removed> {
    let now = db.clock().now();
    let (jobs_before, slots_before) = (days_before(now, keep.jobs_days.get()), days_before(now, keep.slots_days.get()));
    let mut removed = Removed::default();
    while !stop.is_cancelled() {
        let mut tx = db.begin().await?;
        let jobs = ledger::prune(&mut tx, jobs_before, BITE).await?;
        let slots = schedules::prune_slots(&mut tx, slots_before, BITE).await?;
        tx.commit().await?;
        removed.jobs += jobs;
        removed.slots += slots;
        if jobs.max(slots) < BITE as u64 {
            break;
        }
    }
    Ok(removed)
}
