//! What the rows of runs and of parts of runs have in common.

use chrono::{DateTime, Utc};
use deskhand_jobs::JobId;

use super::json;
use crate::base::{Result, TenantId};
use crate::db::Text;
use crate::work_orders::model::{Counts, Part, RunStatus, SyncLog, SyncLogId, SyncType, SystemId};

/// How far a run or a part of one has come.
#[derive(sqlx::FromRow)]
pub(super) struct Course {
    tenant_id: TenantId,
    system_id: SystemId,
    job_id: Text<JobId>,
    status: RunStatus,
    fetched: i64,
    created: i64,
    updated: i64,
    unchanged: i64,
    failed: i64,
    deleted: i64,
    unmapped: i64,
    pages: i64,
    position: String,
    row_errors: String,
    error_message: Option<String>,
    waits: i64,
    waiting_since: Option<DateTime<Utc>>,
    started_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
    version: i64,
}

impl Course {
    /// Makes the record of a run, or of a part of it.
    pub(super) fn of(self, id: SyncLogId, sync_type: SyncType, part: Option<Part>) -> Result<SyncLog> {
        let table = if part.is_some() { "work_order_sync_parts" } else { "work_order_sync_logs" };
        Ok(SyncLog {
            id,
            part,
            sync_type,
            position: json::read(&format!("{table}.position"), &self.position)?,
            row_errors: json::read(&format!("{table}.row_errors"), &self.row_errors)?,
            counts: Counts {
                fetched: self.fetched,
                created: self.created,
                updated: self.updated,
                unchanged: self.unchanged,
                failed: self.failed,
                deleted: self.deleted,
                unmapped: self.unmapped,
            },
            tenant: self.tenant_id,
            system: self.system_id,
            job: self.job_id.0,
            status: self.status,
            pages: self.pages,
            error_message: self.error_message,
            waits: self.waits,
            waiting_since: self.waiting_since,
            started_at: self.started_at,
            ended_at: self.ended_at,
            version: self.version,
        })
    }
}
