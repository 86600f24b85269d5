//! The store as the port sees it: which duty is in which file.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use async_trait::async_trait;

use super::connection::Connection;
use super::wait::Waiter;
use crate::id::{BatchId, GroupKey, JobId, QueueName, WorkerId};
use crate::job::Envelope;
use crate::options::Limits;
use crate::queue::{
    Audit, Batch, BatchCancelled, BatchInfo, Beat, Cancelled, Claim, DeadFilter, DeadGroup, DeadStep, Ending, Endings,
    GroupInfo, Health, JobRecord, Listing, Moved, Opened, Pace, Page, Pushed, Queue, QueueInfo, Report, Result, Sealed,
    Settled, Settlement, State, WorkerInfo,
};

/// The store on Redis.
pub struct RedisQueue {
    pub(super) connection: Connection,
    pub(super) waiter: Waiter,
    /// Counts the fetches of endings, so that queues take turns.
    pub(super) turn: AtomicUsize,
    /// The list of queues as it was read last.
    pub(super) listed: Mutex<Vec<QueueName>>,
    /// Queues that are not in the list of queues yet, because the master that has it was away.
    pub(super) unlisted: Mutex<HashSet<QueueName>>,
}

impl RedisQueue {
    /// Connects; every key begins with `prefix`, which has no braces. An address is one of
    ///
    /// - `redis://[user:password@]host[:port][/db]`: one server;
    /// - `redis+sentinel://[user:password@]host[:port],…[/db]?service=NAME`: Sentinels, which know the server. With `sentinel_user=`
    ///   and `sentinel_password=` behind an `&` if they want a password of their own;
    /// - `redis+cluster://[user:password@]host[:port],…`: some nodes of a cluster, which know the others.
    ///
    /// With `rediss` instead of `redis` all connections are encrypted; `?ca=FILE` names the certificates to trust instead of the
    /// system's, `&cert=FILE&key=FILE` the client's own, all as PEM. In a password `@`, `:`, `/`, `?`, `#` and `%` are written
    /// `%40`, `%3A`, `%2F`, `%3F`, `%23` and `%25`.
    ///
    /// # Errors
    /// If the server cannot be reached, or is not fit to keep jobs.
    pub async fn open(url: &str, prefix: &str, endings: Endings) -> Result<Self> {
        let connection = Connection::open(url, prefix, endings).await?;
        connection.check().await?;
        connection.check_layout().await?;
        Ok(Self {
            connection,
            waiter: Waiter::default(),
            turn: AtomicUsize::new(0),
            listed: Mutex::default(),
            unlisted: Mutex::default(),
        })
    }

    /// For tests: moves what this client takes for the server's time.
    ///
    /// # Errors
    /// None; the other store has reasons.
    #[allow(clippy::unused_async, reason = "both stores have the same hook")]
    pub async fn shift_clock(&self, by_ms: i64) -> Result<()> {
        self.connection.shift_clock(by_ms);
        Ok(())
    }
}

#[async_trait]
impl Queue for RedisQueue {
    async fn push(&self, jobs: &[Envelope]) -> Result<Vec<Pushed>> {
        self.push_jobs(jobs).await
    }

    async fn beat(&self, worker: &WorkerInfo, register: bool) -> Result<Beat> {
        self.beat_all(worker, register).await
    }

    async fn stops(&self, worker: WorkerId, queues: &[QueueName]) -> Result<Vec<JobId>> {
        self.asked_to_stop(worker, queues).await
    }

    async fn claim(&self, worker: WorkerId, queues: &[QueueName], limit: usize) -> Result<Claim> {
        self.claim_from(worker, queues, limit).await
    }

    async fn settle(&self, settlements: &[Settlement]) -> Result<Vec<Settled>> {
        self.settle_all(settlements).await
    }

    async fn report(&self, reports: &[Report]) -> Result<Vec<Settled>> {
        self.keep_reports(reports).await
    }

    async fn leave(&self, worker: WorkerId, queues: &[QueueName]) -> Result<()> {
        self.take_back_all(worker, queues, "leaves", &[]).await
    }

    async fn hand_back_others(&self, worker: WorkerId, queues: &[QueueName], known: &[JobId]) -> Result<()> {
        self.take_back_all(worker, queues, "lives", known).await
    }

    async fn wait(&self, queues: &[QueueName], max_wait: Duration) -> Result<()> {
        self.waiter.wait(&self.connection, queues, max_wait).await
    }

