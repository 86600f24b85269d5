//! The outbox: a job written beside the business rows, in their transaction.

use std::future::Future;

use deskhand_jobs::{Envelope, JobId};

use super::lines::{self, Line};
use crate::base::Result;
use crate::db::{Backend, Tx};
use crate::on;

/// The channel on which Postgres tells other processes of a commit with jobs.
pub(crate) const CHANNEL: &str = "deskhand_jobs";

/// Enqueues jobs in a transaction.
pub trait Enqueue {
    /// Writes a job that exists if, and only if, the transaction commits. An id that is there already is the same job: nothing
    /// changes. A job without a tenant belongs to the default tenant.
    ///
    /// # Errors
    /// [`Error`](crate::base::Error) if the tenant is no tenant or the database refuses.
    fn enqueue(&mut self, job: &Envelope) -> impl Future<Output = Result<JobId>> + Send;

    /// Writes many jobs as [`Enqueue::enqueue`] does one, hundreds in a statement.
    ///
    /// # Errors
    /// As [`Enqueue::enqueue`].
    fn enqueue_many(&mut self, jobs: &[Envelope]) -> impl Future<Output = Result<()>> + Send;
}

impl Enqueue for Tx {
    async fn enqueue(&mut self, job: &Envelope) -> Result<JobId> {
        insert(self, &[Line::new(job.clone(), None)?]).await?;
        Ok(job.id)
    }

    async fn enqueue_many(&mut self, jobs: &[Envelope]) -> Result<()> {
        let lines: Vec<Line> = jobs.iter().map(|job| Line::new(job.clone(), None)).collect::<Result<_>>()?;
        insert(self, &lines).await
    }
}

/// Writes rows; those that are there already stay as they are.
pub(crate) async fn insert(tx: &mut Tx, jobs: &[Line]) -> Result<()> {
    // A bound for what one statement takes to the server.
    for part in jobs.chunks(ROWS) {
        lines::insert(tx, &part.iter().collect::<Vec<_>>()).await?;
    }
    announce(tx).await
}

/// How many rows one statement writes.
const ROWS: usize = 1_000;

/// Wakes the relays of all processes when the transaction commits.
pub(crate) async fn announce(tx: &mut Tx) -> Result<()> {
    // Only Postgres can tell other processes; beside SQLite there is their slow tick.
    if tx.signal_on_commit() && tx.backend() == Backend::Postgres {
        on!(tx, |c| sqlx::query("SELECT pg_notify($1, '')").bind(CHANNEL).execute(c).await.map(|_| ()))?;
    }
    Ok(())
}
