//! Takes the changes of one ticket to its system.

use deskhand_jobs::outcome;
use deskhand_jobs::retry::Backoff;
use deskhand_jobs::{Job, Options, Run, Unique, UniqueUntil};

use crate::work_orders::WorkOrders;
use crate::work_orders::model::UpdateExternal;

/// A few calls of at most 30 s each.
const TIMEOUT_MS: u64 = 5 * 60_000;

impl Job for UpdateExternal {
    const KIND: &'static str = "work_orders.update_external";
    type Context = WorkOrders;

    fn options(&self) -> Options {
        Options {
            // Two updates of one ticket would meet each other as conflicts.
            unique: Some(Unique::new(format!("order:{}", self.work_order), UniqueUntil::Finished)),
            timeout_ms: TIMEOUT_MS,
            max_attempts: 8,
            backoff: Backoff { base_ms: 2_000, factor: 3.0, max_ms: 600_000, jitter: 1.0 },
            ..Options::default()
        }
    }

    async fn run(self, work_orders: WorkOrders, run: Run) -> outcome::Result {
        work_orders.carry_out_update(self.work_order, &run).await
    }
}
