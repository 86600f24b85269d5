//! The sealed columns, one as the other, and the table `vault_checks`.

use sea_query::{Expr, ExprTrait, Order, Query, SelectStatement};

use super::columns::Column;
use crate::base::{KeyId, Result, Vault};
use crate::db::{Backend, Build, Tx};
use crate::on;

/// How long the text in front of the seal is: `v2:`, the id, a colon.
const HEAD_CHARS: i64 = 16;

/// Reads texts that are not sealed under the present key, by id, after a given one.
pub(super) async fn stale(
    tx: &mut Tx,
    column: &Column,
    vault: &Vault,
    after: &str,
    limit: u64,
) -> Result<Vec<(String, String)>> {
    let mut select = texts(column);
    select
        .and_where(head(column).ne(vault.prefix()))
        .and_where(Expr::col(column.id).gt(after))
        .order_by(column.id, Order::Asc)
        .limit(limit);
    let rows = on!(tx, |c| {
        let (sql, values) = c.build(&select);
        sqlx::query_as_with(sql, values).fetch_all(c).await
    })?;
    Ok(rows)
}

/// Reads one text, whatever it is sealed under.
pub(super) async fn sample(tx: &mut Tx, column: &Column) -> Result<Option<(String, String)>> {
    let mut select = texts(column);
    select.order_by(column.id, Order::Asc).limit(1);
    let row = on!(tx, |c| {
        let (sql, values) = c.build(&select);
        sqlx::query_as_with(sql, values).fetch_optional(c).await
    })?;
    Ok(row)
}

/// Writes a text in the place of another; `false` if that is there no more.
pub(super) async fn replace(tx: &mut Tx, column: &Column, id: &str, old: &str, new: &str) -> Result<bool> {
    let mut update = Query::update();
    update.table(column.table).value(column.column, new);
    if let Some(version) = column.version {
        update.value(version, Expr::col(version).add(1));
    }
    update.and_where(Expr::col(column.id).eq(id)).and_where(Expr::col(column.column).eq(old));
    let changed = on!(tx, |c| {
        let (sql, values) = c.build(&update);
        sqlx::query_with(sql, values).execute(c).await.map(|done| done.rows_affected())
    })?;
    Ok(changed == 1)
}

/// Counts the texts of a column by what stands in front of them.
pub(super) async fn heads(tx: &mut Tx, column: &Column) -> Result<Vec<(String, i64)>> {
    let mut select = Query::select();
    select
        .expr(head(column))
        .expr(Expr::cust("count(*)"))
        .from(column.table)
        .and_where(Expr::col(column.column).is_not_null())
        .add_group_by([head(column)]);
    let rows = on!(tx, |c| {
        let (sql, values) = c.build(&select);
        sqlx::query_as_with(sql, values).fetch_all(c).await
    })?;
    Ok(rows)
}

fn texts(column: &Column) -> SelectStatement {
    let mut select = Query::select();
    select.columns([column.id, column.column]).from(column.table).and_where(Expr::col(column.column).is_not_null());
    select
}

/// The beginning of a text; a text of the first version begins with less than a whole head, and so with another one.
fn head(column: &Column) -> Expr {
    Expr::cust(format!("substr({}, 1, {HEAD_CHARS})", column.column))
}

/// Holds the table of checks until the end of the transaction: of two that find it empty, one is the first.
pub(super) async fn hold_checks(tx: &mut Tx) -> Result<()> {
    match tx.backend() {
        // It has one writer, and this is it.
        Backend::Sqlite => {}
        Backend::Postgres => {
            on!(tx, |c| sqlx::query("LOCK TABLE vault_checks IN EXCLUSIVE MODE").execute(c).await.map(|_| ()))?;
        }
    }
    Ok(())
}

/// Reads the checks: the id of each key and the text.
pub(super) async fn checks(tx: &mut Tx) -> Result<Vec<(String, String)>> {
    let sql = "SELECT key_id, sealed FROM vault_checks ORDER BY created_at, key_id";
    Ok(on!(tx, |c| sqlx::query_as(sql).fetch_all(c).await)?)
}

/// Writes a check.
pub(super) async fn add_check(tx: &mut Tx, key: &KeyId, sealed: &str) -> Result<()> {
    let sql = "INSERT INTO vault_checks (key_id, sealed, created_at) VALUES ($1, $2, $3)";
    let now = tx.now();
    on!(tx, |c| sqlx::query(sql).bind(key.as_str()).bind(sealed).bind(now).execute(c).await.map(|_| ()))?;
    Ok(())
}

/// Removes the checks of all keys but one.
pub(super) async fn drop_other_checks(tx: &mut Tx, key: &KeyId) -> Result<u64> {
    let sql = "DELETE FROM vault_checks WHERE key_id <> $1";
    Ok(on!(tx, |c| sqlx::query(sql).bind(key.as_str()).execute(c).await.map(|done| done.rows_affected()))?)
}
