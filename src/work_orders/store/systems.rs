//! The table `work_order_systems`.

use chrono::{DateTime, Utc};
use deskhand_jobs::JobId;
use url::Url;

use super::json;
use crate::base::{PageRequest, Paged, Result, TenantId};
use crate::db::{Text, Tx};
use crate::on;
use crate::work_orders::model::{Sealed, System, SystemId};

#[derive(sqlx::FromRow)]
struct Row {
    id: SystemId,
    tenant_id: TenantId,
    name: String,
    system_type: String,
    api_url: Text<Url>,
    username: Option<String>,
    api_key: Option<String>,
    password: Option<String>,
    is_active: bool,
    sync_interval: i64,
    initial_days: Option<i64>,
    settings: String,
    mapping: String,
    cursor_at: Option<DateTime<Utc>>,
    last_sync_at: Option<DateTime<Utc>>,
    last_attempt_at: Option<DateTime<Utc>>,
    failure_streak: i64,
    blocked_until: Option<DateTime<Utc>>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl Row {
    fn read(self) -> Result<System> {
        Ok(System {
            settings: json::read("work_order_systems.settings", &self.settings)?,
            mapping: json::read("work_order_systems.mapping", &self.mapping)?,
            id: self.id,
            tenant: self.tenant_id,
            name: self.name,
            system_type: self.system_type,
            api_url: self.api_url.0,
            username: self.username,
            api_key: self.api_key.map(Sealed),
            password: self.password.map(Sealed),
            is_active: self.is_active,
            sync_interval: self.sync_interval,
            initial_days: self.initial_days,
            cursor_at: self.cursor_at,
            last_sync_at: self.last_sync_at,
            last_attempt_at: self.last_attempt_at,
            failure_streak: self.failure_streak,
            blocked_until: self.blocked_until,
            version: self.version,
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}

/// Writes a new system; a name that is taken is a unique violation.
pub(crate) async fn insert(tx: &mut Tx, system: &System) -> Result<()> {
    let sql = "INSERT INTO work_order_systems (id, tenant_id, name, system_type, api_url, username, api_key, password, \
               is_active, sync_interval, initial_days, settings, mapping, version, created_at, updated_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)";
    let settings = json::write("settings", &system.settings)?;
    let mapping = json::write("mapping", &system.mapping)?;
    on!(tx, |c| sqlx::query(sql)
        .bind(system.id)
        .bind(&system.tenant)
        .bind(&system.name)
        .bind(&system.system_type)
        .bind(system.api_url.as_str())
        .bind(&system.username)
        .bind(system.api_key.as_ref().map(|key| &key.0))
        .bind(system.password.as_ref().map(|password| &password.0))
        .bind(system.is_active)
        .bind(system.sync_interval)
        .bind(system.initial_days)
        .bind(settings)
        .bind(mapping)
        .bind(system.version)
        .bind(system.created_at)
        .bind(system.updated_at)
        .execute(c)
        .await
        .map(|_| ()))?;
    Ok(())
}

/// Writes the settings of a system over those of the version before; `false` if somebody was faster.
pub(crate) async fn update(tx: &mut Tx, system: &System) -> Result<bool> {
    let sql = "UPDATE work_order_systems SET name = $3, api_url = $4, username = $5, api_key = $6, password = $7, \
               is_active = $8, sync_interval = $9, initial_days = $10, settings = $11, mapping = $12, cursor_at = $13, \
               failure_streak = $14, blocked_until = $15, version = version + 1, updated_at = $16 \
               WHERE id = $1 AND version = $2";
    let settings = json::write("settings", &system.settings)?;
    let mapping = json::write("mapping", &system.mapping)?;
    let changed = on!(tx, |c| sqlx::query(sql)
        .bind(system.id)
        .bind(system.version)
        .bind(&system.name)
        .bind(system.api_url.as_str())
        .bind(&system.username)
        .bind(system.api_key.as_ref().map(|key| &key.0))
        .bind(system.password.as_ref().map(|password| &password.0))
        .bind(system.is_active)
        .bind(system.sync_interval)
        .bind(system.initial_days)
        .bind(settings)
        .bind(mapping)
        .bind(system.cursor_at)
        .bind(system.failure_streak)
        .bind(system.blocked_until)
        .bind(system.updated_at)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(changed == 1)
}

/// Reads one system by its id alone, for jobs; a caller from outside asks for [`get`].
pub(crate) async fn find(tx: &mut Tx, id: SystemId) -> Result<Option<System>> {
    let sql = "SELECT * FROM work_order_systems WHERE id = $1";
    let row: Option<Row> = on!(tx, |c| sqlx::query_as(sql).bind(id).fetch_optional(c).await)?;
    row.map(Row::read).transpose()
}

/// Reads one system of a tenant.
pub(crate) async fn get(tx: &mut Tx, tenant: &TenantId, id: SystemId) -> Result<Option<System>> {
    Ok(find(tx, id).await?.filter(|system| system.tenant == *tenant))
}

/// Reads the systems of a tenant, by name.
pub(crate) async fn list(tx: &mut Tx, tenant: &TenantId, page: PageRequest) -> Result<Paged<System>> {
    let count = "SELECT count(*) FROM work_order_systems WHERE tenant_id = $1";
    let total: i64 = on!(tx, |c| sqlx::query_scalar(count).bind(tenant).fetch_one(c).await)?;
    let sql = "SELECT * FROM work_order_systems WHERE tenant_id = $1 ORDER BY name, id LIMIT $2 OFFSET $3";
    let rows: Vec<Row> = on!(tx, |c| sqlx::query_as(sql)
        .bind(tenant)
        .bind(page.size() as i64)
        .bind(page.offset() as i64)
        .fetch_all(c)
        .await)?;
    let systems = rows.into_iter().map(Row::read).collect::<Result<_>>()?;
    Ok(Paged::new(systems, total as u64, page))
}

/// Reads the systems that take part in the synchronisation: of one tenant, or of all.
pub(crate) async fn active(tx: &mut Tx, tenant: Option<&TenantId>) -> Result<Vec<System>> {
    let sql = "SELECT * FROM work_order_systems WHERE is_active AND tenant_id = coalesce($1, tenant_id) ORDER BY id";
    let rows: Vec<Row> = on!(tx, |c| sqlx::query_as(sql).bind(tenant).fetch_all(c).await)?;
    rows.into_iter().map(Row::read).collect()
}

/// Notes that a run was asked for; `false` if somebody else noted one since the system was read.
pub(crate) async fn note_attempt(tx: &mut Tx, system: &System) -> Result<bool> {
    let sql =
        "UPDATE work_order_systems SET last_attempt_at = $2 WHERE id = $1 AND last_attempt_at IS NOT DISTINCT FROM $3";
    let now = tx.now();
    let changed = on!(tx, |c| sqlx::query(sql)
        .bind(system.id)
        .bind(now)
        .bind(system.last_attempt_at)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(changed == 1)
}

/// Returns the job that was last asked to run a system, and holds the row until the end of the transaction: of two that ask at
/// once, the second sees the job of the first.
pub(crate) async fn asked_job(tx: &mut Tx, id: SystemId) -> Result<Option<JobId>> {
    let sql = "UPDATE work_order_systems SET asked_job_id = asked_job_id WHERE id = $1 RETURNING asked_job_id";
    let asked: Option<Option<Text<JobId>>> = on!(tx, |c| sqlx::query_scalar(sql).bind(id).fetch_optional(c).await)?;
    Ok(asked.flatten().map(|job| job.0))
}

/// Notes the job that was asked to run a system.
pub(crate) async fn note_asked(tx: &mut Tx, id: SystemId, job: JobId) -> Result<()> {
    let sql = "UPDATE work_order_systems SET asked_job_id = $2 WHERE id = $1";
    on!(tx, |c| sqlx::query(sql).bind(id).bind(Text(job)).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Moves the mark forward; it never goes back. Nothing changes if the settings that the run began with are no longer those of
/// the system, for the mark may be that of another site.
pub(crate) async fn advance(tx: &mut Tx, system: &System, mark: Option<DateTime<Utc>>) -> Result<()> {
    let Some(mark) = mark else { return Ok(()) };
    let sql = "UPDATE work_order_systems SET cursor_at = $2 WHERE id = $1 AND api_url = $3 \
               AND (cursor_at IS NULL OR cursor_at < $2)";
    on!(tx, |c| sqlx::query(sql)
        .bind(system.id)
        .bind(mark)
        .bind(system.api_url.as_str())
        .execute(c)
        .await
        .map(|_| ()))?;
    Ok(())
}

/// Notes that the system asked us to leave it alone.
pub(crate) async fn block(tx: &mut Tx, id: SystemId, until: DateTime<Utc>) -> Result<()> {
    let sql = "UPDATE work_order_systems SET blocked_until = $2 WHERE id = $1";
    on!(tx, |c| sqlx::query(sql).bind(id).bind(until).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Notes the end of a run; answers how many in a row have failed by now.
pub(crate) async fn note_end(tx: &mut Tx, id: SystemId, reached_the_end: bool) -> Result<i64> {
    let sql = "UPDATE work_order_systems SET blocked_until = NULL, \
               last_sync_at = CASE WHEN $3 THEN $2 ELSE last_sync_at END, \
               failure_streak = CASE WHEN $3 THEN 0 ELSE failure_streak + 1 END WHERE id = $1 RETURNING failure_streak";
    let now = tx.now();
    let streak: Option<i64> =
        on!(tx, |c| sqlx::query_scalar(sql).bind(id).bind(now).bind(reached_the_end).fetch_optional(c).await)?;
    Ok(streak.unwrap_or_default())
}

/// Removes a system with its logs and orders.
pub(crate) async fn delete(tx: &mut Tx, id: SystemId) -> Result<()> {
    for sql in [
        "DELETE FROM work_order_sync_parts WHERE system_id = $1",
        "DELETE FROM work_order_failures WHERE system_id = $1",
        "DELETE FROM work_order_sync_logs WHERE system_id = $1",
        "DELETE FROM work_orders WHERE system_id = $1",
        "DELETE FROM work_order_systems WHERE id = $1",
    ] {
        on!(tx, |c| sqlx::query(sql).bind(id).execute(c).await.map(|_| ()))?;
    }
    Ok(())
}
