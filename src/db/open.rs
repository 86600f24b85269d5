//! Opening a database and beginning transactions on it.

use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use tokio::sync::watch;

use super::figures::{self, Timer};
use super::tx::{Backend, Inner, Tx};
use crate::base::{Clock, Error, Result, shown};

/// How long a caller waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(15);
/// How long SQLite waits for the writer of another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// How soon the opening of a busy file is tried again.
const BUSY_PAUSE: Duration = Duration::from_millis(20);
/// How long a connection to a server is taken to be there still.
const TRUSTED: Duration = Duration::from_secs(1);
/// Connections that only read the embedded database.
const SQLITE_READERS: u32 = 4;
/// Connections to a server, unless [`Db::open_with`] says otherwise.
const POSTGRES_CONNECTIONS: u32 = 10;

/// The database; clones share its connections.
#[derive(Debug, Clone)]
pub struct Db {
    pub(super) pools: Pools,
    /// The address without its password, for people.
    url: Arc<str>,
    clock: Clock,
    signal: Arc<watch::Sender<u64>>,
}

#[derive(Debug, Clone)]
pub(super) enum Pools {
    /// One writer, because SQLite has one: waiting for it in the pool is fair, waiting in SQLite is not.
    Sqlite {
        writer: SqlitePool,
        readers: SqlitePool,
    },
    Postgres(PgPool),
}

/// What a check of the database found.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Health {
    /// Product and version.
    pub version: String,
    /// How durable a commit is.
    pub durability: String,
}

impl Db {
    /// Opens `sqlite://path` (made if absent, with its directory) or `postgres://…`.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the address is no such address, [`Error::Unavailable`] if nothing answers there.
    pub async fn open(url: &str) -> Result<Self> {
        Self::open_with(url, POSTGRES_CONNECTIONS).await
    }

    /// Opens a database with so many connections to a server.
    ///
    /// # Errors
    /// As [`Db::open`].
    pub async fn open_with(url: &str, max_connections: u32) -> Result<Self> {
        let shown = shown(url);
        let pools = match url.split_once(':').map(|(scheme, _)| scheme) {
            Some("sqlite") => open_sqlite(url, &shown).await?,
            Some("postgres" | "postgresql") => open_postgres(url, &shown, max_connections).await?,
            _ => {
                let cure = "it starts with sqlite:// or postgres://, as in sqlite://data/deskhand.db";
                return Err(Error::field("/database/url", format!("{shown:?} is not a database url: {cure}")));
            }
        };
        Ok(Self { pools, url: shown.into(), clock: Clock::system(), signal: Arc::new(watch::Sender::new(0)) })
    }

    /// Puts another clock behind [`Tx::now`].
    #[must_use]
    pub fn with_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// Returns the clock behind [`Tx::now`].
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Returns the address without its password.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Says which database this is.
    pub fn backend(&self) -> Backend {
        match self.pools {
            Pools::Sqlite { .. } => Backend::Sqlite,
            Pools::Postgres(_) => Backend::Postgres,
        }
    }

    /// Begins a transaction that writes.
    ///
    /// # Errors
    /// [`Error`] if the database gives no connection.
    pub async fn begin(&self) -> Result<Tx> {
        let asked = Instant::now();
        let inner = match &self.pools {
            // IMMEDIATE, because a reader that turns writer cannot wait: it fails with SQLITE_BUSY.
            Pools::Sqlite { writer, .. } => Inner::Sqlite(writer.begin_with("BEGIN IMMEDIATE").await?),
            Pools::Postgres(pool) => Inner::Postgres(pool.begin().await?),
        };
        Ok(Tx::new(inner, self.clock.now(), self.signal.clone(), Timer::start("write", asked.elapsed())))
    }

    /// Begins a transaction that only reads, all of it from one instant.
    ///
    /// # Errors
    /// [`Error`] if the database gives no connection.
    pub async fn read(&self) -> Result<Tx> {
        let asked = Instant::now();
        let inner = match &self.pools {
            Pools::Sqlite { readers, .. } => Inner::Sqlite(readers.begin().await?),
            Pools::Postgres(pool) => {
                Inner::Postgres(pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?)
            }
        };
        Ok(Tx::new(inner, self.clock.now(), self.signal.clone(), Timer::start("read", asked.elapsed())))
    }

    /// Takes a connection for statements that only read and each see an instant of their own: for what every request asks, the
    /// transaction around it would cost more than the answer.
    ///
    /// # Errors
    /// [`Error`] if the database gives no connection.
    pub async fn look(&self) -> Result<Tx> {
        let asked = Instant::now();
        let inner = match &self.pools {
            Pools::Sqlite { readers, .. } => Inner::SqliteLook(readers.acquire().await?),
            Pools::Postgres(pool) => Inner::PostgresLook(pool.acquire().await?),
        };
        Ok(Tx::new(inner, self.clock.now(), self.signal.clone(), Timer::start("read", asked.elapsed())))
    }

    /// Sets the figures of the pools to what they are now.
    pub fn tell(&self) {
        match &self.pools {
            Pools::Sqlite { writer, readers } => {
                figures::pool("writer", writer);
                figures::pool("readers", readers);
            }
            Pools::Postgres(pool) => figures::pool("server", pool),
        }
    }

