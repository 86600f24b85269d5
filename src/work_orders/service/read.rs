//! Reading work orders and runs.

use super::WorkOrders;
use crate::base::{Error, PageRequest, Paged, Result, TenantId};
use crate::work_orders::model::{SyncLog, SyncLogId, WorkOrder, WorkOrderId};
use crate::work_orders::store::{logs, orders};

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

    /// Removes the runs that ended more than so many days ago; answers how many.
    ///
    /// # Errors
    /// [`Error`] if the database does not answer.
    pub async fn clean_sync_logs(&self, days: u32) -> Result<u64> {
        let mut tx = self.db.begin().await?;
        let before = tx.now() - chrono::TimeDelta::days(i64::from(days));
        let removed = logs::prune(&mut tx, before).await?;
        tx.commit().await?;
        Ok(removed)
    }
}
