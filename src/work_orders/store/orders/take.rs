//! Taking in what systems say.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_query::{Expr, ExprTrait, Query};

use super::row::Row;
use crate::base::{Result, TenantId};
use crate::db::{Build, Tx};
use crate::on;
use crate::work_orders::model::{Content, System, WorkOrder, WorkOrderId};
use crate::work_orders::store::json;

/// What became of a stored ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stored {
    /// It is new.
    Created,
    /// It was different.
    Updated,
    /// It was the same.
    Unchanged,
}

/// What is known of a ticket before it comes in again.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct Known {
    external_id: String,
    content_hash: String,
    external_updated_at: Option<DateTime<Utc>>,
    deleted_at: Option<DateTime<Utc>>,
}

impl Known {
    /// Says whether a system told us exactly this before, at this stamp.
    pub(crate) fn is(&self, content: &Content, hash: &str) -> bool {
        self.has(hash) && self.external_updated_at == content.external_updated_at
    }

    /// Says whether a system told us this before, whatever the stamp.
    pub(crate) fn has(&self, hash: &str) -> bool {
        self.content_hash == hash && self.deleted_at.is_none()
    }
}

/// Reads what is known of these tickets of a system, in one statement for a whole page.
pub(crate) async fn known(tx: &mut Tx, system: &System, external_ids: &[&str]) -> Result<HashMap<String, Known>> {
    if external_ids.is_empty() {
        return Ok(HashMap::new());
    }
    let mut select = Query::select();
    select
        .columns(["external_id", "content_hash", "external_updated_at", "deleted_at"])
        .from("work_orders")
        .and_where(Expr::col("tenant_id").eq(system.tenant.as_str()))
        .and_where(Expr::col("system_id").eq(system.id.to_string()))
        .and_where(Expr::col("external_id").is_in(external_ids.iter().copied()));
    let rows: Vec<Known> = on!(tx, |c| {
        let (sql, values) = c.build(&select);
        sqlx::query_as_with(sql, values).fetch_all(c).await
    })?;
    Ok(rows.into_iter().map(|row| (row.external_id.clone(), row)).collect())
}

/// Stores what a system told us of one ticket that nobody has changed here: a new row, or over the one there is. `None` if the row
/// is the same already, or is one that has to be looked at first, because something was changed here or it was gone.
pub(crate) async fn insert(tx: &mut Tx, system: &System, content: &Content, hash: &str) -> Result<Option<Stored>> {
    let sql = "INSERT INTO work_orders (id, tenant_id, system_id, external_id, external_key, title, description, status, \
               priority, external_status, external_priority, reporter, reporter_email, assignee, assignee_email, reported_at, \
               due_date, resolved_at, category, tags, url, external_updated_at, content_hash, last_sync_at, sync_status, \
               version, created_at, updated_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, \
               $23, $24, 'success', 1, $24, $24) \
               ON CONFLICT (tenant_id, system_id, external_id) DO UPDATE SET external_key = excluded.external_key, \
               title = excluded.title, description = excluded.description, status = excluded.status, \
               priority = excluded.priority, external_status = excluded.external_status, \
               external_priority = excluded.external_priority, reporter = excluded.reporter, \
               reporter_email = excluded.reporter_email, assignee = excluded.assignee, \
               assignee_email = excluded.assignee_email, \
               reported_at = CASE WHEN $25 THEN excluded.reported_at ELSE work_orders.reported_at END, \
               due_date = excluded.due_date, resolved_at = excluded.resolved_at, category = excluded.category, \
               tags = excluded.tags, url = excluded.url, external_updated_at = excluded.external_updated_at, \
               content_hash = excluded.content_hash, last_sync_at = excluded.last_sync_at, sync_status = 'success', \
               sync_error = NULL, version = work_orders.version + 1, updated_at = excluded.updated_at \
               WHERE work_orders.content_hash <> excluded.content_hash AND work_orders.exchange IS NULL \
               AND work_orders.deleted_at IS NULL \
               RETURNING version";
    let now = tx.now();
    let tags = json::write("tags", &content.tags)?;
    // No row comes back where the WHERE kept the old one.
    let version: Option<i64> = on!(tx, |c| sqlx::query_scalar(sql)
        .bind(WorkOrderId::new())
        .bind(&system.tenant)
        .bind(system.id)
        .bind(&content.external_id)
        .bind(&content.external_key)
        .bind(&content.title)
        .bind(&content.description)
        .bind(content.status)
        .bind(content.priority)
        .bind(&content.external_status)
        .bind(&content.external_priority)
        .bind(&content.reporter)
        .bind(&content.reporter_email)
        .bind(&content.assignee)
        .bind(&content.assignee_email)
        .bind(content.reported_at.unwrap_or(now))
        .bind(content.due_date)
        .bind(content.resolved_at)
        .bind(&content.category)
        .bind(&tags)
        .bind(&content.url)
        .bind(content.external_updated_at)
        .bind(hash)
        .bind(now)
        .bind(content.reported_at.is_some())
        .fetch_optional(c)
        .await)?;
    Ok(version.map(|version| if version == 1 { Stored::Created } else { Stored::Updated }))
}

/// Notes that a ticket changed there in a way that does not concern us.
pub(crate) async fn touch(tx: &mut Tx, system: &System, content: &Content) -> Result<()> {
    let sql = "UPDATE work_orders SET external_updated_at = $4, last_sync_at = $5 \
               WHERE tenant_id = $1 AND system_id = $2 AND external_id = $3";
    let now = tx.now();
    on!(tx, |c| sqlx::query(sql)
        .bind(&system.tenant)
        .bind(system.id)
        .bind(&content.external_id)
        .bind(content.external_updated_at)
        .bind(now)
        .execute(c)
        .await
        .map(|_| ()))?;
    Ok(())
}

/// Reads a work order of a tenant, and holds its row until the end of the transaction.
pub(crate) async fn hold(tx: &mut Tx, tenant: &TenantId, id: WorkOrderId) -> Result<Option<WorkOrder>> {
    let sql = "UPDATE work_orders SET version = version WHERE tenant_id = $1 AND id = $2 RETURNING *";
    let row: Option<Row> = on!(tx, |c| sqlx::query_as(sql).bind(tenant).bind(id).fetch_optional(c).await)?;
    row.map(Row::read).transpose()
}

/// Reads the work order that a system knows by this id, and holds its row until the end of the transaction.
pub(crate) async fn hold_external(tx: &mut Tx, system: &System, external_id: &str) -> Result<Option<WorkOrder>> {
    let sql = "UPDATE work_orders SET version = version \
               WHERE tenant_id = $1 AND system_id = $2 AND external_id = $3 RETURNING *";
    let row: Option<Row> = on!(tx, |c| sqlx::query_as(sql)
        .bind(&system.tenant)
        .bind(system.id)
        .bind(external_id)
        .fetch_optional(c)
        .await)?;
    row.map(Row::read).transpose()
}
