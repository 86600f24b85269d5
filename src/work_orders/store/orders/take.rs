//! Taking in what systems say.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_query::{Expr, ExprTrait, Query};

use super::row::Row;
use crate::base::{Result, TenantId};
use crate::db::{Build, Conn, Tx};
use crate::on;
use crate::work_orders::model::{Content, System, WorkOrder, WorkOrderId};

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

    /// Says whether what a system told us by now is newer than this content.
    pub(crate) fn is_newer_than(&self, content: &Content) -> bool {
        self.external_updated_at.zip(content.external_updated_at).is_some_and(|(known, told)| known > told)
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

/// Lets PostgreSQL count how tickets are spread over systems, which it would do by itself within a minute or so. Until then it holds
/// a system that it has not met for one with hardly a ticket, and reads all of them to find one.
pub(crate) async fn survey(tx: &mut Tx) -> Result<()> {
    if let Conn::Postgres(c) = tx.conn() {
        sqlx::query("ANALYZE work_orders (tenant_id, system_id, external_id)").execute(c).await?;
    }
    Ok(())
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
