//! Counting the rows of `work_order_sync_logs`.

use chrono::{DateTime, TimeDelta, Utc};

use crate::base::{Result, TenantId};
use crate::db::{Backend, Text, Tx};
use crate::on;
use crate::work_orders::model::{
    DayTrend, LogStatistics, Performance, Processed, Recent, RunStatus, SyncType, SystemId, SystemPerformance,
    SystemRuns,
};

const RECENT: TimeDelta = TimeDelta::days(7);
const MS_PER_S: f64 = 1_000.0;

/// Counts the runs of a tenant.
pub(crate) async fn statistics(tx: &mut Tx, tenant: &TenantId) -> Result<LogStatistics> {
    let mut all = LogStatistics::default();
    let sql = "SELECT sync_type, status, count(*) FROM work_order_sync_logs WHERE tenant_id = $1 \
               GROUP BY sync_type, status";
    let kinds: Vec<(SyncType, RunStatus, i64)> = on!(tx, |c| sqlx::query_as(sql).bind(tenant).fetch_all(c).await)?;
    for (sync_type, status, count) in kinds {
        all.total_logs += count;
        *match status {
            RunStatus::Success => &mut all.success_logs,
            RunStatus::Failed => &mut all.failed_logs,
            RunStatus::Partial => &mut all.partial_logs,
            RunStatus::Pending => &mut all.pending_logs,
        } += count;
        *match sync_type {
            SyncType::Sync => &mut all.sync_logs,
            SyncType::Pull => &mut all.pull_logs,
            SyncType::Update => &mut all.update_logs,
            SyncType::Reconcile => &mut all.reconcile_logs,
        } += count;
    }
    all.system_stats = by_system(tx, tenant).await?;
    let since = tx.now() - RECENT;
    let sql = "SELECT count(*), count(*) FILTER (WHERE status = 'success'), count(*) FILTER (WHERE status = 'failed') \
               FROM work_order_sync_logs WHERE tenant_id = $1 AND started_at >= $2";
    let (total, success, failed) = on!(tx, |c| sqlx::query_as(sql).bind(tenant).bind(since).fetch_one(c).await)?;
    all.recent_7_days = Recent { total, success, failed };
    // Sums of whole numbers are no whole numbers in Postgres, hence the casts.
    let sql = "SELECT coalesce(CAST(sum(fetched) AS BIGINT), 0), coalesce(CAST(sum(failed) AS BIGINT), 0), \
               CAST(avg(execution_time_ms) AS DOUBLE PRECISION) FROM work_order_sync_logs WHERE tenant_id = $1";
    let (total, failed, average_ms): (i64, i64, Option<f64>) =
        on!(tx, |c| sqlx::query_as(sql).bind(tenant).fetch_one(c).await)?;
    all.total_processed = Processed { total, success: total - failed, failed };
    all.avg_execution_time = average_ms.unwrap_or_default() / MS_PER_S;
    Ok(all)
}

async fn by_system(tx: &mut Tx, tenant: &TenantId) -> Result<Vec<SystemRuns>> {
    let sql = "SELECT l.system_id, s.name, count(*), count(*) FILTER (WHERE l.status = 'success'), \
               count(*) FILTER (WHERE l.status = 'failed'), CAST(avg(l.execution_time_ms) AS DOUBLE PRECISION) \
               FROM work_order_sync_logs l \
               JOIN work_order_systems s ON s.tenant_id = l.tenant_id AND s.id = l.system_id \
               WHERE l.tenant_id = $1 GROUP BY l.system_id, s.name ORDER BY count(*) DESC, s.name";
    let rows: Vec<(SystemId, String, i64, i64, i64, Option<f64>)> =
        on!(tx, |c| sqlx::query_as(sql).bind(tenant).fetch_all(c).await)?;
    let runs = |(system, name, total_count, success_count, failed_count, average_ms): (_, _, _, _, _, Option<f64>)| {
        let avg_execution_time = average_ms.map(|ms| ms / MS_PER_S);
        SystemRuns { system, name, total_count, success_count, failed_count, avg_execution_time }
    };
    Ok(rows.into_iter().map(runs).collect())
}

/// Says how fast and how well the synchronisations went that began at `since` or later and have ended.
pub(crate) async fn performance(
    tx: &mut Tx,
    tenant: &TenantId,
    since: DateTime<Utc>,
    days: u32,
) -> Result<Performance> {
    let sql = "SELECT l.system_id, s.name, CAST(avg(l.execution_time_ms) AS DOUBLE PRECISION), \
               max(l.execution_time_ms), min(l.execution_time_ms), count(*), count(*) FILTER (WHERE l.status = 'success') \
               FROM work_order_sync_logs l \
               JOIN work_order_systems s ON s.tenant_id = l.tenant_id AND s.id = l.system_id \
               WHERE l.tenant_id = $1 AND l.started_at >= $2 AND l.sync_type = 'sync' AND l.execution_time_ms IS NOT NULL \
               GROUP BY l.system_id, s.name ORDER BY avg(l.execution_time_ms) DESC, s.name";
    let rows: Vec<(SystemId, String, f64, i64, i64, i64, i64)> =
        on!(tx, |c| sqlx::query_as(sql).bind(tenant).bind(since).fetch_all(c).await)?;
    let systems =
        rows.into_iter().map(|(system, name, average_ms, max_ms, min_ms, total_runs, good)| SystemPerformance {
            system,
            name,
            avg_execution_time: average_ms / MS_PER_S,
            max_execution_time: max_ms as f64 / MS_PER_S,
            min_execution_time: min_ms as f64 / MS_PER_S,
            total_runs,
            success_rate: good as f64 * 100.0 / total_runs.max(1) as f64,
        });
    Ok(Performance {
        performance_by_system: systems.collect(),
        daily_trends: by_day(tx, tenant, since).await?,
        analysis_days: days,
    })
}

async fn by_day(tx: &mut Tx, tenant: &TenantId, since: DateTime<Utc>) -> Result<Vec<DayTrend>> {
    // SQLite keeps an instant as text that begins with its day in UTC; Postgres has to be told the zone.
    let sql = match tx.backend() {
        Backend::Sqlite => {
            "SELECT substr(started_at, 1, 10) AS day, count(*), count(*) FILTER (WHERE status = 'success'), \
             CAST(avg(execution_time_ms) AS DOUBLE PRECISION) FROM work_order_sync_logs \
             WHERE tenant_id = $1 AND started_at >= $2 AND sync_type = 'sync' AND execution_time_ms IS NOT NULL \
             GROUP BY day ORDER BY day"
        }
        Backend::Postgres => {
            "SELECT to_char(started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS day, count(*), \
             count(*) FILTER (WHERE status = 'success'), CAST(avg(execution_time_ms) AS DOUBLE PRECISION) \
             FROM work_order_sync_logs \
             WHERE tenant_id = $1 AND started_at >= $2 AND sync_type = 'sync' AND execution_time_ms IS NOT NULL \
             GROUP BY day ORDER BY day"
        }
    };
    let rows: Vec<(Text<chrono::NaiveDate>, i64, i64, f64)> =
        on!(tx, |c| sqlx::query_as(sql).bind(tenant).bind(since).fetch_all(c).await)?;
    let trend = |(date, total_runs, success_runs, average_ms): (Text<chrono::NaiveDate>, _, _, f64)| {
        let avg_execution_time = average_ms / MS_PER_S;
        DayTrend { date: date.0, total_runs, success_runs, avg_execution_time }
    };
    Ok(rows.into_iter().map(trend).collect())
}
