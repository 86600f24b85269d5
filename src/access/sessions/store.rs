//! The SQL of sessions and of failed sign-ins.

use chrono::{DateTime, Utc};

use super::model::{Session, SessionId};
use super::throttle::{Failures, place_of_name};
use crate::base::{Result, TenantId, UserId};
use crate::db::Tx;
use crate::on;

/// What failures by one name are counted as.
pub(super) const ACCOUNT_KIND: &str = "account";

pub(super) async fn insert(tx: &mut Tx, session: &Session, hash: &str) -> Result<()> {
    let sql = "INSERT INTO sessions (id, tenant_id, user_id, hash, address, user_agent, created_at, last_used_at, expires_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    Ok(on!(tx, |c| sqlx::query(sql)
        .bind(session.id)
        .bind(&session.tenant_id)
        .bind(session.user_id)
        .bind(hash)
        .bind(&session.address)
        .bind(&session.user_agent)
        .bind(session.created_at)
        .bind(session.last_used_at)
        .bind(session.expires_at)
        .execute(c)
        .await
        .map(|_| ()))?)
}

pub(super) async fn by_hash(tx: &mut Tx, hash: &str) -> Result<Option<Session>> {
    let sql = "SELECT id, tenant_id, user_id, address, user_agent, created_at, last_used_at, expires_at FROM sessions \
               WHERE hash = $1";
    Ok(on!(tx, |c| sqlx::query_as(sql).bind(hash).fetch_optional(c).await)?)
}

pub(super) async fn note_use(tx: &mut Tx, id: SessionId, now: DateTime<Utc>) -> Result<()> {
    let sql = "UPDATE sessions SET last_used_at = $1 WHERE id = $2";
    Ok(on!(tx, |c| sqlx::query(sql).bind(now).bind(id).execute(c).await.map(|_| ()))?)
}

/// Lists the sessions of a person, the latest first.
pub(super) async fn of_user(tx: &mut Tx, user: UserId) -> Result<Vec<Session>> {
    let sql = "SELECT id, tenant_id, user_id, address, user_agent, created_at, last_used_at, expires_at FROM sessions \
               WHERE user_id = $1 ORDER BY created_at DESC, id DESC";
    Ok(on!(tx, |c| sqlx::query_as(sql).bind(user).fetch_all(c).await)?)
}

/// Ends one session of a person; `false` if the person has none of this id.
pub(super) async fn end(tx: &mut Tx, user: UserId, id: SessionId) -> Result<bool> {
    let sql = "DELETE FROM sessions WHERE user_id = $1 AND id = $2";
    let gone = on!(tx, |c| sqlx::query(sql).bind(user).bind(id).execute(c).await.map(|done| done.rows_affected()))?;
    Ok(gone == 1)
}

/// Ends the sessions of a person but one, and returns how many.
pub(in crate::access) async fn end_all(tx: &mut Tx, user: UserId, spared: Option<SessionId>) -> Result<u64> {
    let sql = "DELETE FROM sessions WHERE user_id = $1 AND id <> $2";
    let spared = spared.map(|id| id.to_string()).unwrap_or_default();
    Ok(on!(tx, |c| sqlx::query(sql).bind(user).bind(spared).execute(c).await.map(|done| done.rows_affected()))?)
}

/// Ends the sessions of a person that act in one tenant.
pub(in crate::access) async fn end_in(tx: &mut Tx, user: UserId, tenant: &TenantId) -> Result<()> {
    let sql = "DELETE FROM sessions WHERE user_id = $1 AND tenant_id = $2";
    Ok(on!(tx, |c| sqlx::query(sql).bind(user).bind(tenant).execute(c).await.map(|_| ()))?)
}

/// Removes sessions that ended by age.
pub(super) async fn prune(tx: &mut Tx, now: DateTime<Utc>) -> Result<()> {
    let sql = "DELETE FROM sessions WHERE expires_at <= $1";
    Ok(on!(tx, |c| sqlx::query(sql).bind(now).execute(c).await.map(|_| ()))?)
}

/// Reads the failures of one name or address, and holds them until the end of the transaction.
pub(super) async fn hold_failures(tx: &mut Tx, kind: &str, place: &str) -> Result<Failures> {
    let now = tx.now();
    // The row comes first, so that of two who try at once one waits for the other.
    let begin =
        "INSERT INTO login_failures (kind, place, failures, last_at) VALUES ($1, $2, 0, $3) ON CONFLICT DO NOTHING";
    on!(tx, |c| sqlx::query(begin).bind(kind).bind(place).bind(now).execute(c).await.map(|_| ()))?;
    let hold =
        "UPDATE login_failures SET failures = failures WHERE kind = $1 AND place = $2 RETURNING failures, last_at";
    Ok(on!(tx, |c| sqlx::query_as(hold).bind(kind).bind(place).fetch_one(c).await)?)
}

pub(super) async fn set_failures(tx: &mut Tx, kind: &str, place: &str, count: Failures) -> Result<()> {
    let sql = "UPDATE login_failures SET failures = $3, last_at = $4 WHERE kind = $1 AND place = $2";
    Ok(on!(tx, |c| sqlx::query(sql)
        .bind(kind)
        .bind(place)
        .bind(count.failures)
        .bind(count.last_at)
        .execute(c)
        .await
        .map(|_| ()))?)
}

/// Takes one failure back: it was none.
pub(super) async fn take_back(tx: &mut Tx, kind: &str, place: &str) -> Result<()> {
    let sql = "UPDATE login_failures SET failures = failures - 1 WHERE kind = $1 AND place = $2 AND failures > 0";
    Ok(on!(tx, |c| sqlx::query(sql).bind(kind).bind(place).execute(c).await.map(|_| ()))?)
}

/// Forgets the failures by one name; `false` if there were none.
pub(in crate::access) async fn forget_name(tx: &mut Tx, name: &str) -> Result<bool> {
    let place = place_of_name(name);
    let sql = "DELETE FROM login_failures WHERE kind = $1 AND place = $2";
    let gone =
        on!(tx, |c| sqlx::query(sql).bind(ACCOUNT_KIND).bind(place).execute(c).await.map(|done| done.rows_affected()))?;
    Ok(gone == 1)
}

/// Forgets failures of long ago.
pub(super) async fn forget_before(tx: &mut Tx, instant: DateTime<Utc>) -> Result<()> {
    let sql = "DELETE FROM login_failures WHERE last_at <= $1";
    Ok(on!(tx, |c| sqlx::query(sql).bind(instant).execute(c).await.map(|_| ()))?)
}
