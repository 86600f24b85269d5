//! The SQL of remote queues and remote workers.

use chrono::{DateTime, Utc};
use deskhand_jobs::{QueueName, WorkerId};

use super::model::{RemoteDefaults, RemoteQueue, RemoteWorker};
use crate::base::{Error, Result, TenantId};
use crate::db::{Text, Tx};
use crate::on;

#[derive(sqlx::FromRow)]
struct QueueRow {
    name: Text<QueueName>,
    timeout_ms: Option<i64>,
    max_attempts: Option<i64>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<QueueRow> for RemoteQueue {
    fn from(row: QueueRow) -> Self {
        let defaults = RemoteDefaults {
            timeout_ms: row.timeout_ms.and_then(|ms| u64::try_from(ms).ok()),
            max_attempts: row.max_attempts.and_then(|most| u32::try_from(most).ok()),
        };
        Self { name: row.name.0, defaults, created_at: row.created_at, updated_at: row.updated_at }
    }
}

#[derive(sqlx::FromRow)]
struct WorkerRow {
    tenant_id: TenantId,
    id: Text<WorkerId>,
    owner: String,
    name: String,
    queues: String,
    concurrency: i64,
    started_at: DateTime<Utc>,
    seen_at: DateTime<Utc>,
    check_at: Option<DateTime<Utc>>,
}

impl TryFrom<WorkerRow> for RemoteWorker {
    type Error = Error;

