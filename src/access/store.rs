//! The SQL of tokens.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::model::{TokenId, TokenInfo};
use crate::base::{Error, Result, TenantId};
use crate::db::{Backend, Tx};
use crate::on;

/// Writes a token; `false` if the tenant has one of this name, or the hash is there.
pub(super) async fn insert(tx: &mut Tx, token: &TokenInfo, hash: &str) -> Result<bool> {
    let sql = "INSERT INTO api_tokens (id, tenant_id, name, hash, scopes, created_at, expires_at, created_by) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING";
    let written = on!(tx, |c| sqlx::query(sql)
        .bind(token.id)
        .bind(&token.tenant_id)
        .bind(&token.name)
        .bind(hash)
        .bind(&token.scopes)
        .bind(token.created_at)
        .bind(token.expires_at)
        .bind(&token.created_by)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(written == 1)
}

#[derive(sqlx::FromRow)]
struct Hashed {
    hash: String,
    #[sqlx(flatten)]
    token: TokenInfo,
}

/// Finds tokens of tenants that are served.
pub(super) async fn by_hashes(tx: &mut Tx, hashes: &BTreeSet<String>) -> Result<Vec<(String, TokenInfo)>> {
    let json =
        serde_json::to_string(hashes).map_err(|error| Error::internal("cannot write the hashes of tokens", error))?;
    let sql = match tx.backend() {
        Backend::Sqlite => concat!(select!(), "(SELECT value FROM json_each($1))"),
        Backend::Postgres => concat!(select!(), "(SELECT json_array_elements_text($1::json))"),
    };
    let found: Vec<Hashed> = on!(tx, |c| sqlx::query_as(sql).bind(json).fetch_all(c).await)?;
    Ok(found.into_iter().map(|found| (found.hash, found.token)).collect())
}

macro_rules! select {
    () => {
        "SELECT a.hash, a.id, a.tenant_id, a.name, a.scopes, a.created_by, a.created_at, a.last_used_at, a.expires_at \
         FROM api_tokens a JOIN tenants t ON t.tenant_id = a.tenant_id WHERE t.disabled_at IS NULL AND a.hash IN "
    };
}
use select;

pub(super) async fn any(tx: &mut Tx) -> Result<bool> {
    let sql = "SELECT id FROM api_tokens LIMIT 1";
    Ok(on!(tx, |c| sqlx::query_scalar::<_, TokenId>(sql).fetch_optional(c).await)?.is_some())
}

pub(super) async fn note_use(tx: &mut Tx, id: TokenId, now: DateTime<Utc>) -> Result<()> {
    let sql = "UPDATE api_tokens SET last_used_at = $1 WHERE id = $2";
    Ok(on!(tx, |c| sqlx::query(sql).bind(now).bind(id).execute(c).await.map(|_| ()))?)
}

pub(super) async fn list(tx: &mut Tx, tenant: &TenantId) -> Result<Vec<TokenInfo>> {
    let sql = "SELECT id, tenant_id, name, scopes, created_by, created_at, last_used_at, expires_at FROM api_tokens \
               WHERE tenant_id = $1 ORDER BY name";
    Ok(on!(tx, |c| sqlx::query_as(sql).bind(tenant).fetch_all(c).await)?)
}

/// Removes a token; `false` if the tenant has none of this id.
pub(super) async fn remove(tx: &mut Tx, tenant: &TenantId, id: TokenId) -> Result<bool> {
    let sql = "DELETE FROM api_tokens WHERE tenant_id = $1 AND id = $2";
    let gone = on!(tx, |c| sqlx::query(sql).bind(tenant).bind(id).execute(c).await.map(|done| done.rows_affected()))?;
    Ok(gone == 1)
}

/// Removes a token by its name, unless its hash is the one to spare.
pub(super) async fn replace(tx: &mut Tx, tenant: &TenantId, name: &str, spare_hash: &str) -> Result<()> {
    let sql = "DELETE FROM api_tokens WHERE tenant_id = $1 AND name = $2 AND hash <> $3";
    Ok(on!(tx, |c| sqlx::query(sql).bind(tenant).bind(name).bind(spare_hash).execute(c).await.map(|_| ()))?)
}
