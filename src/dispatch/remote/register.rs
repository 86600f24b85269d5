//! Coming, living and leaving.

use std::collections::HashSet;
use std::time::Duration;

use chrono::TimeDelta;
use deskhand_jobs::queue::{BEAT, LEASE};
use deskhand_jobs::{JobId, QueueName, WorkerId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::claim::{LONGEST_WAIT, MOST_CLAIMED};
use super::model::RemoteWorker;
use super::name::behind;
use super::store;
use super::work::{RemoteWork, owner, patiently};
use crate::audit::{Event, Record};
use crate::base::{Actor, Error, FieldError, Result};

/// Of workers that were not seen for so long nothing is kept. The queue has taken their jobs back long ago.
const FORGOTTEN_AFTER: TimeDelta = TimeDelta::hours(1);

/// The longest name of a worker.
const MAX_NAME_CHARS: usize = 100;
/// The most queues that one worker serves.
const MAX_QUEUES: usize = 20;
/// The most jobs that one worker says to run at once.
const MAX_CONCURRENCY: usize = 1_000;

/// So much after the end of another worker's lease a beat finds its jobs.
const JUST_AFTER: Duration = Duration::from_millis(20);
/// No worker is asked to beat sooner.
const SHORTEST_BEAT: Duration = Duration::from_millis(100);

/// A program that wants to work.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewWorker {
    /// Its name, for people: host and process.
    #[schema(example = "host-7:4711")]
    pub name: String,
    /// The remote queues that it serves, the first first.
    pub queues: Vec<QueueName>,
    /// How many jobs it runs at once.
    #[schema(minimum = 1, maximum = 1000)]
    pub concurrency: usize,
}

/// A worker that is registered, and the times that it has to keep.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Registered {
    /// One life of it.
    pub id: WorkerId,
    /// Its name.
    pub name: String,
    /// The remote queues that it serves.
    pub queues: Vec<QueueName>,
    /// How many jobs it runs at once, which is also the most that one claim gives.
    pub concurrency: usize,
    /// How often to beat, in milliseconds; each beat says when the next is due.
    pub beat_every_ms: u64,
    /// So long after its last beat it is dead and others have its jobs, in milliseconds.
    pub dead_after_ms: u64,
    /// The longest that a claim waits, in milliseconds.
    pub longest_wait_ms: u64,
    /// The most jobs that one claim asks for.
    pub most_claimed: usize,
}

/// What a worker hears when it beats.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Beaten {
    /// Jobs that somebody has cancelled: stop them and settle them, as `hand_back` if nothing else is to be said.
    pub stop: Vec<JobId>,
    /// Jobs that were taken back because they ran longer than they may: stop them; what is settled of them is stale.
    pub taken: Vec<JobId>,
    /// Queues of which the store has lost the worker's leases: stop its jobs of these.
    pub lost_queues: Vec<QueueName>,
    /// Whether this server is stopping: the next request goes to another one, or comes back a little later.
    pub stopping: bool,
    /// In how many milliseconds to beat again.
    pub next_beat_ms: u64,
}

impl RemoteWork {
    /// Registers a worker.
    ///
    /// # Errors
    /// [`Error::Invalid`] names what does not fit, such as a queue that is not declared.
    pub async fn register(&self, actor: &Actor, new: NewWorker) -> Result<Registered> {
        check(&new)?;
        let mut tx = self.db.begin().await?;
        let mut wrong = Vec::new();
        for (place, name) in new.queues.iter().enumerate() {
            if store::queue(&mut tx, &actor.tenant, name).await?.is_none() || behind(&actor.tenant, name).is_none() {
                let message = format!(
                    "there is no remote queue {name}: declare it first; other queues are served by `deskhand worker`"
                );
                wrong.push(FieldError { pointer: format!("/queues/{place}"), message });
            }
        }
        if !wrong.is_empty() {
            return Err(Error::Invalid(wrong));
        }
        let now = tx.now();
        let worker = RemoteWorker {
            tenant: actor.tenant.clone(),
            id: WorkerId::new(),
            owner: owner(actor),
            name: new.name.trim().to_owned(),
            queues: new.queues,
            concurrency: new.concurrency,
            started_at: now,
            seen_at: now,
            check_at: None,
        };
        store::forget_workers(&mut tx, &actor.tenant, now - FORGOTTEN_AFTER).await?;
        store::add_worker(&mut tx, &worker).await?;
        let told =
            serde_json::json!({ "name": worker.name, "queues": worker.queues, "concurrency": worker.concurrency });
        tx.record(actor, Event::new("worker.register", "worker", &worker.id).after(&told)).await?;
        tx.commit().await?;
        patiently(self.queue.beat(&worker.info(), true)).await?;
        Ok(Registered {
            id: worker.id,
            name: worker.name,
            queues: worker.queues,
            concurrency: worker.concurrency,
            beat_every_ms: ms(BEAT),
            dead_after_ms: ms(LEASE),
            longest_wait_ms: ms(LONGEST_WAIT),
            most_claimed: MOST_CLAIMED.min(worker.concurrency),
        })
    }

