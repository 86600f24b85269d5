//! Bringing a database to the shape this program knows.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use sqlx::migrate::{Migrate, MigrateError, Migrator};
use sqlx::{Connection, PgConnection, SqliteConnection};

use super::open::{Db, Pools};
use super::shape::{Step, refusal};
use crate::base::{Error, Result};

static SQLITE: LazyLock<Migrator> = LazyLock::new(|| tolerant(sqlx::migrate!("migrations/sqlite")));
static POSTGRES: LazyLock<Migrator> = LazyLock::new(|| tolerant(sqlx::migrate!("migrations/postgres")));

/// Where the library notes what has been applied.
const TABLE: &str = "_sqlx_migrations";
const APPLIED: &str = "SELECT version, description FROM _sqlx_migrations WHERE success ORDER BY version";

/// How a database stands to the migrations of this program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrations {
    /// The newest that the database has; 0 if it has none.
    pub applied: i64,
    /// The newest that this program has.
    pub known: i64,
    /// Those that this program would apply.
    pub missing: Vec<i64>,
    /// Why this program cannot work with those that it does not know, if it cannot.
    pub refusal: Option<String>,
}

/// What ends the attempt to migrate.
enum Fault {
    Refused(String),
    Failed(MigrateError),
}

impl From<MigrateError> for Fault {
    fn from(error: MigrateError) -> Self {
        Self::Failed(error)
    }
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(MigrateError::Execute(error))
    }
}

impl Db {
    /// Applies the migrations that are missing; several processes may call it at once. A database that is newer than this program
    /// is taken as it is, unless something was taken away that this program needs.
    ///
    /// # Errors
    /// [`Error::Internal`] if a migration fails or was changed after it ran, [`Error::Invalid`] if the database is too new.
    pub async fn migrate(&self) -> Result<()> {
        let done = match &self.pools {
            // One transaction around all: SQLite has no lock of its own for migrations, and this one makes others wait.
            Pools::Sqlite { writer, .. } => {
                let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
                match migrate_sqlite(&mut tx).await {
                    Ok(()) => tx.commit().await.map_err(Fault::from),
                    Err(fault) => Err(fault),
                }
            }
            // A connection of its own: the lock ends with it, whatever happens in between.
            Pools::Postgres(pool) => {
                let mut connection = pool.acquire().await?.detach();
                let done = migrate_postgres(&mut connection).await;
                drop(connection.close().await);
                done
            }
        };
        done.map_err(|fault| self.explain(fault))
    }

    /// Says whether no migration is missing.
    ///
    /// # Errors
    /// [`Error`] if the database does not answer.
    pub async fn is_migrated(&self) -> Result<bool> {
        Ok(self.migrations().await?.missing.is_empty())
    }

    /// Tells how the database stands to the migrations of this program.
    ///
    /// # Errors
    /// [`Error`] if the database does not answer.
    pub async fn migrations(&self) -> Result<Migrations> {
        let (migrator, sql) = match &self.pools {
            Pools::Sqlite { .. } => (&SQLITE, "SELECT count(*) FROM sqlite_master WHERE name = '_sqlx_migrations'"),
            Pools::Postgres(_) => {
                (&POSTGRES, "SELECT count(*) FROM pg_class WHERE oid = to_regclass('_sqlx_migrations')")
            }
        };
        let known = versions(migrator);
        let mut tx = self.read().await?;
        let tables: i64 = crate::on!(tx, |c| sqlx::query_scalar(sql).fetch_one(c).await)?;
        let rows: Vec<(i64, String)> =
            if tables == 0 { Vec::new() } else { crate::on!(tx, |c| sqlx::query_as(APPLIED).fetch_all(c).await)? };
        let applied = steps(rows);
        let has: BTreeSet<i64> = applied.iter().map(|step| step.version).collect();
        Ok(Migrations {
            applied: has.last().copied().unwrap_or_default(),
            known: known.last().copied().unwrap_or_default(),
            missing: known.difference(&has).copied().collect(),
            refusal: refusal(&known, &applied),
        })
    }

    fn explain(&self, fault: Fault) -> Error {
        let url = self.url();
        match fault {
            Fault::Refused(why) => Error::field("/database/url", format!("cannot work on {url}: {why}")),
            Fault::Failed(error) => {
                let cure = match &error {
                    MigrateError::VersionMismatch(_) => "a migration was changed after it ran: restore its file",
                    _ => "nothing of the failed step was kept: cure the cause and start again",
                };
                Error::internal(format!("cannot migrate {url}: {cure}"), error)
            }
        }
    }
}

/// The library would refuse every migration that it does not know; [`refusal`] knows better.
fn tolerant(mut migrator: Migrator) -> Migrator {
    migrator.set_ignore_missing(true);
    migrator
}

async fn migrate_sqlite(connection: &mut SqliteConnection) -> std::result::Result<(), Fault> {
    connection.ensure_migrations_table(TABLE).await?;
    check(&SQLITE, sqlx::query_as(APPLIED).fetch_all(&mut *connection).await?)?;
    Ok(SQLITE.run_direct(None, connection, false).await?)
}

async fn migrate_postgres(connection: &mut PgConnection) -> std::result::Result<(), Fault> {
    // Before the look at what there is: the lock counts how often it was taken, so the library may take it once more.
    connection.lock().await?;
    connection.ensure_migrations_table(TABLE).await?;
    check(&POSTGRES, sqlx::query_as(APPLIED).fetch_all(&mut *connection).await?)?;
    Ok(POSTGRES.run_direct(None, connection, false).await?)
}

fn check(migrator: &Migrator, rows: Vec<(i64, String)>) -> std::result::Result<(), Fault> {
    refusal(&versions(migrator), &steps(rows)).map_or(Ok(()), |why| Err(Fault::Refused(why)))
}

fn versions(migrator: &Migrator) -> BTreeSet<i64> {
    migrator.iter().map(|migration| migration.version).collect()
}

fn steps(rows: Vec<(i64, String)>) -> Vec<Step> {
    rows.into_iter().map(|(version, description)| Step { version, description }).collect()
}
