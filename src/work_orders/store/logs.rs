//! The table `work_order_sync_logs`.

use chrono::{DateTime, Utc};
use deskhand_jobs::JobId;
use sea_query::{Expr, ExprTrait, Order, Query, SelectStatement};

use super::course::Course;
use super::{json, parts};
use crate::base::{PageRequest, Paged, Result, TenantId};
use crate::db::{Text, Tx, read_page};
use crate::on;
use crate::work_orders::model::{Counts, Position, RunStatus, SyncLog, SyncLogId, SyncType, System, SystemId};

/// Which runs are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only of this system.
    pub system: Option<SystemId>,
    /// Only that stand so.
    pub status: Option<RunStatus>,
    /// Only of this kind.
    pub sync_type: Option<SyncType>,
}

#[derive(sqlx::FromRow)]
struct Stored {
    id: SyncLogId,
    sync_type: SyncType,
    #[sqlx(flatten)]
    course: Course,
}

impl Stored {
    fn read(self) -> Result<SyncLog> {
        self.course.of(self.id, self.sync_type, None)
    }
}

/// Returns the record of the run of this job: the one that an earlier attempt began, or a new one.
pub(crate) async fn open(tx: &mut Tx, system: &System, job: JobId) -> Result<SyncLog> {
    let fresh = SyncLog::begin(system, job, tx.now());
    let sql = "INSERT INTO work_order_sync_logs (id, tenant_id, system_id, job_id, sync_type, status, position, row_errors, \
               started_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (tenant_id, job_id) DO NOTHING";
    let position = json::write("position", &fresh.position)?;
    let row_errors = json::write("row_errors", &fresh.row_errors)?;
    let written = on!(tx, |c| sqlx::query(sql)
        .bind(fresh.id)
        .bind(&fresh.tenant)
        .bind(fresh.system)
        .bind(Text(fresh.job))
        .bind(fresh.sync_type)
        .bind(fresh.status)
        .bind(&position)
        .bind(&row_errors)
        .bind(fresh.started_at)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    if written == 1 {
        return Ok(fresh);
    }
    let sql = "SELECT * FROM work_order_sync_logs WHERE tenant_id = $1 AND job_id = $2";
    let row: Stored = on!(tx, |c| sqlx::query_as(sql).bind(&system.tenant).bind(Text(job)).fetch_one(c).await)?;
    row.read()
}

/// Ends what runs of other jobs left open: a system has one run at a time, so their jobs came to an end in another way.
pub(crate) async fn close_others(tx: &mut Tx, system: &System, job: JobId) -> Result<()> {
    let sql = "UPDATE work_order_sync_logs SET status = 'failed', ended_at = $4, version = version + 1, \
               error_message = coalesce(error_message, 'the run was interrupted; the next one went on from its last page') \
               WHERE tenant_id = $1 AND system_id = $2 AND job_id <> $3 AND status = 'pending' AND sync_type = 'sync'";
    let now = tx.now();
    on!(tx, |c| sqlx::query(sql)
        .bind(&system.tenant)
        .bind(system.id)
        .bind(Text(job))
        .bind(now)
        .execute(c)
        .await
        .map(|_| ()))?;
    Ok(())
}

/// Sends runs that may still go on back to a place: those under way, and failed ones whose jobs somebody may give another
/// chance. An attempt under way can store nothing any more.
pub(crate) async fn restart(tx: &mut Tx, system: &System, from: &Position) -> Result<()> {
    let sql = "UPDATE work_order_sync_logs SET position = $3, version = version + 1 \
               WHERE tenant_id = $1 AND system_id = $2 AND status IN ('pending', 'failed') AND sync_type = 'sync'";
    let position = json::write("position", from)?;
    on!(tx, |c| sqlx::query(sql).bind(&system.tenant).bind(system.id).bind(&position).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Writes a record over the version that was read, and counts the version up; `false` if somebody was faster. That of a part has its
/// own table.
pub(crate) async fn save(tx: &mut Tx, log: &mut SyncLog) -> Result<bool> {
    if let Some(part) = log.part {
        return parts::save(tx, &part, log).await;
    }
    let sql = "UPDATE work_order_sync_logs SET status = $3, fetched = $4, created = $5, updated = $6, unchanged = $7, \
               failed = $8, pages = $9, position = $10, row_errors = $11, error_message = $12, waits = $13, \
               waiting_since = $14, ended_at = $15, execution_time_ms = $16, deleted = $17, \
               unmapped = $18, version = version + 1 \
               WHERE id = $1 AND version = $2";
    let position = json::write("position", &log.position)?;
    let row_errors = json::write("row_errors", &log.row_errors)?;
    let changed = on!(tx, |c| sqlx::query(sql)
        .bind(log.id)
        .bind(log.version)
        .bind(log.status)
        .bind(log.counts.fetched)
        .bind(log.counts.created)
        .bind(log.counts.updated)
        .bind(log.counts.unchanged)
        .bind(log.counts.failed)
        .bind(log.pages)
        .bind(&position)
        .bind(&row_errors)
        .bind(&log.error_message)
        .bind(log.waits)
        .bind(log.waiting_since)
        .bind(log.ended_at)
        .bind(log.execution_time_ms())
        .bind(log.counts.deleted)
        .bind(log.counts.unmapped)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    log.version += 1;
    Ok(changed == 1)
}

/// Reads one run by its id alone, for jobs; a caller from outside asks for [`get`].
pub(crate) async fn find(tx: &mut Tx, id: SyncLogId) -> Result<Option<SyncLog>> {
    let sql = "SELECT * FROM work_order_sync_logs WHERE id = $1";
    let row: Option<Stored> = on!(tx, |c| sqlx::query_as(sql).bind(id).fetch_optional(c).await)?;
    row.map(Stored::read).transpose()
}

/// Reads one run of a tenant.
pub(crate) async fn get(tx: &mut Tx, tenant: &TenantId, id: SyncLogId) -> Result<Option<SyncLog>> {
    let sql = "SELECT * FROM work_order_sync_logs WHERE tenant_id = $1 AND id = $2";
    let row: Option<Stored> = on!(tx, |c| sqlx::query_as(sql).bind(tenant).bind(id).fetch_optional(c).await)?;
    row.map(Stored::read).transpose()
}

/// Reads the runs of a tenant, latest first: an id begins with its time.
pub(crate) async fn list(tx: &mut Tx, tenant: &TenantId, filter: &Filter, page: PageRequest) -> Result<Paged<SyncLog>> {
    let shown = |select: &mut SelectStatement| {
        select.column(sea_query::Asterisk).order_by("id", Order::Desc);
    };
    read_page::<Stored>(tx, matching(tenant, filter), shown, page).await?.try_map(Stored::read)
}

fn matching(tenant: &TenantId, filter: &Filter) -> SelectStatement {
    let mut select = Query::select();
    select.from("work_order_sync_logs").and_where(Expr::col("tenant_id").eq(tenant.as_str()));
    if let Some(system) = filter.system {
        select.and_where(Expr::col("system_id").eq(system.to_string()));
    }
    if let Some(status) = filter.status {
        select.and_where(Expr::col("status").eq(status.as_str()));
    }
    if let Some(sync_type) = filter.sync_type {
        select.and_where(Expr::col("sync_type").eq(sync_type.as_str()));
    }
    select
}

/// Removes up to `limit` runs that ended before an instant, the oldest first; answers how many.
pub(crate) async fn prune(tx: &mut Tx, before: DateTime<Utc>, limit: i64) -> Result<u64> {
    // By id, which begins with the time: the primary key finds the oldest, and none but the last bite reads the whole table.
    let sql = "DELETE FROM work_order_sync_logs WHERE id IN \
               (SELECT id FROM work_order_sync_logs WHERE ended_at < $1 ORDER BY id LIMIT $2)";
    Ok(on!(tx, |c| sqlx::query(sql).bind(before).bind(limit).execute(c).await.map(|done| done.rows_affected()))?)
}

/// What ended, and how, of a run that has no pages: an update of one ticket, a look for tickets that are gone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Noted<'a> {
    /// Its job.
    pub(crate) job: JobId,
    /// What it was.
    pub(crate) sync_type: SyncType,
    /// What became of the tickets.
    pub(crate) counts: Counts,
    /// When it began.
    pub(crate) started_at: DateTime<Utc>,
    /// Why it failed, if it did.
    pub(crate) failure: Option<&'a str>,
}

/// Notes the end of such a run. A job that is given another chance writes over what it noted before.
pub(crate) async fn note(tx: &mut Tx, system: &System, noted: &Noted<'_>) -> Result<()> {
    let sql = "INSERT INTO work_order_sync_logs (id, tenant_id, system_id, job_id, sync_type, status, fetched, updated, \
               unchanged, failed, deleted, position, row_errors, error_message, started_at, ended_at, execution_time_ms, \
               created) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, '[]', $13, $14, $15, $16, $17) \
               ON CONFLICT (tenant_id, job_id) DO UPDATE SET status = excluded.status, fetched = excluded.fetched, \
               created = excluded.created, updated = excluded.updated, unchanged = excluded.unchanged, failed = excluded.failed, \
               deleted = excluded.deleted, error_message = excluded.error_message, ended_at = excluded.ended_at, \
               execution_time_ms = excluded.execution_time_ms";
    let now = tx.now();
    let execution_time_ms = Ord::max((now - noted.started_at).num_milliseconds(), 0);
    let status = if noted.failure.is_some() { RunStatus::Failed } else { RunStatus::Success };
    let position = json::write("position", &Position::default())?;
    on!(tx, |c| sqlx::query(sql)
        .bind(SyncLogId::new())
        .bind(&system.tenant)
        .bind(system.id)
        .bind(Text(noted.job))
        .bind(noted.sync_type)
        .bind(status)
        .bind(noted.counts.fetched)
        .bind(noted.counts.updated)
        .bind(noted.counts.unchanged)
        .bind(noted.counts.failed)
        .bind(noted.counts.deleted)
        .bind(&position)
        .bind(noted.failure)
        .bind(noted.started_at)
        .bind(now)
        .bind(execution_time_ms)
        .bind(noted.counts.created)
        .execute(c)
        .await
        .map(|_| ()))?;
    Ok(())
}
