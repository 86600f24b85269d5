//! The port: what a store of jobs must do. `tests/conformance/` is its definition in code and runs on every store.
//!
//! ```text
//!             push                claim               settle: succeeded
//!   (new) ───────────▶ ready ───────────▶ running ───────────────────────▶ succeeded
//!     │                 ▲  ▲                │ │ │  cancelled, discarded
//!     │ push, later     │  │  hand back,    │ │ └───────────────────────▶ cancelled ◀── cancel (ready, scheduled)
//!     ▼       promote   │  │  rescue        │ │ dead, poison
//!   scheduled ──────────┘  └────────────────┘ └─────────────────────────▶ dead ──▶ redrive ──▶ ready
//!     ▲                                     │                               └────▶ discard ──▶ cancelled
//!     └────────────── retry, snooze ────────┘
//! ```
//!
//! Rules that hold for every store:
//!
//! 1. A job is in exactly one state. Every change is atomic.
//! 2. Time is the store's own; no client's clock decides anything.
//! 3. A running job belongs to a [`Lease`]. Only who shows that lease can change it; a stale answer changes nothing and harms
//!    no other answer of its batch.
//! 4. A worker is alive while it beats. [`LEASE`] after its last beat its jobs may be rescued, and it can claim no more.
//! 5. A unique key never outlives its job, nor the time that it may hold.
//! 6. A slot of a queue or a group belongs to a lease: it is taken by the claim and free again by whatever ends the lease, in the
//!    same change.
//! 7. With [`Endings::Keep`] the record of an ended job stays until [`Queue::forget_endings`]; while it is there, pushing its
//!    id again is a duplicate. With [`Endings::Retain`] the job itself stays for a while, and so does the taken id.

mod audit;
mod batches;
mod dead;
mod explain;
pub mod figures;
pub(crate) mod gate;
mod page;
mod progress;
pub mod redis;
mod retention;
pub mod sqlite;
pub(crate) mod turns;
mod types;

use std::time::Duration;

use async_trait::async_trait;
use serde_json::value::RawValue;

use crate::id::{BatchId, GroupKey, JobId, QueueName, WorkerId};
use crate::job::Envelope;
use crate::options::Limits;

pub use audit::{Audit, Drift, DriftKind, MOST_DRIFT};
pub use batches::{Batch, BatchCancelled, BatchInfo, BatchTotals, NotClosing, Opened, Refusal, Sealed};
pub(crate) use batches::{Gate, refusal};
pub(crate) use dead::kind_in;
pub use dead::{Amended, DEAD_STEP, DeadFilter, DeadGroup, DeadStep, MAX_DEAD_GROUPS, Moved, Pace};
pub use explain::{Code, Reason, Surroundings, explain};
pub use page::{Cursor, Listing, NoCursor, Page};
pub use progress::{LogLine, MAX_LINE_BYTES, MAX_LOG_LINES, Progress, Report};
pub(crate) use progress::{append, one_line};
pub use retention::{Endings, Retention};
pub(crate) use retention::{REMOVED_PER_BEAT, REMOVED_PER_END};
pub use turns::PASSED_OVER;
pub use types::*;

/// How long a worker is believed alive after its last beat.
pub const LEASE: Duration = Duration::from_secs(12);

/// How often a worker beats while it has jobs.
pub const BEAT: Duration = Duration::from_secs(3);

/// How often a worker beats while it has none. Each also beats when the lease of another runs out ([`Beat::next_expiry_ms`]), so that
/// the jobs of a dead worker are back a moment after its lease: within 15 s.
pub const IDLE_BEAT: Duration = Duration::from_secs(6);

/// A job recovered more often than this from workers that died is taken for the cause of their deaths.
pub const MAX_RECOVERIES: u32 = 3;

