//! Reading work orders and runs.

use super::WorkOrders;
use crate::base::clock::days_before;
use crate::base::{Error, PageRequest, Paged, Result, TenantId};
use crate::work_orders::model::{SyncLog, SyncLogId, WorkOrder, WorkOrderId};
use crate::work_orders::store::{logs, orders};

/// How many records one transaction removes, so that others get in between.
const BITE: i64 = 1_000;

impl WorkOrders {
    /// Reads one work order.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn work_order(&self, tenant: &TenantId, id: WorkOrderId) -> Result<WorkOrder> {
        let found = orders::get(&mut self.db.read().await?, tenant, id).await?;
        found.ok_or_else(|| Error::not_found("work order", &id))
    }

    /// Reads the work orders that match, latest first.
    ///
    /// # Errors
    /// [`Error`] if the database does not answer.
    pub async fn work_orders(
        &self,
        tenant: &TenantId,
        filter: &orders::Filter,
        page: PageRequest,
    ) -> Result<Paged<WorkOrder>> {
        orders::list(&mut self.db.read().await?, tenant, filter, page).await
    }

    /// Reads one run.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn sync_log(&self, tenant: &TenantId, id: SyncLogId) -> Result<SyncLog> {
        let found = logs::get(&mut self.db.read().await?, tenant, id).await?;
        found.ok_or_else(|| Error::not_found("sync log", &id))
    }

    /// Reads the runs that match, latest first.
    ///
    /// # Errors
    /// [`Error`] if the database does not answer.
    pub async fn sync_logs(
        &self,
        tenant: &TenantId,
        filter: &logs::Filter,
        page: PageRequest,
    ) -> Result<Paged<SyncLog>> {
        logs::list(&mut self.db.read().await?, tenant, filter, page).await
    }

    /// Removes the runs that ended more than so many days ago, of all tenants; answers how many.
    ///
    /// # Errors
    /// [`Error`] if the database does not answer; what went until then is gone.
    pub async fn clean_sync_logs(&self, days: u32) -> Result<u64> {
        let before = days_before(self.clock.now(), days);
        let mut removed = 0;
        loop {
            let mut tx = self.db.begin().await?;
            let count = logs::prune(&mut tx, before, BITE).await?;
            tx.commit().await?;
            removed += count;
            if count < BITE as u64 {
                return Ok(removed);
            }
        }
    }
}
