//! The SQL of people and of their memberships.

use chrono::{DateTime, Utc};

use super::model::User;
use crate::base::{PageRequest, Paged, Result, TenantId, UserId};
use crate::db::Tx;
use crate::on;

/// All that is told of a person: its password is not.
macro_rules! columns {
    () => {
        "u.id, u.tenant_id, u.name, u.display_name, u.email, u.phone, u.zone, u.locale, u.disabled_at, \
         u.must_change_password, u.last_login_at, u.created_at, u.updated_at, u.version"
    };
}
pub(in crate::access) use columns;

/// Writes a new person; `false` if the name is taken.
pub(in crate::access) async fn insert(
    tx: &mut Tx,
    user: &User,
    password_hash: Option<&str>,
    subject: Option<&str>,
) -> Result<bool> {
    let sql = "INSERT INTO users (id, tenant_id, name, display_name, email, phone, zone, locale, disabled_at, password_hash, \
                                  must_change_password, subject, last_login_at, created_at, updated_at, version) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) ON CONFLICT DO NOTHING";
    let written = on!(tx, |c| sqlx::query(sql)
        .bind(user.id)
        .bind(&user.tenant_id)
        .bind(&user.name)
        .bind(&user.display_name)
        .bind(&user.email)
        .bind(&user.phone)
        .bind(&user.zone)
        .bind(&user.locale)
        .bind(user.disabled_at)
        .bind(password_hash)
        .bind(user.must_change_password)
        .bind(subject)
        .bind(user.last_login_at)
        .bind(user.created_at)
        .bind(user.updated_at)
        .bind(user.version)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(written == 1)
}

pub(in crate::access) async fn by_id(tx: &mut Tx, id: UserId) -> Result<Option<User>> {
    let sql = concat!("SELECT ", columns!(), " FROM users u WHERE u.id = $1");
    Ok(on!(tx, |c| sqlx::query_as(sql).bind(id).fetch_optional(c).await)?)
}

pub(in crate::access) async fn by_name(tx: &mut Tx, name: &str) -> Result<Option<User>> {
    let sql = concat!("SELECT ", columns!(), " FROM users u WHERE u.name = $1");
    Ok(on!(tx, |c| sqlx::query_as(sql).bind(name).fetch_optional(c).await)?)
}

/// Reads a member of a tenant.
pub(in crate::access) async fn member(tx: &mut Tx, tenant: &TenantId, id: UserId) -> Result<Option<User>> {
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM users u JOIN memberships m ON m.user_id = u.id WHERE m.tenant_id = $1 AND m.user_id = $2"
    );
    Ok(on!(tx, |c| sqlx::query_as(sql).bind(tenant).bind(id).fetch_optional(c).await)?)
}

/// Lists the members of a tenant by name; `part` narrows to those in whose names it occurs.
pub(super) async fn members(
    tx: &mut Tx,
    tenant: &TenantId,
    part: Option<&str>,
    page: PageRequest,
) -> Result<Paged<User>> {
    let escaped = part.unwrap_or_default().replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    let pattern = format!("%{escaped}%");
    let sql = "SELECT count(*) FROM users u JOIN memberships m ON m.user_id = u.id WHERE m.tenant_id = $1 \
               AND (lower(u.name) LIKE lower($2) ESCAPE '\\' OR lower(u.display_name) LIKE lower($2) ESCAPE '\\')";
    let total: i64 = on!(tx, |c| sqlx::query_scalar(sql).bind(tenant).bind(&pattern).fetch_one(c).await)?;
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM users u JOIN memberships m ON m.user_id = u.id WHERE m.tenant_id = $1 \
          AND (lower(u.name) LIKE lower($2) ESCAPE '\\' OR lower(u.display_name) LIKE lower($2) ESCAPE '\\') \
          ORDER BY u.name LIMIT $3 OFFSET $4"
    );
    let users = on!(tx, |c| sqlx::query_as(sql)
        .bind(tenant)
        .bind(&pattern)
        .bind(page.size() as i64)
        .bind(page.offset() as i64)
        .fetch_all(c)
        .await)?;
    Ok(Paged::new(users, total as u64, page))
}

