//! Many rows of any table in few statements.

use chrono::{DateTime, Utc};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Encode, Postgres, Type};

use super::rows::parts;
use super::tx::{Conn, Tx};
use crate::base::Result;

/// A value of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// Text, or nothing.
    Text(Option<&'a str>),
    /// A number.
    Number(i64),
    /// An instant.
    Instant(DateTime<Utc>),
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Some(text))
    }
}

impl<'a> From<Option<&'a str>> for Value<'a> {
    fn from(text: Option<&'a str>) -> Self {
        Self::Text(text)
    }
}

impl Value<'_> {
    fn bind<'q, DB>(self, query: Query<'q, DB, DB::Arguments>) -> Query<'q, DB, DB::Arguments>
    where
        DB: sqlx::Database,
        for<'t> Option<&'t str>: Encode<'t, DB> + Type<DB>,
        for<'t> i64: Encode<'t, DB> + Type<DB>,
        for<'t> DateTime<Utc>: Encode<'t, DB> + Type<DB>,
    {
        match self {
            Self::Text(text) => query.bind(text),
            Self::Number(number) => query.bind(number),
            Self::Instant(at) => query.bind(at),
        }
    }

    /// Names the type that Postgres has for it.
    fn type_name(self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Number(_) => "bigint",
            Self::Instant(_) => "timestamptz",
        }
    }
}

/// Writes rows into a table; returns how many were written, which is less than all only if `otherwise` says `ON CONFLICT DO NOTHING`. A
/// value that all rows have is sent once: most columns of a thousand jobs of one request are the same.
///
/// # Errors
/// [`Error`](crate::base::Error) of the database.
pub async fn insert_rows<const N: usize>(
    tx: &mut Tx,
    table: &str,
    columns: [&str; N],
    rows: &[[Value<'_>; N]],
    otherwise: &str,
) -> Result<u64> {
    let Some(first) = rows.first() else { return Ok(0) };
    let is_same = |place: &usize| rows.iter().all(|row| row[*place] == first[*place]);
    let (same, each): (Vec<usize>, Vec<usize>) = (0..N).partition(is_same);
    let names: Vec<&str> = same.iter().chain(&each).map(|place| columns[*place]).collect();
    let head = format!("INSERT INTO {table} ({})", names.join(", "));
    let mut written = 0;
    match tx.conn() {
        Conn::Sqlite(c) => {
            for part in parts(rows) {
                let values = placeholders(same.len(), each.len(), part.len());
                let mut insert = sqlx::query(AssertSqlSafe(format!("{head} VALUES {values} {otherwise}")));
                for row in part {
                    insert = each.iter().fold(insert, |insert, place| row[*place].bind(insert));
                }
                insert = same.iter().fold(insert, |insert, place| first[*place].bind(insert));
                written += insert.execute(&mut *c).await?.rows_affected();
            }
        }
        Conn::Postgres(c) => {
            // One text for any number of rows, so it is planned once. In the list of what is selected `unnest` hands its values on;
            // behind FROM it would first write all rows into a table of its own.
            let mut numbers = 1..;
            let mut number = || numbers.next().unwrap_or_default();
            let once =
                same.iter().map(|place| format!("${}::{}", number(), first[*place].type_name())).collect::<Vec<_>>();
            let many = each.iter().map(|place| format!("unnest(${}::{}[])", number(), first[*place].type_name()));
            let values = once.into_iter().chain(many).collect::<Vec<_>>().join(", ");
            let mut insert = sqlx::query(AssertSqlSafe(format!("{head} SELECT {values} {otherwise}")));
            insert = same.iter().fold(insert, |insert, place| first[*place].bind(insert));
            insert = each.iter().fold(insert, |insert, place| bind_column(insert, rows.iter().map(|row| row[*place])));
            written += insert.execute(c).await?.rows_affected();
        }
    }
    Ok(written)
}

/// Writes what stands behind `VALUES`: in each row first what is the same in all, by name, because it comes behind all others.
fn placeholders(same: usize, each: usize, rows: usize) -> String {
    let once = (1..=same).map(|place| format!("${}", each * rows + place));
    let row = once.chain(std::iter::repeat_n("?".to_owned(), each)).collect::<Vec<_>>().join(", ");
    let mut all = format!("({row}), ").repeat(rows);
    all.truncate(all.len().saturating_sub(2));
    all
}

type PgQuery<'q> = Query<'q, Postgres, <Postgres as sqlx::Database>::Arguments>;

/// Binds the values that rows have in one column; they are all of one kind.
fn bind_column<'q, 'v>(query: PgQuery<'q>, values: impl Iterator<Item = Value<'v>> + Clone) -> PgQuery<'q> {
    macro_rules! all {
        ($kind:path) => {
            values.map(|value| if let $kind(value) = value { Some(value) } else { None })
        };
    }
    match values.clone().next() {
        Some(Value::Number(_)) => query.bind(all!(Value::Number).collect::<Vec<_>>()),
        Some(Value::Instant(_)) => query.bind(all!(Value::Instant).collect::<Vec<_>>()),
        Some(Value::Text(_)) | None => query.bind(all!(Value::Text).map(Option::flatten).collect::<Vec<_>>()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_same_is_named_and_comes_last() {
        assert_eq!(placeholders(2, 3, 2), "($7, $8, ?, ?, ?), ($7, $8, ?, ?, ?)");
        assert_eq!(placeholders(2, 0, 1), "($1, $2)");
        assert_eq!(placeholders(0, 1, 3), "(?), (?), (?)");
    }
}
