//! The SQL of roles and grants.

use chrono::{DateTime, Utc};

use super::model::{BusinessId, Grant, Role, RoleName};
use crate::access::scope::Scopes;
use crate::access::users::{User, store::columns};
use crate::base::{Result, TenantId, UserId};
use crate::db::Tx;
use crate::on;

#[derive(sqlx::FromRow)]
struct RoleRow {
    name: RoleName,
    label: String,
    description: String,
    scopes: String,
    version: i64,
}

impl From<RoleRow> for Role {
    fn from(row: RoleRow) -> Self {
        let scopes = Scopes::read(&row.scopes);
        Self {
            name: row.name,
            label: row.label,
            description: row.description,
            scopes,
            built_in: false,
            version: row.version,
        }
    }
}

#[derive(sqlx::FromRow)]
struct GrantRow {
    user_id: UserId,
    role: RoleName,
    business_id: String,
    granted_by: String,
    created_at: DateTime<Utc>,
}

impl From<GrantRow> for Grant {
    fn from(row: GrantRow) -> Self {
        let business_id = BusinessId::new(row.business_id).ok();
        Self {
            user_id: row.user_id,
            role: row.role,
            business_id,
            granted_by: row.granted_by,
            created_at: row.created_at,
        }
    }
}

/// A row without a business has an empty text, because no two nulls are the same to a unique index.
fn text_of(business: Option<&BusinessId>) -> &str {
    business.map_or("", BusinessId::as_str)
}

/// Writes a new role; `false` if the tenant has one of this name.
pub(super) async fn insert_role(tx: &mut Tx, tenant: &TenantId, role: &Role) -> Result<bool> {
    let now = tx.now();
    let sql = "INSERT INTO roles (tenant_id, name, label, description, scopes, created_at, updated_at, version) \
               VALUES ($1, $2, $3, $4, $5, $6, $6, $7) ON CONFLICT DO NOTHING";
    let written = on!(tx, |c| sqlx::query(sql)
        .bind(tenant)
        .bind(&role.name)
        .bind(&role.label)
        .bind(&role.description)
        .bind(role.scopes.to_string())
        .bind(now)
        .bind(role.version)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(written == 1)
}

/// Writes a role back if nobody changed it since it was read; `false` if somebody was first.
pub(super) async fn update_role(tx: &mut Tx, tenant: &TenantId, role: &Role) -> Result<bool> {
    let now = tx.now();
    let sql = "UPDATE roles SET label = $4, description = $5, scopes = $6, updated_at = $7, version = version + 1 \
               WHERE tenant_id = $1 AND name = $2 AND version = $3";
    let written = on!(tx, |c| sqlx::query(sql)
        .bind(tenant)
        .bind(&role.name)
        .bind(role.version)
        .bind(&role.label)
        .bind(&role.description)
        .bind(role.scopes.to_string())
        .bind(now)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(written == 1)
}

pub(super) async fn delete_role(tx: &mut Tx, tenant: &TenantId, name: &RoleName) -> Result<()> {
    let sql = "DELETE FROM roles WHERE tenant_id = $1 AND name = $2";
    Ok(on!(tx, |c| sqlx::query(sql).bind(tenant).bind(name).execute(c).await.map(|_| ()))?)
}

/// Reads the roles that a tenant made, by name.
pub(in crate::access) async fn made_roles(tx: &mut Tx, tenant: &TenantId) -> Result<Vec<Role>> {
    let sql = "SELECT name, label, description, scopes, version FROM roles WHERE tenant_id = $1 ORDER BY name";
    let rows: Vec<RoleRow> = on!(tx, |c| sqlx::query_as(sql).bind(tenant).fetch_all(c).await)?;
    Ok(rows.into_iter().map(Role::from).collect())
}

/// Counts the grants of a role.
pub(super) async fn count_grants(tx: &mut Tx, tenant: &TenantId, role: &RoleName) -> Result<i64> {
    let sql = "SELECT count(*) FROM role_grants WHERE tenant_id = $1 AND role = $2";
    Ok(on!(tx, |c| sqlx::query_scalar(sql).bind(tenant).bind(role).fetch_one(c).await)?)
}

/// Writes a grant; `false` if it is there.
pub(in crate::access) async fn insert_grant(tx: &mut Tx, tenant: &TenantId, grant: &Grant) -> Result<bool> {
    let sql = "INSERT INTO role_grants (tenant_id, user_id, role, business_id, granted_by, created_at) \
               VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING";
    let written = on!(tx, |c| sqlx::query(sql)
        .bind(tenant)
        .bind(grant.user_id)
        .bind(&grant.role)
        .bind(text_of(grant.business_id.as_ref()))
        .bind(&grant.granted_by)
        .bind(grant.created_at)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(written == 1)
}

/// Removes a grant; `false` if there was none.
pub(in crate::access) async fn delete_grant(
    tx: &mut Tx,
    tenant: &TenantId,
    user: UserId,
    role: &RoleName,
    business: Option<&BusinessId>,
) -> Result<bool> {
    let sql = "DELETE FROM role_grants WHERE tenant_id = $1 AND user_id = $2 AND role = $3 AND business_id = $4";
    let gone = on!(tx, |c| sqlx::query(sql)
        .bind(tenant)
        .bind(user)
        .bind(role)
        .bind(text_of(business))
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(gone == 1)
}

/// Reads what a person was granted in a tenant.
pub(in crate::access) async fn grants_of(tx: &mut Tx, tenant: &TenantId, user: UserId) -> Result<Vec<Grant>> {
    let sql = "SELECT user_id, role, business_id, granted_by, created_at FROM role_grants \
               WHERE tenant_id = $1 AND user_id = $2 ORDER BY role, business_id";
    let rows: Vec<GrantRow> = on!(tx, |c| sqlx::query_as(sql).bind(tenant).bind(user).fetch_all(c).await)?;
    Ok(rows.into_iter().map(Grant::from).collect())
}

/// Finds who has a role: for a business, who has it for everything or for that business, else who has it for everything. Who may
/// not come in has none.
///
/// # Errors
/// [`Error`](crate::base::Error) of the database.
pub async fn holders(
    tx: &mut Tx,
    tenant: &TenantId,
    role: &RoleName,
    business: Option<&BusinessId>,
) -> Result<Vec<User>> {
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM users u WHERE u.disabled_at IS NULL AND u.id IN \
          (SELECT g.user_id FROM role_grants g WHERE g.tenant_id = $1 AND g.role = $2 AND g.business_id IN ('', $3)) \
          ORDER BY u.name"
    );
    let business = text_of(business);
    Ok(on!(tx, |c| sqlx::query_as(sql).bind(tenant).bind(role).bind(business).fetch_all(c).await)?)
}