/// Writes a person back if nobody changed it since it was read; `false` if somebody was first.
pub(in crate::access) async fn update(tx: &mut Tx, user: &User) -> Result<bool> {
    let sql = "UPDATE users SET tenant_id = $3, display_name = $4, email = $5, phone = $6, zone = $7, locale = $8, disabled_at = $9, \
               must_change_password = $10, updated_at = $11, version = version + 1 WHERE id = $1 AND version = $2";
    let written = on!(tx, |c| sqlx::query(sql)
        .bind(user.id)
        .bind(user.version)
        .bind(&user.tenant_id)
        .bind(&user.display_name)
        .bind(&user.email)
        .bind(&user.phone)
        .bind(&user.zone)
        .bind(&user.locale)
        .bind(user.disabled_at)
        .bind(user.must_change_password)
        .bind(user.updated_at)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(written == 1)
}

/// Reads what is kept of a password; `None` if the person has none.
pub(in crate::access) async fn password_hash(tx: &mut Tx, id: UserId) -> Result<Option<String>> {
    let sql = "SELECT password_hash FROM users WHERE id = $1";
    let found: Option<Option<String>> = on!(tx, |c| sqlx::query_scalar(sql).bind(id).fetch_optional(c).await)?;
    Ok(found.flatten())
}

pub(in crate::access) async fn set_password_hash(tx: &mut Tx, id: UserId, hash: &str) -> Result<()> {
    let sql = "UPDATE users SET password_hash = $2 WHERE id = $1";
    Ok(on!(tx, |c| sqlx::query(sql).bind(id).bind(hash).execute(c).await.map(|_| ()))?)
}

pub(in crate::access) async fn note_login(tx: &mut Tx, id: UserId, now: DateTime<Utc>) -> Result<()> {
    let sql = "UPDATE users SET last_login_at = $2 WHERE id = $1";
    Ok(on!(tx, |c| sqlx::query(sql).bind(id).bind(now).execute(c).await.map(|_| ()))?)
}

/// Makes a person a member; `false` if it is one.
pub(in crate::access) async fn join(tx: &mut Tx, tenant: &TenantId, id: UserId) -> Result<bool> {
    let now = tx.now();
    let sql = "INSERT INTO memberships (tenant_id, user_id, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    let written = on!(tx, |c| sqlx::query(sql)
        .bind(tenant)
        .bind(id)
        .bind(now)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(written == 1)
}

/// Ends a membership and the roles that came with it; `false` if there was none.
pub(super) async fn leave(tx: &mut Tx, tenant: &TenantId, id: UserId) -> Result<bool> {
    let sql = "DELETE FROM role_grants WHERE tenant_id = $1 AND user_id = $2";
    on!(tx, |c| sqlx::query(sql).bind(tenant).bind(id).execute(c).await.map(|_| ()))?;
    let sql = "DELETE FROM memberships WHERE tenant_id = $1 AND user_id = $2";
    let gone = on!(tx, |c| sqlx::query(sql).bind(tenant).bind(id).execute(c).await.map(|done| done.rows_affected()))?;
    Ok(gone == 1)
}

/// Lists the tenants of which a person is a member; disabled ones do not count, if `served`.
pub(in crate::access) async fn memberships(tx: &mut Tx, id: UserId, served: bool) -> Result<Vec<TenantId>> {
    let sql = "SELECT m.tenant_id FROM memberships m JOIN tenants t ON t.tenant_id = m.tenant_id \
               WHERE m.user_id = $1 AND (t.disabled_at IS NULL OR NOT $2) ORDER BY m.tenant_id";
    Ok(on!(tx, |c| sqlx::query_scalar(sql).bind(id).bind(served).fetch_all(c).await)?)
}
