//! The SQL of idempotency keys.

use chrono::{DateTime, Utc};

use super::model::{KEPT, Key, LOCK};
use crate::base::{ClaimId, Result, TenantId};
use crate::db::Tx;
use crate::on;

/// How many old keys go at once.
const PRUNED: i64 = 100;

#[derive(Debug, Clone, sqlx::FromRow)]
pub(super) struct Row {
    pub(super) claim_id: ClaimId,
    pub(super) hash: String,
    pub(super) sealed_answer: Option<String>,
    pub(super) created_at: DateTime<Utc>,
    pub(super) locked_until: DateTime<Utc>,
}

/// Takes a key that nobody holds; says whether that was so.
pub(super) async fn insert(
    tx: &mut Tx,
    (tenant, holder, key): (&TenantId, &str, &Key),
    claim: ClaimId,
    hash: &str,
) -> Result<bool> {
    let sql = "INSERT INTO idempotency_keys (tenant_id, holder, key, claim_id, hash, created_at, locked_until) \
               VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING";
    let now = tx.now();
    let written = on!(tx, |c| sqlx::query(sql)
        .bind(tenant)
        .bind(holder)
        .bind(key.as_str())
        .bind(claim)
        .bind(hash)
        .bind(now)
        .bind(now + LOCK)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(written == 1)
}

/// Reads a key and holds its row until the end of the transaction.
pub(super) async fn hold(tx: &mut Tx, (tenant, holder, key): (&TenantId, &str, &Key)) -> Result<Option<Row>> {
    let sql = "UPDATE idempotency_keys SET hash = hash WHERE tenant_id = $1 AND holder = $2 AND key = $3 \
               RETURNING claim_id, hash, sealed_answer, created_at, locked_until";
    Ok(on!(tx, |c| sqlx::query_as(sql).bind(tenant).bind(holder).bind(key.as_str()).fetch_optional(c).await)?)
}

/// Locks an abandoned key anew.
pub(super) async fn lock(tx: &mut Tx, tenant: &TenantId, claim: ClaimId) -> Result<()> {
    let sql = "UPDATE idempotency_keys SET locked_until = $3 WHERE tenant_id = $1 AND claim_id = $2";
    let until = tx.now() + LOCK;
    Ok(on!(tx, |c| sqlx::query(sql).bind(tenant).bind(claim).bind(until).execute(c).await.map(|_| ()))?)
}

/// Keeps an answer.
pub(super) async fn answer(tx: &mut Tx, tenant: &TenantId, claim: ClaimId, sealed: &str) -> Result<()> {
    let sql = "UPDATE idempotency_keys SET sealed_answer = $3 WHERE tenant_id = $1 AND claim_id = $2";
    Ok(on!(tx, |c| sqlx::query(sql).bind(tenant).bind(claim).bind(sealed).execute(c).await.map(|_| ()))?)
}

/// Gives a key back.
pub(super) async fn remove(tx: &mut Tx, tenant: &TenantId, claim: ClaimId) -> Result<()> {
    let sql = "DELETE FROM idempotency_keys WHERE tenant_id = $1 AND claim_id = $2";
    Ok(on!(tx, |c| sqlx::query(sql).bind(tenant).bind(claim).execute(c).await.map(|_| ()))?)
}

/// Removes some keys whose time is over; each new one removes more than itself, so that they cannot pile up.
pub(super) async fn prune(tx: &mut Tx) -> Result<()> {
    let sql = "DELETE FROM idempotency_keys WHERE (tenant_id, claim_id) IN \
               (SELECT tenant_id, claim_id FROM idempotency_keys WHERE created_at < $1 ORDER BY created_at LIMIT $2)";
    let before = tx.now() - KEPT;
    Ok(on!(tx, |c| sqlx::query(sql).bind(before).bind(PRUNED).execute(c).await.map(|_| ()))?)
}
