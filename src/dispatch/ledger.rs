//! Reading the ledger.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use deskhand_jobs::fingerprint::Fingerprint;
use deskhand_jobs::{BatchId, JobId, Kind, QueueName};
use sea_query::{Alias, Expr, ExprTrait, Order, Query, SelectStatement};

use super::entry::{COLUMNS, Entry, LONG_COLUMNS, Row};
use super::model::LedgerState;
use super::remote::behind;
use super::way::Way;
use crate::base::{PageRequest, Paged, Result, TenantId};
use crate::db::{Backend, Build, Text, Tx, count, page_of};
use crate::on;

/// How far a list of jobs is counted. They change state all the time, and what a database has not tidied up since costs it a look into
/// the table for each: ten times as many took 20 ms and more.
pub const COUNTED: u64 = 1_000;

/// Which jobs a list shows; what is `None` does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Where they are.
    pub state: Option<LedgerState>,
    /// What they do.
    pub kind: Option<Kind>,
    /// Their queue.
    pub queue: Option<QueueName>,
    /// The batch that they are members of.
    pub batch: Option<BatchId>,
    /// What they died of.
    pub fingerprint: Option<Fingerprint>,
    /// They ended at this instant or later.
    pub ended_after: Option<DateTime<Utc>>,
    /// They ended before this instant.
    pub ended_before: Option<DateTime<Utc>>,
}

/// What waits in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Backlog {
    /// Jobs that wait, now or for their time.
    pub pending: i64,
    /// When the first of them is due.
    pub next_due_at: Option<DateTime<Utc>>,
}

/// Reads one job of a tenant.
///
/// # Errors
/// [`Error`](crate::base::Error) of the database.
pub async fn get(tx: &mut Tx, tenant: &TenantId, id: JobId) -> Result<Option<Entry>> {
    one(tx, tenant, "id", id.to_string()).await
}

/// Reads the job that a tenant enqueued under an idempotency key.
///
/// # Errors
/// [`Error`](crate::base::Error) of the database.
pub async fn by_idempotency_key(tx: &mut Tx, tenant: &TenantId, key: &str) -> Result<Option<Entry>> {
    one(tx, tenant, "idempotency_key", key.to_owned()).await
}

/// Lists jobs of a tenant, latest first.
///
/// # Errors
/// [`Error`](crate::base::Error) of the database.
pub async fn list(tx: &mut Tx, tenant: &TenantId, filter: &Filter, page: PageRequest) -> Result<Paged<Entry>> {
    let way = Way::of(tx, tenant, filter).await?;
    let matching = narrowed_on(tenant, filter, &way);
    let mut counted = matching.clone();
    if tx.backend() == Backend::Postgres {
        // Where many have just changed their state its statistics are wrong: it would read the whole table for a thousand that are few.
        counted.order_by(col("id"), Order::Desc);
    }
    let total = count(tx, counted, COUNTED).await?;
    let mut select = matching;
    if page.offset() >= COUNTED {
        // An index leads to the page; only the rows on it are read.
        let mut ids = std::mem::replace(&mut select, Query::select().from(col("jobs")).take());
        ids.column(col("id")).order_by(col("id"), Order::Desc).limit(page.size()).offset(page.offset());
        select.and_where(Expr::col(col("id")).in_subquery(ids));
    } else {
        select.limit(page.size()).offset(page.offset());
    }
    select.columns(columns()).order_by(col("id"), Order::Desc);
    let rows: Vec<Row> = on!(tx, |c| {
        let (sql, values) = c.build(&select);
        sqlx::query_as_with(sql, values).fetch_all(c).await
    })?;
    page_of(rows, total, COUNTED, page).try_map(Entry::try_from)
}

