//! Claiming: at once, or when something comes.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use deskhand_jobs::queue::{Claim, Claimed, Settlement};
use deskhand_jobs::verdict::{Ending, Facts, verdict};
use deskhand_jobs::{Envelope, JobId, Kind, Options, QueueName, WorkerId, outcome};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use super::delivery::Delivery;
use super::model::RemoteWorker;
use super::overdue::due;
use super::store;
use super::ticket::Ticket;
use super::work::{PATIENCE, RemoteWork, patiently};
use crate::base::{Actor, Error, Result};

/// The longest that a claim waits for something to come; a proxy on the way has to be at least as patient.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// The most jobs that one claim gives.
pub(super) const MOST_CLAIMED: usize = 500;

/// So many vain wake-ups in a row are no accident, as from a queue that is paused.
const VAIN_LIMIT: u32 = 3;
const LONGEST_VAIN_REST: Duration = Duration::from_millis(100);

/// What a worker asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// How many jobs at most; the concurrency of the worker is a bound, too.
    #[schema(minimum = 1, maximum = 500)]
    pub max: usize,
    /// How long to wait until there is one, in milliseconds; 0, which is also what is meant if it is left out, answers at once.
    #[serde(default)]
    #[schema(maximum = 20_000)]
    pub wait_ms: u64,
    /// The jobs that the worker has now. What it has beside these, because an answer did not reach it, goes back first. To be sent
    /// with the claim after one that failed.
    #[serde(default)]
    pub known: Option<Vec<JobId>>,
}

/// A job as a remote worker gets it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Handed {
    /// The job.
    pub id: JobId,
    /// The remote queue from which it comes.
    pub queue: QueueName,
    /// What to do.
    pub kind: Kind,
    /// The arguments.
    #[schema(value_type = Object)]
    pub args: Box<RawValue>,
    /// The number of the attempt; the first is 1. Hand-backs and recoveries do not count.
    pub attempt: u32,
    /// The failures after which it is dead.
    pub max_attempts: u32,
    /// What to show when settling or reporting; opaque.
    pub lease: String,
    /// How long the attempt may take, in milliseconds.
    pub timeout_ms: u64,
    /// When its time is up, by the clock of the queue. A few seconds later it is taken back, as failed.
    pub deadline: DateTime<Utc>,
    /// What travels along, such as `traceparent`.
    pub headers: BTreeMap<String, String>,
    /// What to show to others who are asked to do something once: the same in all attempts.
    pub idempotency_key: String,
}

impl RemoteWork {
    /// Takes jobs for a worker, the first of its queues first. It waits up to `wait_ms` for one; then, or when `stop` fires, it
    /// answers with none.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the caller has no such worker, [`Error::Conflict`] (`worker_lost`) if it is taken for dead.
    pub async fn claim(
        &self,
        actor: &Actor,
        id: WorkerId,
        wanted: &Wanted,
        stop: &CancellationToken,
    ) -> Result<Delivery> {
        if !(1..=MOST_CLAIMED).contains(&wanted.max) {
            return Err(Error::field("/max", format!("a claim asks for 1 to {MOST_CLAIMED} jobs")));
        }
        let wait = Duration::from_millis(wanted.wait_ms);
        if wait > LONGEST_WAIT {
            let message = format!("a claim waits at most {} ms: claim again", LONGEST_WAIT.as_millis());
            return Err(Error::field("/wait_ms", message));
        }
        let worker = self.worker(actor, id).await?;
        let queues = worker.queues_behind();
        if let Some(known) = &wanted.known {
            patiently(self.queue.hand_back_others(id, &queues, known)).await?;
        }
        let until = Instant::now() + wait;
        let (mut vain, mut woken) = (0_u32, false);
        loop {
            if stop.is_cancelled() {
                return Ok(Delivery::empty());
            }
            let (delivery, next_due_ms) = self.claim_now(&worker, &queues, wanted.max.min(worker.concurrency)).await?;
            let left = until.saturating_duration_since(Instant::now());
            if !delivery.is_empty() || left.is_zero() {
                return Ok(delivery);
            }
            vain = if woken { vain + 1 } else { 0 };
            if let Some(beyond) = vain.checked_sub(VAIN_LIMIT) {
                let rest = Duration::from_millis(1_u64.checked_shl(beyond).unwrap_or(u64::MAX)).min(LONGEST_VAIN_REST);
                sleep(rest.min(left)).await;
            }
            let limit = next_due_ms.map_or(left, |due_ms| Duration::from_millis(due_ms.max(1)).min(left));
            woken = tokio::select! {
                () = stop.cancelled() => false,
                woken = self.wait(&queues, limit) => woken?,
            };
        }
    }

