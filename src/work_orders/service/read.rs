//! Reading work orders and runs.

use super::WorkOrders;
use crate::base::clock::days_before;
use crate::base::{Error, PageRequest, Paged, Result, TenantId};
use crate::work_orders::model::{
    LogStatistics, OrderStatistics, Performance, RunStatus, Sort, SyncLog, SyncLogId, WorkOrder, WorkOrderId,
};
use crate::work_orders::store::{failures, log_statistics, logs, orders};

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

    /// Reads a page of the work orders that match.
    ///
    /// # Errors
    /// [`Error`] if the database does not answer.
    pub async fn work_orders(
        &self,
        tenant: &TenantId,
        filter: &orders::Filter,
        sort: Sort,
        page: PageRequest,
    ) -> Result<Paged<WorkOrder>> {
        orders::list(&mut self.db.read().await?, tenant, filter, sort, page).await
    }

    /// Walks through the work orders that match: up to `size` behind a place, and where the walk stands then.
    ///
    /// # Errors
    /// [`Error`] if the database does not answer.
    pub async fn walk_work_orders(
        &self,
        tenant: &TenantId,
        filter: &orders::Filter,
        sort: Sort,
        from: Option<orders::Stand>,
        size: u64,
    ) -> Result<(Vec<WorkOrder>, Option<orders::Stand>)> {
        orders::walk(&mut self.db.read().await?, tenant, filter, sort, from, size).await
    }

    /// Counts the work orders of a tenant.
    ///
    /// # Errors
    /// [`Error`] if the database does not answer.
    pub async fn work_order_statistics(&self, tenant: &TenantId) -> Result<OrderStatistics> {
        orders::statistics(&mut self.db.read().await?, tenant).await
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

    /// Counts the runs of a tenant.
    ///
    /// # Errors
    /// [`Error`] if the database does not answer.
    pub async fn sync_log_statistics(&self, tenant: &TenantId) -> Result<LogStatistics> {
        log_statistics::statistics(&mut self.db.read().await?, tenant).await
    }

    /// Reads the latest runs that failed.
    ///
    /// # Errors
    /// [`Error`] if the database does not answer, or if `limit` is no size of a page.
    pub async fn recent_failures(&self, tenant: &TenantId, limit: u64) -> Result<Vec<SyncLog>> {
        let failed = logs::Filter { status: Some(RunStatus::Failed), ..logs::Filter::default() };
        let page = PageRequest::new(None, Some(limit))
            .map_err(|_| Error::field("/limit", format!("{limit} is not between 1 and {}", PageRequest::MAX_SIZE)))?;
        Ok(self.sync_logs(tenant, &failed, page).await?.items)
    }

    /// Says how fast and how well the runs of the last days went.
    ///
    /// # Errors
    /// [`Error`] if the database does not answer.
    pub async fn performance(&self, tenant: &TenantId, days: u32) -> Result<Performance> {
        let mut tx = self.db.read().await?;
        log_statistics::performance(&mut tx, tenant, days_before(self.clock.now(), days), days).await
    }

    /// Removes the runs that ended more than so many days ago, of all tenants, and forgets tickets that were given up before; answers
    /// how many runs.
    ///
    /// # Errors
    /// [`Error`] if the database does not answer; what went until then is gone.
    pub async fn clean_sync_logs(&self, days: u32) -> Result<u64> {
        let before = days_before(self.clock.now(), days);
        let mut removed = 0;
        let mut tx = self.db.begin().await?;
        failures::prune(&mut tx, before).await?;
        tx.commit().await?;
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