/// Lists up to `limit` jobs of a tenant that were enqueued before one of them, latest first.
///
/// # Errors
/// [`Error`](crate::base::Error) of the database.
pub async fn walk(
    tx: &mut Tx,
    tenant: &TenantId,
    filter: &Filter,
    before: Option<JobId>,
    limit: u64,
) -> Result<Vec<Entry>> {
    let way = Way::of(tx, tenant, filter).await?;
    let mut select = narrowed_on(tenant, filter, &way);
    select
        .columns(columns())
        .and_where_option(before.map(|id| Expr::col(col("id")).lt(id.to_string())))
        .order_by(col("id"), Order::Desc)
        .limit(limit);
    let rows: Vec<Row> = on!(tx, |c| {
        let (sql, values) = c.build(&select);
        sqlx::query_as_with(sql, values).fetch_all(c).await
    })?;
    rows.into_iter().map(Entry::try_from).collect()
}

/// Reads these jobs of a tenant, in no order.
///
/// # Errors
/// [`Error`](crate::base::Error) of the database.
pub async fn by_ids(tx: &mut Tx, tenant: &TenantId, ids: &[JobId]) -> Result<Vec<Entry>> {
    let mut select = narrowed(tenant, &Filter::default());
    select.columns(columns()).and_where(is_among(ids));
    let rows: Vec<Row> = on!(tx, |c| {
        let (sql, values) = c.build(&select);
        sqlx::query_as_with(sql, values).fetch_all(c).await
    })?;
    rows.into_iter().map(Entry::try_from).collect()
}

/// Tells which of these jobs are a tenant's and fit the filter.
///
/// # Errors
/// [`Error`](crate::base::Error) of the database.
pub async fn among(tx: &mut Tx, tenant: &TenantId, filter: &Filter, ids: &[JobId]) -> Result<HashSet<JobId>> {
    let mut select = narrowed(tenant, filter);
    select.column(col("id")).and_where(is_among(ids));
    let found: Vec<Text<JobId>> = on!(tx, |c| {
        let (sql, values) = c.build(&select);
        sqlx::query_scalar_with(sql, values).fetch_all(c).await
    })?;
    Ok(found.into_iter().map(|id| id.0).collect())
}

/// Names up to `limit` jobs of a tenant, those that ended first before the others.
///
/// # Errors
/// [`Error`](crate::base::Error) of the database.
pub async fn ids(tx: &mut Tx, tenant: &TenantId, filter: &Filter, limit: u64) -> Result<Vec<JobId>> {
    let mut select = narrowed(tenant, filter);
    select.column(col("id")).order_by(col("ended_at"), Order::Asc).order_by(col("id"), Order::Asc).limit(limit);
    let found: Vec<Text<JobId>> = on!(tx, |c| {
        let (sql, values) = c.build(&select);
        sqlx::query_scalar_with(sql, values).fetch_all(c).await
    })?;
    Ok(found.into_iter().map(|id| id.0).collect())
}

/// Tells what waits for the relay, of all tenants.
///
/// # Errors
/// [`Error`](crate::base::Error) of the database.
pub async fn backlog(tx: &mut Tx) -> Result<Backlog> {
    let sql = "SELECT count(*), min(run_at) FROM jobs WHERE state = 'pending'";
    let (pending, next_due_at) = on!(tx, |c| sqlx::query_as(sql).fetch_one(c).await)?;
    Ok(Backlog { pending, next_due_at })
}

/// Removes up to `limit` jobs that succeeded or were cancelled before an instant. Dead ones stay until somebody looks, and members of a
/// batch until it closes, because then they are counted.
///
/// # Errors
/// [`Error`](crate::base::Error) of the database.
pub async fn prune(tx: &mut Tx, before: DateTime<Utc>, limit: i64) -> Result<u64> {
    let sql = "DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE ended_at < $1 AND state IN ('succeeded', 'cancelled') \
               AND NOT EXISTS (SELECT 1 FROM jobs AS closing WHERE closing.id = jobs.batch AND closing.state = 'waiting') \
               ORDER BY ended_at, id LIMIT $2)";
    Ok(on!(tx, |c| sqlx::query(sql).bind(before).bind(limit).execute(c).await.map(|done| done.rows_affected()))?)
}

