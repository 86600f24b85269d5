//! The table `work_order_sync_parts`.

use chrono::{DateTime, Utc};
use deskhand_jobs::JobId;

use super::course::Course;
use super::json;
use crate::base::{Result, TenantId};
use crate::db::{Text, Tx};
use crate::on;
use crate::work_orders::model::{Part, RunStatus, SyncLog, SyncLogId, SyncPartId, SyncType, System};

#[derive(sqlx::FromRow)]
struct Stored {
    id: SyncPartId,
    log_id: SyncLogId,
    number: i64,
    until_at: Option<DateTime<Utc>>,
    #[sqlx(flatten)]
    course: Course,
}

impl Stored {
    fn read(self) -> Result<SyncLog> {
        let part = Part { id: self.id, number: self.number, until: self.until_at };
        self.course.of(self.log_id, SyncType::Sync, Some(part))
    }
}

/// Writes a new part of a run.
pub(crate) async fn insert(tx: &mut Tx, log: &SyncLog, part: &Part, closing: JobId) -> Result<()> {
    let sql = "INSERT INTO work_order_sync_parts (id, tenant_id, system_id, log_id, job_id, closing_job_id, number, until_at, status, \
               position, row_errors, started_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, '[]', $11)";
    let position = json::write("position", &log.position)?;
    on!(tx, |c| sqlx::query(sql)
        .bind(part.id)
        .bind(&log.tenant)
        .bind(log.system)
        .bind(log.id)
        .bind(Text(log.job))
        .bind(Text(closing))
        .bind(part.number)
        .bind(part.until)
        .bind(RunStatus::Pending)
        .bind(&position)
        .bind(log.started_at)
        .execute(c)
        .await
        .map(|_| ()))?;
    Ok(())
}

/// Reads one part, for its job; `None` if its run has ended.
pub(crate) async fn find(tx: &mut Tx, id: SyncPartId) -> Result<Option<SyncLog>> {
    let sql = "SELECT * FROM work_order_sync_parts WHERE id = $1";
    let row: Option<Stored> = on!(tx, |c| sqlx::query_as(sql).bind(id).fetch_optional(c).await)?;
    row.map(Stored::read).transpose()
}

/// Reads the parts of a run, in their order.
pub(crate) async fn of_run(tx: &mut Tx, tenant: &TenantId, log: SyncLogId) -> Result<Vec<SyncLog>> {
    let sql = "SELECT * FROM work_order_sync_parts WHERE tenant_id = $1 AND log_id = $2 ORDER BY number";
    let rows: Vec<Stored> = on!(tx, |c| sqlx::query_as(sql).bind(tenant).bind(log).fetch_all(c).await)?;
    rows.into_iter().map(Stored::read).collect()
}

/// Returns the run of a system that is read in parts, if there is one, and the job that will sum them up.
pub(crate) async fn under_way(tx: &mut Tx, system: &System) -> Result<Option<(SyncLogId, JobId)>> {
    let sql =
        "SELECT log_id, closing_job_id FROM work_order_sync_parts WHERE tenant_id = $1 AND system_id = $2 LIMIT 1";
    let found: Option<(SyncLogId, Text<JobId>)> =
        on!(tx, |c| sqlx::query_as(sql).bind(&system.tenant).bind(system.id).fetch_optional(c).await)?;
    Ok(found.map(|(log, job)| (log, job.0)))
}

/// Writes a part over the version that was read, and counts the version up; `false` if somebody was faster, or the part is gone.
pub(super) async fn save(tx: &mut Tx, part: &Part, log: &mut SyncLog) -> Result<bool> {
    let sql = "UPDATE work_order_sync_parts SET status = $3, fetched = $4, created = $5, updated = $6, unchanged = $7, \
               failed = $8, deleted = $9, unmapped = $10, pages = $11, position = $12, row_errors = $13, error_message = $14, \
               waits = $15, waiting_since = $16, ended_at = $17, version = version + 1 WHERE id = $1 AND version = $2";
    let position = json::write("position", &log.position)?;
    let row_errors = json::write("row_errors", &log.row_errors)?;
    let changed = on!(tx, |c| sqlx::query(sql)
        .bind(part.id)
        .bind(log.version)
        .bind(log.status)
        .bind(log.counts.fetched)
        .bind(log.counts.created)
        .bind(log.counts.updated)
        .bind(log.counts.unchanged)
        .bind(log.counts.failed)
        .bind(log.counts.deleted)
        .bind(log.counts.unmapped)
        .bind(log.pages)
        .bind(&position)
        .bind(&row_errors)
        .bind(&log.error_message)
        .bind(log.waits)
        .bind(log.waiting_since)
        .bind(log.ended_at)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    log.version += 1;
    Ok(changed == 1)
}

/// Removes the parts of a system: they are summed up, or nobody will. A job that still reads one can store nothing any more.
pub(crate) async fn drop_all(tx: &mut Tx, system: &System) -> Result<()> {
    let sql = "DELETE FROM work_order_sync_parts WHERE tenant_id = $1 AND system_id = $2";
    on!(tx, |c| sqlx::query(sql).bind(&system.tenant).bind(system.id).execute(c).await.map(|_| ()))?;
    Ok(())
}
