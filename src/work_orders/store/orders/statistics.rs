//! Counting work orders.

use chrono::{DateTime, TimeDelta, Utc};

use crate::base::{Result, TenantId};
use crate::db::Tx;
use crate::on;
use crate::work_orders::model::{OrderStatistics, Priority, Status};

/// How long before its date a ticket is soon due.
const SOON: TimeDelta = TimeDelta::days(3);
const RECENT: TimeDelta = TimeDelta::days(7);

/// Counts the work orders of a tenant.
pub(crate) async fn statistics(tx: &mut Tx, tenant: &TenantId) -> Result<OrderStatistics> {
    let mut all = OrderStatistics::default();
    let now = tx.now();
    let sql = "SELECT status, priority, count(*) FROM work_orders WHERE tenant_id = $1 AND deleted_at IS NULL \
               GROUP BY status, priority";
    let kinds: Vec<(Status, Priority, i64)> = on!(tx, |c| sqlx::query_as(sql).bind(tenant).fetch_all(c).await)?;
    for (status, priority, count) in kinds {
        all.add(status, priority, count);
    }
    let sql = "SELECT s.name, count(*) FROM work_orders o \
               JOIN work_order_systems s ON s.tenant_id = o.tenant_id AND s.id = o.system_id \
               WHERE o.tenant_id = $1 AND o.deleted_at IS NULL GROUP BY s.id, s.name";
    let systems: Vec<(String, i64)> = on!(tx, |c| sqlx::query_as(sql).bind(tenant).fetch_all(c).await)?;
    all.system_stats = systems.into_iter().collect();
    let sql = "SELECT count(*) FROM work_orders WHERE tenant_id = $1 AND deleted_at IS NULL AND created_at >= $2";
    all.recent_7_days_count = on!(tx, |c| sqlx::query_scalar(sql).bind(tenant).bind(now - RECENT).fetch_one(c).await)?;
    let sql = "SELECT count(*) FROM work_orders WHERE tenant_id = $1 AND deleted_at IS NULL AND has_changes";
    all.changed_here_count = on!(tx, |c| sqlx::query_scalar(sql).bind(tenant).fetch_one(c).await)?;
    all.overdue_count = due(tx, tenant, DateTime::<Utc>::UNIX_EPOCH, now).await?;
    all.upcoming_deadline_count = due(tx, tenant, now, now + SOON).await?;
    Ok(all)
}

/// Counts open work orders that are due in a span of time.
async fn due(tx: &mut Tx, tenant: &TenantId, from: DateTime<Utc>, before: DateTime<Utc>) -> Result<i64> {
    let sql = "SELECT count(*) FROM work_orders WHERE tenant_id = $1 AND due_date >= $2 AND due_date < $3 \
               AND deleted_at IS NULL AND status IN ('pending', 'processing')";
    Ok(on!(tx, |c| sqlx::query_scalar(sql).bind(tenant).bind(from).bind(before).fetch_one(c).await)?)
}