/// A store of jobs.
///
/// All methods fail with [`Error`] only for reasons of the store itself; what the caller asked in vain is part of the answer.
#[async_trait]
pub trait Queue: Send + Sync + 'static {
    /// Accepts jobs, in order, and answers for each in the same order. A job is durable when this returns, as far as the store
    /// is. An id that the store knows, in whatever state, is [`Pushed::Duplicate`] and changes nothing. Who pushes an id again names
    /// the same queue: a store whose queues live apart looks only there.
    async fn push(&self, jobs: &[Envelope]) -> Result<Vec<Pushed>>;

    /// Says that a worker lives, for every queue it serves: registers it if `register`, else renews its leases if they have not
    /// run out. Also rescues what dead workers left (see [`Beat::rescued`]).
    async fn beat(&self, worker: &WorkerInfo, register: bool) -> Result<Beat>;

    /// Answers which running jobs of a worker somebody has asked to stop. A worker asks as long as it runs any, much more often than
    /// it beats; so this only reads.
    async fn stops(&self, worker: WorkerId, queues: &[QueueName]) -> Result<Vec<JobId>>;

    /// Takes up to `limit` ready jobs for a worker, from the first queue first, within a queue by priority and then in order of
    /// arrival; but a priority that waits lets no more than [`PASSED_OVER`] more urgent jobs pass. A job whose group may not start
    /// one now is passed over and keeps its place. Promotes what is due before. A paused queue, and one of which as many jobs run
    /// as may, gives nothing. A worker without a valid lease gets [`Claim::lost`] and no job.
    ///
    /// A worker may have two claims under way. It may give one up; what that was given then goes back by [`Queue::hand_back_others`].
    async fn claim(&self, worker: WorkerId, queues: &[QueueName], limit: usize) -> Result<Claim>;

    /// Ends attempts. Answers for each in the same order.
    async fn settle(&self, settlements: &[Settlement]) -> Result<Vec<Settled>>;

    /// Keeps what running jobs tell. Answers for each in the same order; who does not show the lease of the job changes nothing. A report
    /// that comes again changes nothing either.
    async fn report(&self, reports: &[Report]) -> Result<Vec<Settled>>;

    /// Removes a worker that has settled or handed back all it had; its remaining jobs, if any, are handed back.
    async fn leave(&self, worker: WorkerId, queues: &[QueueName]) -> Result<()>;

    /// Hands back what a worker has beside the jobs it knows: what it was given in answers that never arrived. It goes on living.
    async fn hand_back_others(&self, worker: WorkerId, queues: &[QueueName], known: &[JobId]) -> Result<()>;

    /// Returns when one of the queues may have something to claim, or after `max_wait`; sleeping costs the store nothing.
    async fn wait(&self, queues: &[QueueName], max_wait: Duration) -> Result<()>;

    /// Waits as [`Queue::wait`] does, and then claims as [`Queue::claim`] does if the store can do both in one exchange; else `None`, and
    /// the caller claims. Who gives up this call may have been given jobs in an answer that it did not see, as with any claim.
    async fn wait_and_claim(
        &self,
        worker: WorkerId,
        queues: &[QueueName],
        limit: usize,
        max_wait: Duration,
    ) -> Result<Option<Claim>> {
        let _ = (worker, limit);
        self.wait(queues, max_wait).await?;
        Ok(None)
    }

    /// Ends a ready or scheduled job at once, asks a running one to stop. A dead job is not cancelled but discarded.
    async fn cancel(&self, id: JobId) -> Result<Cancelled>;

    /// Makes a scheduled job ready now. `false` if there is no such scheduled job.
    async fn retry_now(&self, id: JobId) -> Result<bool>;

    /// Makes dead jobs ready again, all at once; see [`Queue::redrive_paced`].
    async fn redrive(&self, ids: &[JobId]) -> Result<Vec<JobId>> {
        self.redrive_paced(ids, Pace::NOW).await
    }

    /// Makes dead jobs run again with their counters at zero and their generation one higher: ready, or scheduled if the pace lets
    /// them wait. Answers with the ids that were dead.
    async fn redrive_paced(&self, ids: &[JobId], pace: Pace) -> Result<Vec<JobId>>;

    /// The same for dead jobs named by what they are, the oldest first and in bounded steps.
    async fn redrive_step(&self, step: &DeadStep, pace: Pace) -> Result<Moved>;

    /// Takes all steps of a redrive; answers how many jobs run again. A job that dies again meanwhile stays dead.
    async fn redrive_all(&self, filter: DeadFilter, pace: Pace) -> Result<u64> {
        let (mut next, mut pace, mut count) = (Some(DeadStep::first(filter)), pace, 0);
        while let Some(step) = next {
            let moved = self.redrive_step(&step, pace).await?;
            pace = pace.then(moved.ids.len());
            count += moved.ids.len() as u64;
            next = moved.next;
        }
        Ok(count)
    }

    /// Ends dead jobs as cancelled. Answers with the ids that were dead.
    async fn discard(&self, ids: &[JobId], reason: &str) -> Result<Vec<JobId>>;

    /// The same for dead jobs named by what they are, the oldest first and in bounded steps.
    async fn discard_step(&self, step: &DeadStep, reason: &str) -> Result<Moved>;

    /// Gives a dead job other arguments; its kind, options, tenant and headers stay.
    async fn amend(&self, id: JobId, args: &RawValue) -> Result<Amended> {
        let Some(record) = self.job(id).await?.filter(|record| record.state == State::Dead) else {
            return Ok(Amended::NotDead);
        };
        let old = record.payload.unwrap_or_default();
        match dead::amended(id, record.queue.clone(), &old, args) {
            Err(refusal) => Ok(Amended::Refused(refusal)),
            Ok(new) if self.swap_payload(&record.queue, id, &old, &new).await? => Ok(Amended::Done),
            Ok(_) => Ok(Amended::Changed),
        }
    }

    /// Gives a dead job another payload if it still has the old one; `false` if it is not so. What [`Queue::amend`] is made of.
    async fn swap_payload(&self, queue: &QueueName, id: JobId, old: &[u8], new: &[u8]) -> Result<bool>;

    /// Reads dead jobs by what they are, the latest dead first. A filter that fits few of many may bring a page that is short, even
    /// empty, and yet has a next one.
    async fn dead(&self, filter: &DeadFilter, page: Page) -> Result<Listing>;

    /// Counts the dead of a queue by what they do and what they died of, the group that grew last first; at most
    /// [`MAX_DEAD_GROUPS`].
    async fn dead_groups(&self, queue: &QueueName) -> Result<Vec<DeadGroup>>;

    /// Stops handing out jobs of a queue; what runs goes on.
    async fn pause(&self, queue: &QueueName) -> Result<()>;

    /// Hands out jobs of a queue again.
    async fn resume(&self, queue: &QueueName) -> Result<()>;

    /// Lets so many jobs of a queue run at once, over all workers, or as many as workers take. What runs goes on.
    async fn limit(&self, queue: &QueueName, concurrency: Option<u32>) -> Result<()>;

    /// Fixes the limits of a group, whatever limits its jobs bring; `None` takes that back, and what its jobs said last holds again.
    async fn limit_group(&self, queue: &QueueName, group: &GroupKey, limits: Option<Limits>) -> Result<()>;

    /// Reads up to `limit` groups of a queue that have a job which has not ended or is dead, or whose limits are fixed: by key,
    /// behind the one that `after` names.
    async fn groups(&self, queue: &QueueName, after: Option<&GroupKey>, limit: usize) -> Result<Vec<GroupInfo>>;

    /// Reads one group, if [`Queue::groups`] has it.
    async fn group(&self, queue: &QueueName, group: &GroupKey) -> Result<Option<GroupInfo>>;

    /// Reads one job, whatever its state.
    async fn job(&self, id: JobId) -> Result<Option<JobRecord>>;

    /// Reads jobs of one queue in one state: ready in the order of claiming, scheduled by due time, dead and ended by the time of
    /// the end, latest first. A page costs the same wherever it is in the list, and jobs that come or go meanwhile make no other one
    /// appear twice or never; only the ready on Redis are paged by their place in line, which moves when others are claimed.
    async fn list(&self, queue: &QueueName, state: State, page: Page) -> Result<Listing>;

    /// Tells which of these ids the store knows, in whatever state.
    async fn known(&self, ids: &[JobId]) -> Result<Vec<JobId>>;

    /// Reads every queue that ever had a job or a worker, with its counts, in O(1) each.
    async fn queues(&self) -> Result<Vec<QueueInfo>>;

    /// Reads the workers that are believed alive.
    async fn workers(&self) -> Result<Vec<WorkerInfo>>;

    /// Reads up to `limit` records of ended jobs; empty unless the store keeps them.
    async fn endings(&self, limit: usize) -> Result<Vec<Ending>>;

    /// Removes these records of ended jobs, as [`Queue::endings`] gave them. A dead job stays dead; only its record goes. A job that
    /// has been redriven and has ended again meanwhile has a newer record, which stays.
    async fn forget_endings(&self, endings: &[Ending]) -> Result<()>;

    /// Proves that each job of a queue is in exactly one place and that nothing is left of what is gone, while the queue goes on: it
    /// reads in bounded parts and leaves the store time for everybody else. What it reports was true in one instant; with `repair` it
    /// is in order again, and a job that was nowhere is ready.
    async fn audit(&self, queue: &QueueName, repair: bool) -> Result<Audit>;

    /// Opens a batch: from now on it takes members. The rules of batches are those of [`Batch`]'s module, in short: open, push, seal.
    async fn open_batch(&self, batch: &Batch) -> Result<Opened>;

    /// Says that nobody from outside will push members of a batch any more. It closes when none is left, or now.
    async fn seal_batch(&self, queue: &QueueName, id: BatchId) -> Result<Sealed>;

    /// Opens a batch, pushes its members and seals it; answers for each member in order. Fails before it does anything if a member
    /// goes to another queue. Repeated after a failure it goes on where it stood; if the batch has closed, all are duplicates.
    async fn push_batch(&self, batch: &Batch, mut members: Vec<Envelope>) -> Result<Vec<Pushed>> {
        for member in &mut members {
            if member.options.queue != *batch.queue() {
                let (id, other, queue) = (member.id, &member.options.queue, batch.queue());
                return Err(Error::Refused {
                    store: queue.to_string(),
                    message: format!(
                        "job {id} goes to queue {other}, but a batch lives in one queue and this one closes in {queue}: give all \
                         of them the same queue"
                    ),
                });
            }
            member.batch = Some(batch.id());
        }
        if self.open_batch(batch).await? == Opened::Closed {
            return Ok(vec![Pushed::Duplicate; members.len()]);
        }
        let answers = self.push(&members).await?;
        self.seal_batch(batch.queue(), batch.id()).await?;
        Ok(answers)
    }

    /// Ends the members of a batch that wait and asks those that run to stop, in bounded steps. It takes no more members, as if it
    /// were sealed, and its closing job runs when all have ended. `None` if there is no such batch.
    async fn cancel_batch(&self, id: BatchId) -> Result<Option<BatchCancelled>>;

    /// Reads one batch that has not closed.
    async fn batch(&self, id: BatchId) -> Result<Option<BatchInfo>>;

    /// Reads batches of a queue that have not closed, in the order of their ids, which begin with when they were made: behind `after`
    /// if there is one, and at most `size`.
    async fn batches(&self, queue: &QueueName, after: Option<BatchId>, size: usize) -> Result<Vec<BatchInfo>>;

    /// Proves that the store answers and is fit for use; the error names the cure.
    async fn check(&self) -> Result<Health>;
}
