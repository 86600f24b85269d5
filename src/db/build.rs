//! Statements whose shape varies.

use sea_query::{PostgresQueryBuilder, SqliteQueryBuilder};
use sea_query_sqlx::{SqlxBinder, SqlxValues};
use sqlx::{AssertSqlSafe, PgConnection, SqliteConnection};

/// Writes a sea-query statement in the dialect of a connection.
pub trait Build {
    /// Returns the text and its values, for `sqlx::query_with` and its like.
    fn build(&self, statement: &impl SqlxBinder) -> (AssertSqlSafe<String>, SqlxValues);
}

// sea-query puts every value behind a placeholder, so its text is safe.

impl Build for SqliteConnection {
    fn build(&self, statement: &impl SqlxBinder) -> (AssertSqlSafe<String>, SqlxValues) {
        let (sql, values) = statement.build_sqlx(SqliteQueryBuilder);
        (AssertSqlSafe(sql), values)
    }
}

impl Build for PgConnection {
    fn build(&self, statement: &impl SqlxBinder) -> (AssertSqlSafe<String>, SqlxValues) {
        let (sql, values) = statement.build_sqlx(PostgresQueryBuilder);
        (AssertSqlSafe(sql), values)
    }
}
