//! Every kind of job there is.

use deskhand_jobs::Registry;

use crate::base::{Error, Result};
use crate::db::Db;
use crate::dispatch;
use crate::work_orders::model::{CloseSync, ReconcileSystem, SyncPart, SyncSystem, UpdateExternal};
use crate::work_orders::{WorkOrders, jobs};

/// Registers the jobs of every subject.
pub(super) fn registry(db: &Db, work_orders: &WorkOrders) -> Result<Registry> {
    let mut registry = Registry::new();
    let twice = |error| Error::internal("cannot register the jobs", error);
    registry.add::<dispatch::jobs::Clean>(db.clone()).map_err(twice)?;
    registry.add::<jobs::Sync>(work_orders.clone()).map_err(twice)?;
    registry.add::<jobs::CleanSyncLogs>(work_orders.clone()).map_err(twice)?;
    registry.add::<jobs::Reconcile>(work_orders.clone()).map_err(twice)?;
    registry.add::<ReconcileSystem>(work_orders.clone()).map_err(twice)?;
    registry.add::<UpdateExternal>(work_orders.clone()).map_err(twice)?;
    registry.add::<SyncSystem>(work_orders.clone()).map_err(twice)?;
    registry.add::<SyncPart>(work_orders.clone()).map_err(twice)?;
    registry.add::<CloseSync>(work_orders.clone()).map_err(twice)?;
    Ok(registry)
}
