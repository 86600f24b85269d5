//! The port, in terms of the files beside this one.

use std::time::Duration;

use async_trait::async_trait;

use super::SqliteQueue;
use crate::id::{BatchId, GroupKey, JobId, QueueName, WorkerId};
use crate::job::Envelope;
use crate::options::Limits;
use crate::queue::{
    Audit, Batch, BatchCancelled, BatchInfo, Beat, Cancelled, Claim, DeadFilter, DeadGroup, DeadStep, Ending,
    GroupInfo, Health, JobRecord, Listing, Moved, Opened, Pace, Page, Pushed, Queue, QueueInfo, Report, Result, Sealed,
    Settled, Settlement, State, WorkerInfo,
};

#[async_trait]
impl Queue for SqliteQueue {
    async fn push(&self, jobs: &[Envelope]) -> Result<Vec<Pushed>> {
        self.push_all(jobs).await.map_err(|fault| self.tell(fault))
    }

    async fn beat(&self, worker: &WorkerInfo, register: bool) -> Result<Beat> {
        self.beat_once(worker, register).await.map_err(|fault| self.tell(fault))
    }

    async fn stops(&self, worker: WorkerId, _: &[QueueName]) -> Result<Vec<JobId>> {
        self.asked_to_stop(worker).await.map_err(|fault| self.tell(fault))
    }

    async fn claim(&self, worker: WorkerId, queues: &[QueueName], limit: usize) -> Result<Claim> {
        self.take(worker, queues, limit).await.map_err(|fault| self.tell(fault))
    }

    async fn settle(&self, settlements: &[Settlement]) -> Result<Vec<Settled>> {
        self.settle_all(settlements).await.map_err(|fault| self.tell(fault))
    }

    async fn report(&self, reports: &[Report]) -> Result<Vec<Settled>> {
        self.keep_reports(reports).await.map_err(|fault| self.tell(fault))
    }

    async fn leave(&self, worker: WorkerId, _queues: &[QueueName]) -> Result<()> {
        self.remove_worker(worker).await.map_err(|fault| self.tell(fault))
    }

    async fn hand_back_others(&self, worker: WorkerId, _queues: &[QueueName], known: &[JobId]) -> Result<()> {
        self.relieve(worker, known).await.map_err(|fault| self.tell(fault))
    }

    async fn wait(&self, queues: &[QueueName], max_wait: Duration) -> Result<()> {
        self.wait_for_work(queues, max_wait).await.map_err(|fault| self.tell(fault))
    }

    async fn cancel(&self, id: JobId) -> Result<Cancelled> {
        self.cancel_one(id).await.map_err(|fault| self.tell(fault))
    }

    async fn retry_now(&self, id: JobId) -> Result<bool> {
        self.hurry(id).await.map_err(|fault| self.tell(fault))
    }

    async fn redrive_paced(&self, ids: &[JobId], pace: Pace) -> Result<Vec<JobId>> {
        self.revive_all(ids, pace).await.map_err(|fault| self.tell(fault))
    }

    async fn redrive_step(&self, step: &DeadStep, pace: Pace) -> Result<Moved> {
        self.revive_named(step, pace).await.map_err(|fault| self.tell(fault))
    }

    async fn discard(&self, ids: &[JobId], reason: &str) -> Result<Vec<JobId>> {
        self.discard_all(ids, reason).await.map_err(|fault| self.tell(fault))
    }

    async fn discard_step(&self, step: &DeadStep, reason: &str) -> Result<Moved> {
        self.discard_named(step, reason).await.map_err(|fault| self.tell(fault))
    }

    async fn swap_payload(&self, _: &QueueName, id: JobId, old: &[u8], new: &[u8]) -> Result<bool> {
        self.swap(id, old, new).await.map_err(|fault| self.tell(fault))
    }

    async fn dead(&self, filter: &DeadFilter, page: Page) -> Result<Listing> {
        self.list_dead(filter, page).await.map_err(|fault| self.tell(fault))
    }

    async fn dead_groups(&self, queue: &QueueName) -> Result<Vec<DeadGroup>> {
        self.read_groups(queue).await.map_err(|fault| self.tell(fault))
    }

    async fn pause(&self, queue: &QueueName) -> Result<()> {
        self.set_paused(queue, true).await.map_err(|fault| self.tell(fault))
    }

    async fn resume(&self, queue: &QueueName) -> Result<()> {
        self.set_paused(queue, false).await.map_err(|fault| self.tell(fault))
    }

    async fn limit(&self, queue: &QueueName, concurrency: Option<u32>) -> Result<()> {
        self.limit_queue(queue, concurrency).await.map_err(|fault| self.tell(fault))
    }

    async fn limit_group(&self, queue: &QueueName, group: &GroupKey, limits: Option<Limits>) -> Result<()> {
        self.pin_group(queue, group, limits).await.map_err(|fault| self.tell(fault))
    }

    async fn groups(&self, queue: &QueueName, after: Option<&GroupKey>, limit: usize) -> Result<Vec<GroupInfo>> {
        self.page_of_groups(queue, after, limit).await.map_err(|fault| self.tell(fault))
    }

    async fn group(&self, queue: &QueueName, group: &GroupKey) -> Result<Option<GroupInfo>> {
        self.one_group(queue, group).await.map_err(|fault| self.tell(fault))
    }

    async fn job(&self, id: JobId) -> Result<Option<JobRecord>> {
        self.read_job(id).await.map_err(|fault| self.tell(fault))
    }

    async fn list(&self, queue: &QueueName, state: State, page: Page) -> Result<Listing> {
        self.read_list(queue, state, page).await.map_err(|fault| self.tell(fault))
    }

    async fn known(&self, ids: &[JobId]) -> Result<Vec<JobId>> {
        self.read_known(ids).await.map_err(|fault| self.tell(fault))
    }

    async fn queues(&self) -> Result<Vec<QueueInfo>> {
        self.read_queues().await.map_err(|fault| self.tell(fault))
    }

    async fn workers(&self) -> Result<Vec<WorkerInfo>> {
        self.read_workers().await.map_err(|fault| self.tell(fault))
    }

    async fn endings(&self, limit: usize) -> Result<Vec<Ending>> {
        self.read_endings(limit).await.map_err(|fault| self.tell(fault))
    }

    async fn forget_endings(&self, endings: &[Ending]) -> Result<()> {
        self.forget(endings).await.map_err(|fault| self.tell(fault))
    }

    async fn audit(&self, queue: &QueueName, repair: bool) -> Result<Audit> {
        self.audit_queue(queue, repair).await.map_err(|fault| self.tell(fault))
    }

    async fn open_batch(&self, batch: &Batch) -> Result<Opened> {
        self.open_one(batch).await.map_err(|fault| self.tell(fault))
    }

    async fn seal_batch(&self, queue: &QueueName, id: BatchId) -> Result<Sealed> {
        self.seal(queue, id).await.map_err(|fault| self.tell(fault))
    }

    async fn cancel_batch(&self, id: BatchId) -> Result<Option<BatchCancelled>> {
        self.cancel_members(id).await.map_err(|fault| self.tell(fault))
    }

    async fn batch(&self, id: BatchId) -> Result<Option<BatchInfo>> {
        self.read_batch(id).await.map_err(|fault| self.tell(fault))
    }

    async fn batches(&self, queue: &QueueName, after: Option<BatchId>, size: usize) -> Result<Vec<BatchInfo>> {
        self.read_batches(queue, after, size).await.map_err(|fault| self.tell(fault))
    }

    async fn check(&self) -> Result<Health> {
        self.examine().await.map_err(|fault| self.tell(fault))
    }
}
