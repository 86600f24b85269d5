//! The SQL of sign-ins elsewhere.

use chrono::{DateTime, Utc};

use crate::access::users::User;
use crate::access::users::store::columns;
use crate::base::{Result, UserId};
use crate::db::Tx;
use crate::on;

/// Uses the state of a sign-in up; `false` if it was used before. Those of before `forget` are forgotten.
pub(super) async fn use_up(tx: &mut Tx, hash: &str, forget: DateTime<Utc>) -> Result<bool> {
    let sql = "DELETE FROM login_states WHERE used_at < $1";
    on!(tx, |c| sqlx::query(sql).bind(forget).execute(c).await.map(|_| ()))?;
    let now = tx.now();
    let sql = "INSERT INTO login_states (hash, used_at) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    let written = on!(tx, |c| sqlx::query(sql).bind(hash).bind(now).execute(c).await.map(|done| done.rows_affected()))?;
    Ok(written == 1)
}

/// Finds who somebody is for the provider.
pub(super) async fn by_subject(tx: &mut Tx, subject: &str) -> Result<Option<User>> {
    let sql = concat!("SELECT ", columns!(), " FROM users u WHERE u.subject = $1");
    Ok(on!(tx, |c| sqlx::query_as(sql).bind(subject).fetch_optional(c).await)?)
}

/// Binds an account without a password to who somebody is for the provider; `false` if it has a password or is bound.
pub(super) async fn bind(tx: &mut Tx, id: UserId, subject: &str) -> Result<bool> {
    let sql = "UPDATE users SET subject = $2 WHERE id = $1 AND subject IS NULL AND password_hash IS NULL";
    let written =
        on!(tx, |c| sqlx::query(sql).bind(id).bind(subject).execute(c).await.map(|done| done.rows_affected()))?;
    Ok(written == 1)
}
