//! Removes the records of runs that ended long ago.

use std::num::NonZeroU32;

use deskhand_jobs::outcome::{self, Outcome};
use deskhand_jobs::{Job, Options, Run, Unique, UniqueUntil};
use serde::{Deserialize, Serialize};

use crate::work_orders::WorkOrders;

const TIMEOUT_MS: u64 = 30 * 60_000;

/// Removes the records of runs that have been kept long enough.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CleanSyncLogs {
    /// How many days of records stay.
    days: NonZeroU32,
}

impl Default for CleanSyncLogs {
    fn default() -> Self {
        const MONTH: NonZeroU32 = NonZeroU32::new(30).expect("it is not zero");
        Self { days: MONTH }
    }
}

impl Job for CleanSyncLogs {
    const KIND: &'static str = "work_orders.clean_sync_logs";
    type Context = WorkOrders;

    fn options(&self) -> Options {
        let unique = Some(Unique::new(Self::KIND, UniqueUntil::Finished));
        Options { unique, timeout_ms: TIMEOUT_MS, max_attempts: 5, ..Options::default() }
    }

    async fn run(self, work_orders: WorkOrders, _: Run) -> outcome::Result {
        let removed = work_orders.clean_sync_logs(self.days.get()).await?;
        tracing::info!(removed, "removed the records of {removed} runs that ended long ago");
        Ok(Outcome::Done)
    }
}