    async fn wait_and_claim(
        &self,
        worker: WorkerId,
        queues: &[QueueName],
        limit: usize,
        max_wait: Duration,
    ) -> Result<Option<Claim>> {
        self.claim_awaited(worker, queues, limit, max_wait).await
    }

    async fn cancel(&self, id: JobId) -> Result<Cancelled> {
        self.cancel_job(id).await
    }

    async fn retry_now(&self, id: JobId) -> Result<bool> {
        self.retry_job(id).await
    }

    async fn redrive_paced(&self, ids: &[JobId], pace: Pace) -> Result<Vec<JobId>> {
        self.redrive_dead(ids, pace).await
    }

    async fn redrive_step(&self, step: &DeadStep, pace: Pace) -> Result<Moved> {
        self.redrive_named(step, pace).await
    }

    async fn discard(&self, ids: &[JobId], reason: &str) -> Result<Vec<JobId>> {
        self.discard_dead(ids, reason).await
    }

    async fn discard_step(&self, step: &DeadStep, reason: &str) -> Result<Moved> {
        self.discard_named(step, reason).await
    }

    async fn swap_payload(&self, queue: &QueueName, id: JobId, old: &[u8], new: &[u8]) -> Result<bool> {
        self.swap(queue, id, old, new).await
    }

    async fn dead(&self, filter: &DeadFilter, page: Page) -> Result<Listing> {
        self.list_dead(filter, page).await
    }

    async fn dead_groups(&self, queue: &QueueName) -> Result<Vec<DeadGroup>> {
        self.groups_of_dead(queue).await
    }

    async fn pause(&self, queue: &QueueName) -> Result<()> {
        self.set_paused(queue, true).await
    }

    async fn resume(&self, queue: &QueueName) -> Result<()> {
        self.set_paused(queue, false).await
    }

    async fn limit(&self, queue: &QueueName, concurrency: Option<u32>) -> Result<()> {
        self.limit_queue(queue, concurrency).await
    }

    async fn limit_group(&self, queue: &QueueName, group: &GroupKey, limits: Option<Limits>) -> Result<()> {
        self.pin_group(queue, group, limits).await
    }

    async fn groups(&self, queue: &QueueName, after: Option<&GroupKey>, limit: usize) -> Result<Vec<GroupInfo>> {
        self.page_of_groups(queue, after, limit).await
    }

    async fn group(&self, queue: &QueueName, group: &GroupKey) -> Result<Option<GroupInfo>> {
        self.one_group(queue, group).await
    }

    async fn job(&self, id: JobId) -> Result<Option<JobRecord>> {
        self.find_job(id).await
    }

    async fn list(&self, queue: &QueueName, state: State, page: Page) -> Result<Listing> {
        self.list_jobs(queue, state, page).await
    }

    async fn known(&self, ids: &[JobId]) -> Result<Vec<JobId>> {
        self.known_ids(ids).await
    }

    async fn queues(&self) -> Result<Vec<QueueInfo>> {
        self.all_queues().await
    }

    async fn workers(&self) -> Result<Vec<WorkerInfo>> {
        self.all_workers().await
    }

    async fn endings(&self, limit: usize) -> Result<Vec<Ending>> {
        self.some_endings(limit).await
    }

    async fn forget_endings(&self, endings: &[Ending]) -> Result<()> {
        self.remove_endings(endings).await
    }

    async fn audit(&self, queue: &QueueName, repair: bool) -> Result<Audit> {
        self.audit_queue(queue, repair).await
    }

    async fn open_batch(&self, batch: &Batch) -> Result<Opened> {
        self.open_one(batch).await
    }

    async fn seal_batch(&self, queue: &QueueName, id: BatchId) -> Result<Sealed> {
        self.seal(queue, id).await
    }

    async fn cancel_batch(&self, id: BatchId) -> Result<Option<BatchCancelled>> {
        self.cancel_members(id).await
    }

    async fn batch(&self, id: BatchId) -> Result<Option<BatchInfo>> {
        self.find_batch(id).await
    }

    async fn batches(&self, queue: &QueueName, after: Option<BatchId>, size: usize) -> Result<Vec<BatchInfo>> {
        self.list_batches(queue, after, size).await
    }

    async fn check(&self) -> Result<Health> {
        self.connection.check().await
    }
}
