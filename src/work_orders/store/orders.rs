//! The table `work_orders`.

use chrono::{DateTime, Utc};
use sea_query::{Expr, ExprTrait, Order, Query, SelectStatement};

use super::json;
use crate::base::{PageRequest, Paged, Result, TenantId};
use crate::db::{Tx, read_page};
use crate::on;
use crate::work_orders::model::{Content, Priority, Status, SyncStatus, System, SystemId, WorkOrder, WorkOrderId};

/// What became of a stored ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stored {
    /// It is new.
    Created,
    /// It was different.
    Updated,
    /// It was the same; its row was not touched.
    Unchanged,
}

/// Which work orders are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only of this status.
    pub status: Option<Status>,
    /// Only of this priority.
    pub priority: Option<Priority>,
    /// Only from this system.
    pub system: Option<SystemId>,
}

#[derive(sqlx::FromRow)]
struct Row {
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
    last_sync_at: DateTime<Utc>,
    sync_status: SyncStatus,
    sync_error: Option<String>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl Row {
    fn read(self) -> Result<WorkOrder> {
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
            reported_at: self.reported_at,
            last_sync_at: self.last_sync_at,
            sync_status: self.sync_status,
            sync_error: self.sync_error,
            version: self.version,
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}

/// Stores what a system told us of one ticket. The same content leaves its row untouched.
pub(crate) async fn upsert(tx: &mut Tx, system: &System, content: &Content) -> Result<Stored> {
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
               WHERE work_orders.content_hash <> excluded.content_hash \
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
        .bind(content.hash())
        .bind(now)
        .bind(content.reported_at.is_some())
        .fetch_optional(c)
        .await)?;
    Ok(match version {
        None => Stored::Unchanged,
        Some(1) => Stored::Created,
        Some(_) => Stored::Updated,
    })
}

/// Reads one work order of a tenant.
pub(crate) async fn get(tx: &mut Tx, tenant: &TenantId, id: WorkOrderId) -> Result<Option<WorkOrder>> {
    let sql = "SELECT * FROM work_orders WHERE tenant_id = $1 AND id = $2";
    let row: Option<Row> = on!(tx, |c| sqlx::query_as(sql).bind(tenant).bind(id).fetch_optional(c).await)?;
    row.map(Row::read).transpose()
}

/// Reads the work orders of a tenant, latest first.
pub(crate) async fn list(
    tx: &mut Tx,
    tenant: &TenantId,
    filter: &Filter,
    page: PageRequest,
) -> Result<Paged<WorkOrder>> {
    let shown = |select: &mut SelectStatement| {
        select.column(sea_query::Asterisk).order_by("reported_at", Order::Desc).order_by("id", Order::Desc);
    };
    read_page::<Row>(tx, matching(tenant, filter), shown, page).await?.try_map(Row::read)
}

fn matching(tenant: &TenantId, filter: &Filter) -> SelectStatement {
    let mut select = Query::select();
    select.from("work_orders").and_where(Expr::col("tenant_id").eq(tenant.as_str()));
    let words = [
        ("status", filter.status.map(|status| status.as_str().to_owned())),
        ("priority", filter.priority.map(|priority| priority.as_str().to_owned())),
        ("system_id", filter.system.map(|system| system.to_string())),
    ];
    for (column, word) in words {
        if let Some(word) = word {
            select.and_where(Expr::col(column).eq(word));
        }
    }
    select
}

/// Counts the work orders of a system.
pub(crate) async fn count_of(tx: &mut Tx, system: &System) -> Result<i64> {
    let sql = "SELECT count(*) FROM work_orders WHERE tenant_id = $1 AND system_id = $2";
    Ok(on!(tx, |c| sqlx::query_scalar(sql).bind(&system.tenant).bind(system.id).fetch_one(c).await)?)
}
