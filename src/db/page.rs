//! One page of a list: what every listing of the product does with its own select.

use sea_query::{Alias, Asterisk, Expr, ExprTrait, Query, SelectStatement};
use sqlx::FromRow;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;

use super::build::Build;
use super::tx::Tx;
use crate::base::{PageRequest, Paged, Result};
use crate::on;

/// How far a list is counted. Whoever reads a page of a million jobs wants to know that there are many, and not to wait until all
/// of them are counted.
const COUNTED: u64 = 10_000;

/// Reads one page of the rows that a select matches, and counts them up to 10,000; `shown` adds columns and order to the select.
///
/// # Errors
/// [`Error`](crate::base::Error) of the database.
pub async fn read_page<R>(
    tx: &mut Tx,
    matching: SelectStatement,
    shown: impl FnOnce(&mut SelectStatement),
    page: PageRequest,
) -> Result<Paged<R>>
where
    R: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin,
{
    let total = count(tx, matching.clone(), COUNTED).await?;
    let mut select = matching;
    shown(&mut select);
    select.limit(page.size()).offset(page.offset());
    let rows = on!(tx, |c| {
        let (sql, values) = c.build(&select);
        sqlx::query_as_with(sql, values).fetch_all(c).await
    })?;
    Ok(page_of(rows, total, COUNTED, page))
}

/// Counts the rows that a select without columns matches: up to `most`, and one more if there are more.
///
/// # Errors
/// [`Error`](crate::base::Error) of the database.
pub async fn count(tx: &mut Tx, mut matching: SelectStatement, most: u64) -> Result<u64> {
    matching.expr(Expr::val(1)).limit(most + 1);
    let mut count = Query::select();
    count.expr(Expr::col(Asterisk).count()).from_subquery(matching, Alias::new("some"));
    let total: i64 = on!(tx, |c| {
        let (sql, values) = c.build(&count);
        sqlx::query_scalar_with(sql, values).fetch_one(c).await
    })?;
    Ok(total as u64)
}

/// Puts rows into the page that was asked for, of a list that was counted up to `most`.
pub fn page_of<R>(rows: Vec<R>, total: u64, most: u64, page: PageRequest) -> Paged<R> {
    if total > most { Paged::of_many(rows, most, page) } else { Paged::new(rows, total, page) }
}
