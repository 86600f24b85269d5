//! Runs the synchronisation of one system.

use deskhand_jobs::outcome;
use deskhand_jobs::retry::Backoff;
use deskhand_jobs::{Job, Options, Run, Unique, UniqueUntil};

use crate::work_orders::WorkOrders;
use crate::work_orders::model::SyncSystem;

/// An attempt breaks off by itself after 5 min, between two pages; a page takes at most 30 s.
const TIMEOUT_MS: u64 = 10 * 60_000;

/// How a run, or a part of one, is tried.
pub(super) fn attempts() -> Options {
    Options {
        timeout_ms: TIMEOUT_MS,
        max_attempts: 8,
        backoff: Backoff { base_ms: 2_000, factor: 3.0, max_ms: 600_000, jitter: 1.0 },
        ..Options::default()
    }
}

impl Job for SyncSystem {
    const KIND: &'static str = "work_orders.sync_system";
    type Context = WorkOrders;

    fn options(&self) -> Options {
        Options {
            // Two runs of one system would ask it twice for the same, and it counts our calls.
            unique: Some(Unique::new(format!("system:{}", self.system), UniqueUntil::Finished)),
            ..attempts()
        }
    }

    async fn run(self, work_orders: WorkOrders, run: Run) -> outcome::Result {
        work_orders.sync_system(self.system, &run).await
    }
}