    /// Renews the leases of a worker. With `known`, what it has beside these jobs goes back: what it was given in answers that never
    /// reached it.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the caller has no such worker, [`Error::Conflict`] (`worker_lost`) if it is taken for dead.
    pub async fn beat(&self, actor: &Actor, id: WorkerId, known: Option<&[JobId]>) -> Result<Beaten> {
        let worker = self.worker(actor, id).await?;
        let info = worker.info();
        let beat = patiently(self.queue.beat(&info, false)).await?;
        if beat.lost {
            return Err(self.lost(&worker).await?);
        }
        if let Some(known) = known {
            patiently(self.queue.hand_back_others(id, &info.queues, known)).await?;
        }
        let now = self.db.clock().now();
        let taken = if worker.check_at.is_some_and(|at| at <= now) {
            self.take_overdue(&worker, now).await?
        } else {
            Vec::new()
        };
        let gone: HashSet<JobId> = taken.iter().copied().collect();
        let mut stop = patiently(self.queue.stops(id, &info.queues)).await?;
        stop.retain(|id| !gone.contains(id));
        if worker.is_sight_stale(now) {
            let mut tx = self.db.begin().await?;
            store::note_sight(&mut tx, &worker, now).await?;
            tx.commit().await?;
        }
        let next = beat.next_expiry_ms.map_or(BEAT, |left| Duration::from_millis(left) + JUST_AFTER);
        Ok(Beaten {
            stop,
            taken,
            lost_queues: beat.lost_queues.iter().map(super::name::shown).collect(),
            stopping: false,
            next_beat_ms: ms(next.clamp(SHORTEST_BEAT, BEAT)),
        })
    }

    /// Removes a worker; what it has not settled goes back and burns no attempt.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the caller has no such worker.
    pub async fn leave(&self, actor: &Actor, id: WorkerId) -> Result<()> {
        let worker = self.worker(actor, id).await?;
        patiently(self.queue.leave(id, &worker.queues_behind())).await?;
        let mut tx = self.db.begin().await?;
        store::remove_worker(&mut tx, &worker.tenant, id).await?;
        tx.record(actor, Event::new("worker.leave", "worker", &id)).await?;
        tx.commit().await
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn check(new: &NewWorker) -> Result<()> {
    let name = new.name.trim();
    if name.is_empty() || name.chars().count() > MAX_NAME_CHARS || name.chars().any(char::is_control) {
        let cure =
            format!("the name of a worker has 1 to {MAX_NAME_CHARS} characters, none of them a control character");
        return Err(Error::field("/name", cure));
    }
    let distinct: HashSet<&QueueName> = new.queues.iter().collect();
    if new.queues.is_empty() || new.queues.len() > MAX_QUEUES || distinct.len() != new.queues.len() {
        return Err(Error::field("/queues", format!("a worker serves 1 to {MAX_QUEUES} queues, each named once")));
    }
    if !(1..=MAX_CONCURRENCY).contains(&new.concurrency) {
        return Err(Error::field("/concurrency", format!("a worker runs 1 to {MAX_CONCURRENCY} jobs at once")));
    }
    Ok(())
}
