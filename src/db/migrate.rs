//! Bringing a database to the shape this program knows.

use sqlx::migrate::{MigrateError, Migrator};

use super::open::{Db, Pools};
use crate::base::{Error, Result};

static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");

impl Db {
    /// Applies the migrations that are missing; several processes may call it at once.
    ///
    /// # Errors
    /// [`Error::Internal`] if a migration fails, was changed after it ran, or the database is newer than this program.
    pub async fn migrate(&self) -> Result<()> {
        let done = match &self.pools {
            // One transaction around all: SQLite has no lock of its own for migrations, and this one makes others wait.
            Pools::Sqlite { writer, .. } => {
                let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
                let done = SQLITE.run_direct(None, &mut *tx, false).await;
                match done {
                    Ok(()) => tx.commit().await.map_err(MigrateError::Execute),
                    Err(error) => Err(error),
                }
            }
            Pools::Postgres(pool) => POSTGRES.run(pool).await,
        };
        done.map_err(|error| self.explain(error))
    }

    /// Says which migrations are missing.
    ///
    /// # Errors
    /// [`Error`] if the database does not answer.
    pub async fn is_migrated(&self) -> Result<bool> {
        let (known, sql) = match &self.pools {
            Pools::Sqlite { .. } => (&SQLITE, "SELECT count(*) FROM sqlite_master WHERE name = '_sqlx_migrations'"),
            Pools::Postgres(_) => {
                (&POSTGRES, "SELECT count(*) FROM pg_class WHERE oid = to_regclass('_sqlx_migrations')")
            }
        };
        let mut tx = self.read().await?;
        let tables: i64 = crate::on!(tx, |c| sqlx::query_scalar(sql).fetch_one(c).await)?;
        if tables == 0 {
            return Ok(false);
        }
        let sql = "SELECT coalesce(max(version), 0) FROM _sqlx_migrations WHERE success";
        let applied: i64 = crate::on!(tx, |c| sqlx::query_scalar(sql).fetch_one(c).await)?;
        Ok(known.iter().all(|migration| migration.version <= applied))
    }

    fn explain(&self, error: MigrateError) -> Error {
        let cure = match &error {
            MigrateError::VersionMissing(_) => "the database is newer than this program: start the newer one",
            MigrateError::VersionMismatch(_) => "a migration was changed after it ran: restore its file",
            _ => "nothing of the failed step was kept: cure the cause and start again",
        };
        Error::internal(format!("cannot migrate {}: {cure}", self.url()), error)
    }
}
