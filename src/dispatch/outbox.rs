//! The outbox: a job written beside the business rows, in their transaction.

use std::collections::BTreeSet;
use std::future::Future;

use deskhand_jobs::{BatchId, Envelope, JobId};

use super::batches;
use super::lines::{self, Line};
use crate::base::Result;
use crate::db::{Backend, Tx};
use crate::on;

/// The channel on which Postgres tells other processes of a commit with jobs.
pub(crate) const CHANNEL: &str = "deskhand_jobs";

/// Enqueues jobs in a transaction.
pub trait Enqueue {
    /// Writes a job that exists if, and only if, the transaction commits. An id that is there already is the same job: nothing
    /// changes. A job without a tenant belongs to the default tenant. A job that names a batch becomes its member.
    ///
    /// # Errors
    /// [`Error`](crate::base::Error) if the tenant is no tenant or the database refuses, `batch_closed` if the batch it names is not open.
    fn enqueue(&mut self, job: &Envelope) -> impl Future<Output = Result<JobId>> + Send;

    /// Writes many jobs as [`Enqueue::enqueue`] does one, hundreds in a statement.
    ///
    /// # Errors
    /// As [`Enqueue::enqueue`].
    fn enqueue_many(&mut self, jobs: &[Envelope]) -> impl Future<Output = Result<()>> + Send;

    /// Writes members of one tenant, and a job of it that runs when all of them have ended; without members, at once. The batch is
    /// known by the id of that job: writing it twice is one batch. Whoever runs as a member can add others with [`Enqueue::enqueue`].
    ///
    /// # Errors
    /// As [`Enqueue::enqueue`].
    fn enqueue_batch(
        &mut self,
        then: &Envelope,
        members: Vec<Envelope>,
    ) -> impl Future<Output = Result<BatchId>> + Send;
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

    async fn enqueue_batch(&mut self, then: &Envelope, members: Vec<Envelope>) -> Result<BatchId> {
        let batch = batches::closed_by(then.id);
        let closing = Line::new(then.clone(), None)?.waiting();
        batches::join(self, std::slice::from_ref(&closing)).await?;
        if lines::insert(self, &[&closing]).await? == 0 {
            return Ok(batch);
        }
        let member = |job| Line::new(Envelope { batch: Some(batch), ..job }, None);
        let lines: Vec<Line> = members.into_iter().map(member).collect::<Result<_>>()?;
        insert(self, &lines).await?;
        batches::close_done(self, BTreeSet::from([batch])).await?;
        Ok(batch)
    }
}

/// Writes rows; those that are there already stay as they are.
pub(crate) async fn insert(tx: &mut Tx, jobs: &[Line]) -> Result<()> {
    batches::join(tx, jobs).await?;
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
