//! The SQL of freeze windows.

use chrono::{DateTime, Utc};
use sqlx::FromRow;

use super::model::{Draft, FreezeId, FreezeWindow, Policy};
use crate::base::{Error, Result, TenantId};
use crate::db::{Backend, Tx};
use crate::on;

#[derive(Debug, FromRow)]
struct Row {
    id: FreezeId,
    tenant_id: TenantId,
    name: String,
    reason: String,
    starts_at: Option<DateTime<Utc>>,
    ends_at: Option<DateTime<Utc>>,
    cron: Option<String>,
    zone: Option<String>,
    duration_ms: Option<i64>,
    schedules: String,
    kinds: String,
    policy: Policy,
    enabled: bool,
    created_by: String,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    version: i64,
}

impl Row {
    fn read(self) -> Result<FreezeWindow> {
        let names = |text: &str| {
            serde_json::from_str(text).map_err(|error| {
                Error::internal(format!("what freeze window {} covers cannot be read", self.name), error)
            })
        };
        let (schedules, kinds) = (names(&self.schedules)?, names(&self.kinds)?);
        Ok(FreezeWindow {
            id: self.id,
            tenant_id: self.tenant_id,
            draft: Draft {
                name: self.name,
                reason: self.reason,
                starts_at: self.starts_at,
                ends_at: self.ends_at,
                cron: self.cron,
                zone: self.zone,
                duration_ms: self.duration_ms,
                schedules,
                kinds,
                policy: self.policy,
                enabled: self.enabled,
            },
            created_by: self.created_by,
            created_at: self.created_at,
            updated_at: self.updated_at,
            version: self.version,
        })
    }
}

/// Lists the windows of a tenant by name.
pub(super) async fn list(tx: &mut Tx, tenant: &TenantId) -> Result<Vec<FreezeWindow>> {
    let sql = "SELECT * FROM freeze_windows WHERE tenant_id = $1 ORDER BY name";
    let rows: Vec<Row> = on!(tx, |c| sqlx::query_as(sql).bind(tenant).fetch_all(c).await)?;
    rows.into_iter().map(Row::read).collect()
}

/// Lists the windows of a tenant that count and are not over for good.
pub(in crate::dispatch) async fn enabled(
    tx: &mut Tx,
    tenant: &TenantId,
    after: DateTime<Utc>,
) -> Result<Vec<FreezeWindow>> {
    let sql = "SELECT * FROM freeze_windows WHERE tenant_id = $1 AND enabled AND (cron IS NOT NULL OR ends_at > $2) ORDER BY name";
    let rows: Vec<Row> = on!(tx, |c| sqlx::query_as(sql).bind(tenant).bind(after).fetch_all(c).await)?;
    rows.into_iter().map(Row::read).collect()
}

pub(super) async fn by_id(tx: &mut Tx, tenant: &TenantId, id: FreezeId) -> Result<Option<FreezeWindow>> {
    let sql = "SELECT * FROM freeze_windows WHERE tenant_id = $1 AND id = $2";
    let row: Option<Row> = on!(tx, |c| sqlx::query_as(sql).bind(tenant).bind(id).fetch_optional(c).await)?;
    row.map(Row::read).transpose()
}

pub(super) async fn by_name(tx: &mut Tx, tenant: &TenantId, name: &str) -> Result<Option<FreezeWindow>> {
    let sql = "SELECT * FROM freeze_windows WHERE tenant_id = $1 AND name = $2";
    let row: Option<Row> = on!(tx, |c| sqlx::query_as(sql).bind(tenant).bind(name).fetch_optional(c).await)?;
    row.map(Row::read).transpose()
}

/// Writes a new window; `false` if the tenant has one of this name.
pub(super) async fn insert(tx: &mut Tx, window: &FreezeWindow) -> Result<bool> {
    let sql = "INSERT INTO freeze_windows (id, tenant_id, name, reason, starts_at, ends_at, cron, zone, duration_ms, schedules, kinds, \
               policy, enabled, created_by, created_at, updated_at, version) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $15, $16) ON CONFLICT DO NOTHING";
    let FreezeWindow { draft, .. } = window;
    let (schedules, kinds) = (json(&draft.schedules)?, json(&draft.kinds)?);
    let written = on!(tx, |c| sqlx::query(sql)
        .bind(window.id)
        .bind(&window.tenant_id)
        .bind(&draft.name)
        .bind(&draft.reason)
        .bind(draft.starts_at)
        .bind(draft.ends_at)
        .bind(&draft.cron)
        .bind(&draft.zone)
        .bind(draft.duration_ms)
        .bind(schedules)
        .bind(kinds)
        .bind(draft.policy)
        .bind(draft.enabled)
        .bind(&window.created_by)
        .bind(window.created_at)
        .bind(window.version)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(written == 1)
}

/// Writes a window back if nobody changed it since it was read; `false` if somebody was first.
pub(super) async fn update(tx: &mut Tx, window: &FreezeWindow) -> Result<bool> {
    let sql = "UPDATE freeze_windows SET name = $4, reason = $5, starts_at = $6, ends_at = $7, cron = $8, zone = $9, duration_ms = $10, \
               schedules = $11, kinds = $12, policy = $13, enabled = $14, updated_at = $15, version = version + 1 \
               WHERE tenant_id = $1 AND id = $2 AND version = $3";
    let FreezeWindow { draft, .. } = window;
    let (schedules, kinds) = (json(&draft.schedules)?, json(&draft.kinds)?);
    let written = on!(tx, |c| sqlx::query(sql)
        .bind(&window.tenant_id)
        .bind(window.id)
        .bind(window.version)
        .bind(&draft.name)
        .bind(&draft.reason)
        .bind(draft.starts_at)
        .bind(draft.ends_at)
        .bind(&draft.cron)
        .bind(&draft.zone)
        .bind(draft.duration_ms)
        .bind(schedules)
        .bind(kinds)
        .bind(draft.policy)
        .bind(draft.enabled)
        .bind(window.updated_at)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(written == 1)
}

pub(super) async fn delete(tx: &mut Tx, tenant: &TenantId, id: FreezeId) -> Result<()> {
    let sql = "DELETE FROM freeze_windows WHERE tenant_id = $1 AND id = $2";
    Ok(on!(tx, |c| sqlx::query(sql).bind(tenant).bind(id).execute(c).await.map(|_| ()))?)
}

/// Has the scheduler judge deferred slots again: the calendar that deferred them is another one now.
pub(super) async fn wake_deferred(tx: &mut Tx, tenant: &TenantId, now: DateTime<Utc>) -> Result<()> {
    if tx.backend() == Backend::Postgres {
        // Always in the order of ids, so that two who change the calendar do not wait for each other. SQLite has one writer.
        let sql = "SELECT 1 FROM schedules WHERE tenant_id = $1 AND held_until IS NOT NULL ORDER BY id FOR UPDATE";
        on!(tx, |c| sqlx::query(sql).bind(tenant).execute(c).await.map(|_| ()))?;
    }
    let sql = "UPDATE schedules SET held_until = $2, next_at = $2, version = version + 1 \
               WHERE tenant_id = $1 AND held_until IS NOT NULL AND NOT paused";
    Ok(on!(tx, |c| sqlx::query(sql).bind(tenant).bind(now).execute(c).await.map(|_| ()))?)
}

fn json(names: &[String]) -> Result<String> {
    serde_json::to_string(names).map_err(|error| Error::internal("cannot write what a freeze window covers", error))
}