    /// Returns a signal that changes with every commit of this process that enqueued jobs.
    pub fn enqueued(&self) -> watch::Receiver<u64> {
        self.signal.subscribe()
    }

    /// Returns the pool of a server, for what only a server has: `LISTEN`.
    pub fn postgres(&self) -> Option<&PgPool> {
        match &self.pools {
            Pools::Sqlite { .. } => None,
            Pools::Postgres(pool) => Some(pool),
        }
    }

    /// Proves that the database answers, and says how durable its commits are.
    ///
    /// # Errors
    /// [`Error`] if it does not answer.
    pub async fn check(&self) -> Result<Health> {
        match &self.pools {
            Pools::Sqlite { readers, .. } => {
                let version: String = sqlx::query_scalar("SELECT sqlite_version()").fetch_one(readers).await?;
                let durability = "synced to disk at every commit".to_owned();
                Ok(Health { version: format!("SQLite {version}"), durability })
            }
            Pools::Postgres(pool) => {
                let sql = "SELECT current_setting('server_version'), current_setting('fsync'), \
                           current_setting('synchronous_commit')";
                let (version, fsync, commit): (String, String, String) = sqlx::query_as(sql).fetch_one(pool).await?;
                let durability = format!("fsync={fsync}, synchronous_commit={commit}");
                Ok(Health { version: format!("PostgreSQL {version}"), durability })
            }
        }
    }

    /// Closes all connections, after their transactions.
    pub async fn close(&self) {
        match &self.pools {
            Pools::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
            Pools::Postgres(pool) => pool.close().await,
        }
    }
}

async fn open_sqlite(url: &str, shown: &str) -> Result<Pools> {
    let wrong = |cause: String| Error::field("/database/url", format!("{shown}: {cause}"));
    if url.contains(":memory:") || url.contains("mode=memory") {
        return Err(wrong("a database in memory loses every job at the stop: name a file".to_owned()));
    }
    let options = SqliteConnectOptions::from_str(url).map_err(|error| wrong(error.to_string()))?;
    if let Some(directory) = options.get_filename().parent() {
        std::fs::create_dir_all(directory)
            .map_err(|error| wrong(format!("cannot make the directory {}: {error}", directory.display())))?;
    }
    let options = options
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(true);
    let failed = |error: sqlx::Error| {
        Error::unavailable(format!("the database {shown} (is it a SQLite file that this user may write?)"), error)
    };
    // A file does not go away between two uses, so nobody needs to ask it.
    let pool = || {
        let options = SqlitePoolOptions::new().acquire_timeout(ACQUIRE_TIMEOUT).test_before_acquire(false);
        options.idle_timeout(None).max_lifetime(None)
    };
    // The writer comes first: it makes the file and its journal. The change to WAL does not obey the busy time-out, and several
    // processes may start at once on a new file.
    let deadline = tokio::time::Instant::now() + BUSY_TIMEOUT;
    let writer = loop {
        match pool().max_connections(1).connect_with(options.clone()).await {
            Err(error) if is_busy(&error) && tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(BUSY_PAUSE).await;
            }
            opened => break opened.map_err(failed)?,
        }
    };
    let readers = pool()
        .max_connections(SQLITE_READERS)
        .min_connections(0)
        .connect_with(options.pragma("query_only", "ON"))
        .await
        .map_err(failed)?;
    Ok(Pools::Sqlite { writer, readers })
}

/// Says whether another process has the file at this moment: `SQLITE_BUSY` in any of its forms.
pub(super) fn is_busy(error: &sqlx::Error) -> bool {
    const BUSY: i64 = 5;
    let code = error.as_database_error().and_then(|error| error.code().and_then(|code| code.parse::<i64>().ok()));
    code.is_some_and(|code| code & 0xff == BUSY)
}

async fn open_postgres(url: &str, shown: &str, max_connections: u32) -> Result<Pools> {
    let options = PgConnectOptions::from_str(url)
        .map_err(|error| Error::field("/database/url", format!("{shown}: {error}")))?
        .application_name("deskhand");
    let failed = |error: sqlx::Error| {
        let what = format!("the database {shown} (is the server up, and are user, password and name right?)");
        Error::unavailable(what, error)
    };
    // The pool would knock at a closed door until its time-out; whoever starts the program wants to know at once.
    let first = tokio::time::timeout(ACQUIRE_TIMEOUT, PgConnection::connect_with(&options)).await;
    first.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map_err(failed)?.close().await?;
    let pool = PgPoolOptions::new()
        .max_connections(max_connections.max(2))
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .before_acquire(|connection, was| {
            Box::pin(async move {
                // Each question is a trip to the server; what was in use a moment ago is nearly always there.
                if was.idle_for > TRUSTED {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_lazy_with(options);
    Ok(Pools::Postgres(pool))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wrong_address_is_answered_with_the_cure() {
        for (url, cure) in [
            ("mysql://x", "starts with sqlite:// or postgres://"),
            ("deskhand.db", "starts with sqlite:// or postgres://"),
            ("sqlite::memory:", "name a file"),
            ("postgres://dan:pw@127.0.0.1:1/desk", "is the server up"),
        ] {
            let error = Db::open(url).await.expect_err("wrong address").to_string();
            assert!(error.contains(cure) && !error.contains("pw@"), "{url}: {error}");
        }
    }
}
