//! Looks whose turn it is.

use deskhand_jobs::outcome::{self, Outcome};
use deskhand_jobs::{Job, Options, Run, Unique, UniqueUntil};
use serde::{Deserialize, Serialize};

use crate::work_orders::WorkOrders;

/// Enqueues a run for every system whose turn it is.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sync {}

impl Job for Sync {
    const KIND: &'static str = "work_orders.sync";
    type Context = WorkOrders;

    fn options(&self) -> Options {
        // One that waits sees all that a second would see.
        let unique = Some(Unique::new(Self::KIND, UniqueUntil::Started));
        Options { unique, max_attempts: 5, ..Options::default() }
    }

    async fn run(self, work_orders: WorkOrders, _: Run) -> outcome::Result {
        let asked = work_orders.sync_due().await?;
        tracing::info!(asked, "asked {asked} systems for their tickets");
        Ok(Outcome::Done)
    }
}
