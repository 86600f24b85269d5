//! The table `work_order_failures`.

use chrono::{DateTime, Utc};
use sea_query::{Expr, ExprTrait, Query};

use crate::base::{PageRequest, Paged, Result};
use crate::db::{Build, Tx};
use crate::on;
use crate::work_orders::model::{Failure, RowError, System, next_try};

/// Keeps a ticket that a list brought and that could not be taken. That a later list brings it again is no further try: each run looks
/// at the last minutes once more.
pub(crate) async fn note(tx: &mut Tx, system: &System, error: &RowError) -> Result<()> {
    let sql = "INSERT INTO work_order_failures (tenant_id, system_id, external_id, reason, tries, first_seen_at, last_seen_at, \
               next_try_at) VALUES ($1, $2, $3, $4, 1, $5, $5, $6) \
               ON CONFLICT (tenant_id, system_id, external_id) DO UPDATE SET reason = excluded.reason, \
               last_seen_at = excluded.last_seen_at";
    let now = tx.now();
    let next = next_try(1, now).filter(|_| error.can_be_asked_for);
    on!(tx, |c| sqlx::query(sql)
        .bind(&system.tenant)
        .bind(system.id)
        .bind(&error.external_id)
        .bind(&error.message)
        .bind(now)
        .bind(next)
        .execute(c)
        .await
        .map(|_| ()))?;
    Ok(())
}

/// Notes that a ticket was asked for in vain once more.
pub(crate) async fn note_again(tx: &mut Tx, system: &System, failure: &Failure, reason: &str) -> Result<()> {
    let sql = "UPDATE work_order_failures SET reason = $4, tries = $5, last_seen_at = $6, next_try_at = $7 \
               WHERE tenant_id = $1 AND system_id = $2 AND external_id = $3";
    let now = tx.now();
    let tries = failure.tries + 1;
    on!(tx, |c| sqlx::query(sql)
        .bind(&system.tenant)
        .bind(system.id)
        .bind(&failure.external_id)
        .bind(reason)
        .bind(tries)
        .bind(now)
        .bind(next_try(tries, now))
        .execute(c)
        .await
        .map(|_| ()))?;
    Ok(())
}

/// Forgets tickets that were taken, or are gone.
pub(crate) async fn settle(tx: &mut Tx, system: &System, external_ids: &[&str]) -> Result<()> {
    // Most systems have none, and then a page costs one look.
    if external_ids.is_empty() || count(tx, system).await? == 0 {
        return Ok(());
    }
    let mut delete = Query::delete();
    delete
        .from_table("work_order_failures")
        .and_where(Expr::col("tenant_id").eq(system.tenant.as_str()))
        .and_where(Expr::col("system_id").eq(system.id.to_string()))
        .and_where(Expr::col("external_id").is_in(external_ids.iter().copied()));
    on!(tx, |c| {
        let (sql, values) = c.build(&delete);
        sqlx::query_with(sql, values).execute(c).await.map(|_| ())
    })?;
    Ok(())
}

/// Reads tickets of a system whose turn it is, the one first that has waited for longest.
pub(crate) async fn due(tx: &mut Tx, system: &System, limit: i64) -> Result<Vec<Failure>> {
    let sql = "SELECT * FROM work_order_failures WHERE tenant_id = $1 AND system_id = $2 AND next_try_at <= $3 \
               ORDER BY next_try_at, external_id LIMIT $4";
    let now = tx.now();
    Ok(on!(tx, |c| sqlx::query_as(sql).bind(&system.tenant).bind(system.id).bind(now).bind(limit).fetch_all(c).await)?)
}

/// Counts the tickets of a system that could not be taken.
pub(crate) async fn count(tx: &mut Tx, system: &System) -> Result<i64> {
    let sql = "SELECT count(*) FROM work_order_failures WHERE tenant_id = $1 AND system_id = $2";
    Ok(on!(tx, |c| sqlx::query_scalar(sql).bind(&system.tenant).bind(system.id).fetch_one(c).await)?)
}

/// Reads the tickets of a system that could not be taken, the latest first.
pub(crate) async fn list(tx: &mut Tx, system: &System, page: PageRequest) -> Result<Paged<Failure>> {
    let total = count(tx, system).await?;
    let sql = "SELECT * FROM work_order_failures WHERE tenant_id = $1 AND system_id = $2 \
               ORDER BY last_seen_at DESC, external_id LIMIT $3 OFFSET $4";
    let rows = on!(tx, |c| sqlx::query_as(sql)
        .bind(&system.tenant)
        .bind(system.id)
        .bind(page.size() as i64)
        .bind(page.offset() as i64)
        .fetch_all(c)
        .await)?;
    Ok(Paged::new(rows, total as u64, page))
}

/// Forgets tickets that were given up and last seen before an instant; answers how many.
pub(crate) async fn prune(tx: &mut Tx, before: DateTime<Utc>) -> Result<u64> {
    let sql = "DELETE FROM work_order_failures WHERE next_try_at IS NULL AND last_seen_at < $1";
    Ok(on!(tx, |c| sqlx::query(sql).bind(before).execute(c).await.map(|done| done.rows_affected()))?)
}
