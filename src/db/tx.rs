//! A transaction on either database.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, Postgres, Sqlite, SqliteConnection, Transaction};
use tokio::sync::watch;

use super::figures::Timer;
use crate::base::Result;

/// Which database it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Backend {
    /// The embedded one.
    Sqlite,
    /// The server.
    Postgres,
}

/// A transaction; dropped without [`Tx::commit`], it never happened.
#[derive(Debug)]
pub struct Tx {
    inner: Inner,
    now: DateTime<Utc>,
    signal: Arc<watch::Sender<u64>>,
    enqueued: bool,
    _timer: Timer,
}

#[derive(Debug)]
pub(super) enum Inner {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
    /// A connection without a transaction, for statements that read.
    SqliteLook(PoolConnection<Sqlite>),
    PostgresLook(PoolConnection<Postgres>),
}

/// The connection of a transaction, for [`on!`](crate::on).
#[derive(Debug)]
pub enum Conn<'a> {
    /// To the embedded database.
    Sqlite(&'a mut SqliteConnection),
    /// To the server.
    Postgres(&'a mut PgConnection),
}

impl Tx {
    pub(super) fn new(inner: Inner, now: DateTime<Utc>, signal: Arc<watch::Sender<u64>>, timer: Timer) -> Self {
        Self { inner, now, signal, enqueued: false, _timer: timer }
    }

    /// Returns the instant at which the transaction began, by the clock of its [`Db`](super::Db): one time for all its rows.
    pub fn now(&self) -> DateTime<Utc> {
        self.now
    }

    /// Returns the connection.
    pub fn conn(&mut self) -> Conn<'_> {
        match &mut self.inner {
            Inner::Sqlite(tx) => Conn::Sqlite(tx),
            Inner::Postgres(tx) => Conn::Postgres(tx),
            Inner::SqliteLook(connection) => Conn::Sqlite(connection),
            Inner::PostgresLook(connection) => Conn::Postgres(connection),
        }
    }

    /// Says which database this is, where a statement must differ.
    pub fn backend(&self) -> Backend {
        match self.inner {
            Inner::Sqlite(_) | Inner::SqliteLook(_) => Backend::Sqlite,
            Inner::Postgres(_) | Inner::PostgresLook(_) => Backend::Postgres,
        }
    }

    /// Notes that this transaction enqueues jobs: its commit fires [`Db::enqueued`](super::Db::enqueued). Answers whether that
    /// is news.
    pub(crate) fn signal_on_commit(&mut self) -> bool {
        !std::mem::replace(&mut self.enqueued, true)
    }

    /// Makes everything happen at once.
    ///
    /// # Errors
    /// [`Error`](crate::base::Error) if the database does not confirm; then nothing happened, or nobody can tell.
    pub async fn commit(self) -> Result<()> {
        match self.inner {
            Inner::Sqlite(tx) => tx.commit().await?,
            Inner::Postgres(tx) => tx.commit().await?,
            Inner::SqliteLook(_) | Inner::PostgresLook(_) => {}
        }
        if self.enqueued {
            self.signal.send_modify(|commits| *commits = commits.wrapping_add(1));
        }
        Ok(())
    }

    /// Makes nothing happen, and waits until that is so.
    ///
    /// # Errors
    /// [`Error`](crate::base::Error) if the database does not confirm; nothing happened all the same.
    pub async fn rollback(self) -> Result<()> {
        match self.inner {
            Inner::Sqlite(tx) => tx.rollback().await?,
            Inner::Postgres(tx) => tx.rollback().await?,
            Inner::SqliteLook(_) | Inner::PostgresLook(_) => {}
        }
        Ok(())
    }
}

/// Runs the same expression on either database: `on!(tx, |c| sqlx::query(SQL).bind(id).execute(c).await)`.
///
/// `c` is `&mut SqliteConnection` or `&mut PgConnection`. The expression must have one type on both: map the result of
/// `execute` with `.map(|done| done.rows_affected())`.
#[macro_export]
macro_rules! on {
    ($tx:expr, |$c:ident| $body:expr) => {
        match $tx.conn() {
            $crate::db::Conn::Sqlite($c) => $body,
            $crate::db::Conn::Postgres($c) => $body,
        }
    };
}