    /// Waits until a queue may have something; says whether it was woken before the time was up.
    async fn wait(&self, queues: &[QueueName], limit: Duration) -> Result<bool> {
        let until = Instant::now() + limit;
        let Ok(place) = timeout(limit, self.waits.acquire()).await else { return Ok(false) };
        let limit = until.saturating_duration_since(Instant::now());
        let waited = timeout(limit + PATIENCE, self.queue.wait(queues, limit)).await;
        drop(place);
        waited.map_err(|elapsed| Error::unavailable("the queue", elapsed))??;
        Ok(Instant::now() < until)
    }

    /// Claims once, in a task of its own: who asked may go away in the middle, and what the queue then gives must not be lost.
    async fn claim_now(
        &self,
        worker: &RemoteWorker,
        queues: &[QueueName],
        limit: usize,
    ) -> Result<(Delivery, Option<u64>)> {
        let (answer, claimed) = oneshot::channel();
        let (work, worker, queues) = (self.clone(), worker.clone(), queues.to_vec());
        tokio::spawn(async move {
            let claimed = work.claim_once(&worker, &queues, limit).await;
            // If nobody listens any more, the delivery is dropped here, which hands the jobs back.
            drop(answer.send(claimed));
        });
        claimed.await.map_err(|error| Error::internal("a claim ended without an answer", error))?
    }

    async fn claim_once(
        &self,
        worker: &RemoteWorker,
        queues: &[QueueName],
        limit: usize,
    ) -> Result<(Delivery, Option<u64>)> {
        let Claim { jobs, late, next_due_ms, lost, .. } = patiently(self.queue.claim(worker.id, queues, limit)).await?;
        for late in &late {
            self.figures.late(late);
        }
        if lost {
            return Err(self.lost(worker).await?);
        }
        let (mut delivery, mut unreadable, mut check_at) = (Delivery::new(self.clone()), Vec::new(), None);
        for job in jobs {
            match Envelope::decode(job.id, job.queue.clone(), &job.payload) {
                Ok(envelope) => {
                    let ticket = Ticket::new(&job, &envelope);
                    let handed = self.handed(worker, &job, envelope, &ticket);
                    let claimed_at = DateTime::from_timestamp_millis(job.claimed_at_ms).unwrap_or_default();
                    let end = due(claimed_at, i64::try_from(handed.timeout_ms).unwrap_or(i64::MAX));
                    check_at = check_at.into_iter().chain([end]).min();
                    delivery.add(handed, &ticket);
                }
                Err(error) => unreadable.push(undecodable(job, &error)),
            }
        }
        if !unreadable.is_empty() {
            patiently(self.queue.settle(&unreadable)).await?;
        }
        if let Some(at) = check_at {
            self.check_by(worker, at).await?;
        }
        Ok((delivery, next_due_ms))
    }

    fn handed(&self, worker: &RemoteWorker, job: &Claimed, envelope: Envelope, ticket: &Ticket) -> Handed {
        let timeout_ms = envelope.options.timeout_ms;
        let deadline_ms = job.claimed_at_ms.saturating_add(i64::try_from(timeout_ms).unwrap_or(i64::MAX));
        Handed {
            id: job.id,
            queue: super::name::shown(&job.queue),
            kind: envelope.kind,
            args: envelope.args,
            attempt: ticket.attempt(),
            max_attempts: envelope.options.max_attempts,
            lease: ticket.seal(&self.vault, worker.id),
            timeout_ms,
            deadline: DateTime::from_timestamp_millis(deadline_ms).unwrap_or(DateTime::<Utc>::MAX_UTC),
            headers: envelope.headers,
            idempotency_key: job.id.to_string(),
        }
    }

    /// Notes when to look at the latest whether a worker is over its time. Most claims find it noted.
    async fn check_by(&self, worker: &RemoteWorker, at: DateTime<Utc>) -> Result<()> {
        let mut tx = self.db.read().await?;
        let noted = store::worker(&mut tx, &worker.tenant, worker.id).await?.and_then(|worker| worker.check_at);
        tx.rollback().await?;
        if noted.is_some_and(|noted| noted <= at) {
            return Ok(());
        }
        let mut tx = self.db.begin().await?;
        store::check_by(&mut tx, worker, at).await?;
        tx.commit().await
    }
}

/// Ends a job that nobody can read: a person has to look at it.
fn undecodable(job: Claimed, error: &deskhand_jobs::EnvelopeError) -> Settlement {
    let options = Options::default();
    let facts = Facts { options: &options, history: &job.history, claimed_at_ms: job.claimed_at_ms };
    let verdict = verdict(Ending::Undecodable(outcome::chain(error)), None, facts, 0.0);
    Settlement { id: job.id, queue: job.queue, lease: job.lease, verdict }
}
