//! The SQL of tenants.

use chrono::{DateTime, Utc};

use super::model::Tenant;
use crate::base::{PageRequest, Paged, Result, TenantId};
use crate::db::Tx;
use crate::on;

/// Writes a new tenant; `false` if there is one of this id.
pub(super) async fn insert(tx: &mut Tx, tenant: &Tenant) -> Result<bool> {
    let sql = "INSERT INTO tenants (tenant_id, name, disabled_at, created_at, updated_at, version) \
               VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING";
    let written = on!(tx, |c| sqlx::query(sql)
        .bind(&tenant.tenant_id)
        .bind(&tenant.name)
        .bind(tenant.disabled_at)
        .bind(tenant.created_at)
        .bind(tenant.updated_at)
        .bind(tenant.version)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(written == 1)
}

pub(in crate::access) async fn by_id(tx: &mut Tx, id: &TenantId) -> Result<Option<Tenant>> {
    let sql = "SELECT * FROM tenants WHERE tenant_id = $1";
    Ok(on!(tx, |c| sqlx::query_as(sql).bind(id).fetch_optional(c).await)?)
}

pub(super) async fn list(tx: &mut Tx, page: PageRequest) -> Result<Paged<Tenant>> {
    let total: i64 = on!(tx, |c| sqlx::query_scalar("SELECT count(*) FROM tenants").fetch_one(c).await)?;
    let sql = "SELECT * FROM tenants ORDER BY tenant_id LIMIT $1 OFFSET $2";
    let tenants =
        on!(tx, |c| sqlx::query_as(sql).bind(page.size() as i64).bind(page.offset() as i64).fetch_all(c).await)?;
    Ok(Paged::new(tenants, total as u64, page))
}

/// Writes a tenant back if nobody changed it since it was read; `false` if somebody was first.
pub(super) async fn update(tx: &mut Tx, tenant: &Tenant, now: DateTime<Utc>) -> Result<bool> {
    let sql = "UPDATE tenants SET name = $3, disabled_at = $4, updated_at = $5, version = version + 1 \
               WHERE tenant_id = $1 AND version = $2";
    let written = on!(tx, |c| sqlx::query(sql)
        .bind(&tenant.tenant_id)
        .bind(tenant.version)
        .bind(&tenant.name)
        .bind(tenant.disabled_at)
        .bind(now)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(written == 1)
}
