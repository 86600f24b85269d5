//! Reads one part of a run that is read in parts.

use deskhand_jobs::outcome;
use deskhand_jobs::{Job, Options, Run};

use super::sync_system;
use crate::work_orders::WorkOrders;
use crate::work_orders::model::SyncPart;

impl Job for SyncPart {
    const KIND: &'static str = "work_orders.sync_part";
    type Context = WorkOrders;

    fn options(&self) -> Options {
        sync_system::attempts()
    }

    async fn run(self, work_orders: WorkOrders, run: Run) -> outcome::Result {
        work_orders.sync_part(self.part, &run).await
    }
}
