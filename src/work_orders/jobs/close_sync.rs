//! Sums up the parts of a run, when all of them have ended.

use deskhand_jobs::outcome;
use deskhand_jobs::{Job, Options, Run};

use crate::work_orders::WorkOrders;
use crate::work_orders::model::CloseSync;

impl Job for CloseSync {
    const KIND: &'static str = "work_orders.close_sync";
    type Context = WorkOrders;

    fn options(&self) -> Options {
        // It asks nobody but the database.
        Options { max_attempts: 20, ..Options::default() }
    }

    async fn run(self, work_orders: WorkOrders, run: Run) -> outcome::Result {
        work_orders.close_sync(self.log, &run).await
    }
}