    fn try_from(row: WorkerRow) -> Result<Self> {
        let queues = serde_json::from_str(&row.queues)
            .map_err(|error| Error::internal(format!("cannot read the queues of worker {}", row.id.0), error))?;
        Ok(Self {
            tenant: row.tenant_id,
            id: row.id.0,
            owner: row.owner,
            name: row.name,
            queues,
            concurrency: usize::try_from(row.concurrency).unwrap_or(1),
            started_at: row.started_at,
            seen_at: row.seen_at,
            check_at: row.check_at,
        })
    }
}

pub(super) async fn put_queue(tx: &mut Tx, tenant: &TenantId, queue: &RemoteQueue) -> Result<()> {
    let sql = "INSERT INTO remote_queues (tenant_id, name, timeout_ms, max_attempts, created_at, updated_at) \
               VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (tenant_id, name) DO UPDATE SET \
               timeout_ms = excluded.timeout_ms, max_attempts = excluded.max_attempts, updated_at = excluded.updated_at";
    Ok(on!(tx, |c| sqlx::query(sql)
        .bind(tenant)
        .bind(queue.name.as_str())
        .bind(queue.defaults.timeout_ms.map(|ms| i64::try_from(ms).unwrap_or(i64::MAX)))
        .bind(queue.defaults.max_attempts.map(i64::from))
        .bind(queue.created_at)
        .bind(queue.updated_at)
        .execute(c)
        .await
        .map(|_| ()))?)
}

pub(super) async fn remove_queue(tx: &mut Tx, tenant: &TenantId, name: &QueueName) -> Result<()> {
    let sql = "DELETE FROM remote_queues WHERE tenant_id = $1 AND name = $2";
    Ok(on!(tx, |c| sqlx::query(sql).bind(tenant).bind(name.as_str()).execute(c).await.map(|_| ()))?)
}

pub(super) async fn queue(tx: &mut Tx, tenant: &TenantId, name: &QueueName) -> Result<Option<RemoteQueue>> {
    let sql = "SELECT name, timeout_ms, max_attempts, created_at, updated_at FROM remote_queues \
               WHERE tenant_id = $1 AND name = $2";
    let row: Option<QueueRow> =
        on!(tx, |c| sqlx::query_as(sql).bind(tenant).bind(name.as_str()).fetch_optional(c).await)?;
    Ok(row.map(RemoteQueue::from))
}

pub(super) async fn queues(tx: &mut Tx, tenant: &TenantId) -> Result<Vec<RemoteQueue>> {
    let sql = "SELECT name, timeout_ms, max_attempts, created_at, updated_at FROM remote_queues \
               WHERE tenant_id = $1 ORDER BY name";
    let rows: Vec<QueueRow> = on!(tx, |c| sqlx::query_as(sql).bind(tenant).fetch_all(c).await)?;
    Ok(rows.into_iter().map(RemoteQueue::from).collect())
}

/// Says whether a queue of the engine has jobs that have not ended for good.
pub(super) async fn has_jobs(tx: &mut Tx, tenant: &TenantId, queue: &QueueName) -> Result<bool> {
    let sql = "SELECT id FROM jobs WHERE tenant_id = $1 AND queue = $2 AND state IN ('waiting', 'pending', 'pushed', 'dead') LIMIT 1";
    let found: Option<String> =
        on!(tx, |c| sqlx::query_scalar(sql).bind(tenant).bind(queue.as_str()).fetch_optional(c).await)?;
    Ok(found.is_some())
}

pub(super) async fn add_worker(tx: &mut Tx, worker: &RemoteWorker) -> Result<()> {
    let sql = "INSERT INTO remote_workers (tenant_id, id, owner, name, queues, concurrency, started_at, seen_at, check_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    let queues = serde_json::to_string(&worker.queues).unwrap_or_default();
    Ok(on!(tx, |c| sqlx::query(sql)
        .bind(&worker.tenant)
        .bind(Text(worker.id))
        .bind(&worker.owner)
        .bind(&worker.name)
        .bind(queues)
        .bind(worker.concurrency as i64)
        .bind(worker.started_at)
        .bind(worker.seen_at)
        .bind(worker.check_at)
        .execute(c)
        .await
        .map(|_| ()))?)
}

pub(super) async fn worker(tx: &mut Tx, tenant: &TenantId, id: WorkerId) -> Result<Option<RemoteWorker>> {
    let sql = "SELECT * FROM remote_workers WHERE tenant_id = $1 AND id = $2";
    let row: Option<WorkerRow> = on!(tx, |c| sqlx::query_as(sql).bind(tenant).bind(Text(id)).fetch_optional(c).await)?;
    row.map(RemoteWorker::try_from).transpose()
}

pub(super) async fn remove_worker(tx: &mut Tx, tenant: &TenantId, id: WorkerId) -> Result<()> {
    let sql = "DELETE FROM remote_workers WHERE tenant_id = $1 AND id = $2";
    Ok(on!(tx, |c| sqlx::query(sql).bind(tenant).bind(Text(id)).execute(c).await.map(|_| ()))?)
}

/// Forgets workers of a tenant that were not seen since an instant.
pub(super) async fn forget_workers(tx: &mut Tx, tenant: &TenantId, since: DateTime<Utc>) -> Result<()> {
    let sql = "DELETE FROM remote_workers WHERE tenant_id = $1 AND seen_at < $2";
    Ok(on!(tx, |c| sqlx::query(sql).bind(tenant).bind(since).execute(c).await.map(|_| ()))?)
}

pub(super) async fn note_sight(tx: &mut Tx, worker: &RemoteWorker, now: DateTime<Utc>) -> Result<()> {
    let sql = "UPDATE remote_workers SET seen_at = $1 WHERE tenant_id = $2 AND id = $3";
    Ok(on!(tx, |c| sqlx::query(sql).bind(now).bind(&worker.tenant).bind(Text(worker.id)).execute(c).await.map(|_| ()))?)
}

/// Says that there is nothing to check, until somebody says otherwise.
pub(super) async fn uncheck(tx: &mut Tx, worker: &RemoteWorker) -> Result<()> {
    let sql = "UPDATE remote_workers SET check_at = NULL WHERE tenant_id = $1 AND id = $2";
    Ok(on!(tx, |c| sqlx::query(sql).bind(&worker.tenant).bind(Text(worker.id)).execute(c).await.map(|_| ()))?)
}

/// Says when to check at the latest.
pub(super) async fn check_by(tx: &mut Tx, worker: &RemoteWorker, at: DateTime<Utc>) -> Result<()> {
    let sql = "UPDATE remote_workers SET check_at = $1 \
               WHERE tenant_id = $2 AND id = $3 AND (check_at IS NULL OR check_at > $1)";
    Ok(on!(tx, |c| sqlx::query(sql).bind(at).bind(&worker.tenant).bind(Text(worker.id)).execute(c).await.map(|_| ()))?)
}
