//! Looks for tickets that are gone from their systems.

use deskhand_jobs::outcome::{self, Outcome};
use deskhand_jobs::retry::Backoff;
use deskhand_jobs::{Job, Options, Run, Unique, UniqueUntil};
use serde::{Deserialize, Serialize};

use crate::work_orders::WorkOrders;
use crate::work_orders::model::ReconcileSystem;

/// A whole list is read, page by page.
const TIMEOUT_MS: u64 = 2 * 3_600_000;

/// Enqueues the look at every active system.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reconcile {}

impl Job for Reconcile {
    const KIND: &'static str = "work_orders.reconcile";
    type Context = WorkOrders;

    fn options(&self) -> Options {
        let unique = Some(Unique::new(Self::KIND, UniqueUntil::Started));
        Options { unique, max_attempts: 5, ..Options::default() }
    }

    async fn run(self, work_orders: WorkOrders, _: Run) -> outcome::Result {
        let asked = work_orders.reconcile_all().await?;
        tracing::info!(asked, "asked {asked} systems for the tickets that they still have");
        Ok(Outcome::Done)
    }
}

impl Job for ReconcileSystem {
    const KIND: &'static str = "work_orders.reconcile_system";
    type Context = WorkOrders;

    fn options(&self) -> Options {
        Options {
            unique: Some(Unique::new(format!("reconcile:{}", self.system), UniqueUntil::Finished)),
            timeout_ms: TIMEOUT_MS,
            max_attempts: 5,
            backoff: Backoff { base_ms: 60_000, factor: 3.0, max_ms: 3_600_000, jitter: 1.0 },
            ..Options::default()
        }
    }

    async fn run(self, work_orders: WorkOrders, run: Run) -> outcome::Result {
        work_orders.reconcile_system(self.system, &run).await
    }
}
