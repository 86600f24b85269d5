//! What remote workers ask for. One file for each conversation: `register`, `claim`, `settle`; `overdue` takes back what they do not
//! finish in time.

use std::sync::Arc;
use std::time::Duration;

use deskhand_jobs::WorkerId;
use deskhand_jobs::queue::{Queue, WorkerInfo};
use deskhand_jobs::worker::Figures;
use tokio::sync::{Notify, Semaphore};

use super::model::RemoteWorker;
use super::store;
use crate::base::{Actor, Error, Result, Vault};
use crate::db::Db;

/// How many waits of claims one process has under way: each may take a connection of its own to the queue. Who comes then waits for a
/// place, and looks all the same when its time is up.
const WAITS: usize = 256;

/// The longest time to wait for one answer of the queue.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Stands for all kinds of remote jobs in figures: the kinds of strangers must not become label values.
pub(super) const KIND_LABEL: &str = "remote";

/// The use cases of remote workers; clones share their figures and places.
#[derive(Clone)]
pub struct RemoteWork {
    pub(super) db: Db,
    pub(super) queue: Arc<dyn Queue>,
    pub(super) vault: Vault,
    pub(super) figures: Arc<Figures>,
    pub(super) waits: Arc<Semaphore>,
    pub(super) settled: Arc<Notify>,
}

impl std::fmt::Debug for RemoteWork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteWork").field("db", &self.db.url()).finish_non_exhaustive()
    }
}

impl RemoteWork {
    /// Makes the use cases over a database, a queue and what seals leases; `settled` is told of ends that the queue has taken.
    pub fn new(db: Db, queue: Arc<dyn Queue>, vault: Vault, settled: Arc<Notify>) -> Self {
        Self { db, queue, vault, figures: Arc::default(), waits: Arc::new(Semaphore::new(WAITS)), settled }
    }

    /// Returns how long attempts of a queue took on average, as far as this process has heard of their ends.
    pub fn mean_attempt(&self, queue: &deskhand_jobs::QueueName) -> Option<Duration> {
        self.figures.mean_attempt(queue)
    }

    /// Finds a worker that the caller has registered; that of anybody else does not exist.
    pub(super) async fn worker(&self, actor: &Actor, id: WorkerId) -> Result<RemoteWorker> {
        let mut tx = self.db.read().await?;
        let found = store::worker(&mut tx, &actor.tenant, id).await?;
        tx.rollback().await?;
        found.filter(|worker| worker.owner == owner(actor)).ok_or_else(|| Error::not_found("worker", &id))
    }

    /// Forgets a worker that the queue takes for dead, and says so.
    pub(super) async fn lost(&self, worker: &RemoteWorker) -> Result<Error> {
        let mut tx = self.db.begin().await?;
        store::remove_worker(&mut tx, &worker.tenant, worker.id).await?;
        tx.commit().await?;
        let message = format!(
            "worker {} did not beat in time and is taken for dead: stop what it runs, register again, and beat on a thread of its own",
            worker.id
        );
        Ok(Error::conflict("worker_lost", message))
    }
}

/// Returns who speaks for a worker: one token, one person.
pub(super) fn owner(actor: &Actor) -> String {
    format!("{}:{}", actor.kind, actor.id.as_deref().unwrap_or(&actor.name))
}

/// Waits for an answer of the queue, but not for ever.
pub(super) async fn patiently<T>(answer: impl Future<Output = deskhand_jobs::queue::Result<T>>) -> Result<T> {
    let answer = tokio::time::timeout(PATIENCE, answer).await;
    Ok(answer.map_err(|elapsed| Error::unavailable("the queue", elapsed))??)
}

/// Says whether a worker is one that works over HTTP.
pub fn is_remote(worker: &WorkerInfo) -> bool {
    worker.queues.iter().any(|queue| super::name::in_front(queue).is_some())
}
