//! Rows of the table `work_orders`.

use chrono::{DateTime, Utc};

use crate::base::{Result, TenantId};
use crate::db::Tx;
use crate::on;
use crate::work_orders::model::{
    Content, Exchange, Priority, Status, SyncStatus, System, SystemId, WorkOrder, WorkOrderId,
};
use crate::work_orders::store::json;

/// A row as the database has it.
#[derive(sqlx::FromRow)]
pub(super) struct Row {
    id: WorkOrderId,
    tenant_id: TenantId,
    system_id: SystemId,
    external_id: String,
    external_key: String,
    title: String,
    description: String,
    status: Status,
    priority: Priority,
    external_status: String,
    external_priority: String,
    reporter: Option<String>,
    reporter_email: Option<String>,
    assignee: Option<String>,
    assignee_email: Option<String>,
    reported_at: DateTime<Utc>,
    due_date: Option<DateTime<Utc>>,
    resolved_at: Option<DateTime<Utc>>,
    category: Option<String>,
    tags: String,
    url: Option<String>,
    external_updated_at: Option<DateTime<Utc>>,
    content_hash: String,
    exchange: Option<String>,
    deleted_at: Option<DateTime<Utc>>,
    last_sync_at: DateTime<Utc>,
    sync_status: SyncStatus,
    sync_error: Option<String>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl Row {
    pub(super) fn read(self) -> Result<WorkOrder> {
        let content = Content {
            tags: json::read("work_orders.tags", &self.tags)?,
            external_id: self.external_id,
            external_key: self.external_key,
            title: self.title,
            description: self.description,
            status: self.status,
            priority: self.priority,
            external_status: self.external_status,
            external_priority: self.external_priority,
            reporter: self.reporter,
            reporter_email: self.reporter_email,
            assignee: self.assignee,
            assignee_email: self.assignee_email,
            reported_at: Some(self.reported_at),
            due_date: self.due_date,
            resolved_at: self.resolved_at,
            category: self.category,
            url: self.url,
            external_updated_at: self.external_updated_at,
        };
        Ok(WorkOrder {
            id: self.id,
            tenant: self.tenant_id,
            system: self.system_id,
            content,
            content_hash: self.content_hash,
            exchange: match self.exchange {
                Some(text) => json::read("work_orders.exchange", &text)?,
                None => Exchange::default(),
            },
            reported_at: self.reported_at,
            last_sync_at: self.last_sync_at,
            sync_status: self.sync_status,
            sync_error: self.sync_error,
            version: self.version,
            created_at: self.created_at,
            updated_at: self.updated_at,
            deleted_at: self.deleted_at,
        })
    }
}

/// Writes a work order over the version that was read; `false` if somebody was faster.
pub(crate) async fn write(tx: &mut Tx, order: &WorkOrder) -> Result<bool> {
    let sql = "UPDATE work_orders SET external_key = $3, title = $4, description = $5, status = $6, priority = $7, \
               external_status = $8, external_priority = $9, reporter = $10, reporter_email = $11, assignee = $12, \
               assignee_email = $13, reported_at = $14, due_date = $15, resolved_at = $16, category = $17, tags = $18, \
               url = $19, external_updated_at = $20, content_hash = $21, exchange = $22, has_changes = $23, \
               last_sync_at = $24, sync_status = $25, sync_error = $26, deleted_at = $27, updated_at = $28, \
               version = version + 1 WHERE id = $1 AND version = $2";
    let content = &order.content;
    let tags = json::write("tags", &content.tags)?;
    let exchange = Some(&order.exchange).filter(|exchange| !exchange.is_empty());
    let exchange = exchange.map(|exchange| json::write("exchange", exchange)).transpose()?;
    let changed = on!(tx, |c| sqlx::query(sql)
        .bind(order.id)
        .bind(order.version)
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
        .bind(order.reported_at)
        .bind(content.due_date)
        .bind(content.resolved_at)
        .bind(&content.category)
        .bind(&tags)
        .bind(&content.url)
        .bind(content.external_updated_at)
        .bind(&order.content_hash)
        .bind(&exchange)
        .bind(order.exchange.has_changes())
        .bind(order.last_sync_at)
        .bind(order.sync_status)
        .bind(&order.sync_error)
        .bind(order.deleted_at)
        .bind(order.updated_at)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(changed == 1)
}

/// Reads one work order by its id alone, for jobs; a caller from outside asks for [`get`].
pub(crate) async fn find(tx: &mut Tx, id: WorkOrderId) -> Result<Option<WorkOrder>> {
    let sql = "SELECT * FROM work_orders WHERE id = $1";
    let row: Option<Row> = on!(tx, |c| sqlx::query_as(sql).bind(id).fetch_optional(c).await)?;
    row.map(Row::read).transpose()
}

/// Reads one work order of a tenant.
pub(crate) async fn get(tx: &mut Tx, tenant: &TenantId, id: WorkOrderId) -> Result<Option<WorkOrder>> {
    let sql = "SELECT * FROM work_orders WHERE tenant_id = $1 AND id = $2";
    let row: Option<Row> = on!(tx, |c| sqlx::query_as(sql).bind(tenant).bind(id).fetch_optional(c).await)?;
    row.map(Row::read).transpose()
}

/// Counts the work orders of a system.
pub(crate) async fn count_of(tx: &mut Tx, system: &System) -> Result<i64> {
    let sql = "SELECT count(*) FROM work_orders WHERE tenant_id = $1 AND system_id = $2";
    Ok(on!(tx, |c| sqlx::query_scalar(sql).bind(&system.tenant).bind(system.id).fetch_one(c).await)?)
}
