//! One page of a list: what every listing of the product does with its own select.

use sea_query::{Expr, ExprTrait, SelectStatement};
use sqlx::FromRow;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;

use super::build::Build;
use super::tx::Tx;
use crate::base::{PageRequest, Result};
use crate::on;

/// Counts the rows that a select matches and reads one page of them; `shown` adds columns and order to the select.
///
/// # Errors
/// [`Error`](crate::base::Error) of the database.
pub async fn read_page<R>(
    tx: &mut Tx,
    matching: SelectStatement,
    shown: impl FnOnce(&mut SelectStatement),
    page: PageRequest,
) -> Result<(Vec<R>, u64)>
where
    R: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin,
{
    let mut count = matching.clone();
    count.expr(Expr::col("id").count());
    let total: i64 = on!(tx, |c| {
        let (sql, values) = c.build(&count);
        sqlx::query_scalar_with(sql, values).fetch_one(c).await
    })?;
    let mut select = matching;
    shown(&mut select);
    select.limit(page.size()).offset(page.offset());
    let rows = on!(tx, |c| {
        let (sql, values) = c.build(&select);
        sqlx::query_as_with(sql, values).fetch_all(c).await
    })?;
    Ok((rows, total as u64))
}