/// Reads where a job of a tenant is.
///
/// # Errors
/// [`Error`](crate::base::Error) of the database.
pub async fn state(tx: &mut Tx, tenant: &TenantId, id: JobId) -> Result<Option<LedgerState>> {
    let sql = "SELECT state FROM jobs WHERE tenant_id = $1 AND id = $2";
    Ok(on!(tx, |c| sqlx::query_scalar(sql).bind(tenant).bind(Text(id)).fetch_optional(c).await)?)
}

/// Reads where these jobs are, of all tenants.
///
/// # Errors
/// [`Error`](crate::base::Error) of the database.
pub async fn states(tx: &mut Tx, ids: &[JobId]) -> Result<HashMap<JobId, LedgerState>> {
    let mut select = Query::select();
    select.columns([col("id"), col("state")]).from(col("jobs")).and_where(is_among(ids));
    let found: Vec<(Text<JobId>, LedgerState)> = on!(tx, |c| {
        let (sql, values) = c.build(&select);
        sqlx::query_as_with(sql, values).fetch_all(c).await
    })?;
    Ok(found.into_iter().map(|(id, state)| (id.0, state)).collect())
}

/// Reads the hash of the request that made a job.
pub(super) async fn idempotency_hash(tx: &mut Tx, id: JobId) -> Result<Option<String>> {
    let sql = "SELECT idempotency_hash FROM jobs WHERE id = $1";
    Ok(on!(tx, |c| sqlx::query_scalar(sql).bind(Text(id)).fetch_one(c).await)?)
}

async fn one(tx: &mut Tx, tenant: &TenantId, column: &'static str, value: String) -> Result<Option<Entry>> {
    let mut select = narrowed(tenant, &Filter::default());
    select.columns(columns()).columns(LONG_COLUMNS.map(Alias::new)).and_where(Expr::col(col(column)).eq(value));
    let row: Option<Row> = on!(tx, |c| {
        let (sql, values) = c.build(&select);
        sqlx::query_as_with(sql, values).fetch_optional(c).await
    })?;
    row.map(Entry::try_from).transpose()
}

fn narrowed(tenant: &TenantId, filter: &Filter) -> SelectStatement {
    narrowed_on(tenant, filter, &Way::default())
}

fn narrowed_on(tenant: &TenantId, filter: &Filter, way: &Way) -> SelectStatement {
    let mut select = Query::select();
    let queues = |queue| way.queues.clone().unwrap_or_else(|| meant(tenant, queue).collect());
    select
        .from(col("jobs"))
        .and_where(Expr::col(col("tenant_id")).eq(tenant.as_str()))
        .and_where_option(filter.state.map(|state| way.column("state").eq(state.as_str())))
        .and_where_option(filter.kind.as_ref().map(|kind| way.column("kind").eq(kind.as_str())))
        .and_where_option(filter.queue.as_ref().map(|queue| way.column("queue").is_in(queues(queue))))
        .and_where_option(filter.batch.map(|batch| way.column("batch").eq(batch.to_string())))
        .and_where_option(filter.fingerprint.as_ref().map(|error| Expr::col(col("fingerprint")).eq(error.as_str())))
        .and_where_option(filter.ended_after.map(|at| Expr::col(col("ended_at")).gte(at)))
        .and_where_option(filter.ended_before.map(|at| Expr::col(col("ended_at")).lt(at)));
    select
}

/// Returns the names under which rows have the queue that a tenant means: a queue of this program, or a remote one.
pub(super) fn meant(tenant: &TenantId, queue: &QueueName) -> impl Iterator<Item = String> {
    [Some(queue.clone()), behind(tenant, queue)].into_iter().flatten().map(String::from)
}

fn is_among(ids: &[JobId]) -> Expr {
    Expr::col(col("id")).is_in(ids.iter().map(JobId::to_string))
}

fn columns() -> impl Iterator<Item = Alias> {
    COLUMNS.into_iter().chain(["idempotency_key"]).map(Alias::new)
}

fn col(name: &'static str) -> Alias {
    Alias::new(name)
}
