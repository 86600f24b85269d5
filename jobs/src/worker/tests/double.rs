//! A queue in memory, just sufficient for a worker.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::Notify;

use crate::id::{BatchId, GroupKey, JobId, QueueName, WorkerId};
use crate::job::Envelope;
use crate::options::Limits;
use crate::queue::{
    Audit, Batch, BatchCancelled, BatchInfo, Beat, Cancelled, Claim, Claimed, DeadFilter, DeadGroup, DeadStep, Ending,
    Error, GroupInfo, Health, History, JobRecord, Lease, Listing, Moved, Opened, Pace, Page, Pushed, Queue, QueueInfo,
    Report, Result, Sealed, Settled, Settlement, State, Verdict, WorkerInfo,
};

#[derive(Default)]
pub(in crate::worker) struct Memory {
    inner: Mutex<Inner>,
    work: Notify,
    /// Every call fails.
    pub away: AtomicBool,
    /// The next claim is carried out, but its answer does not arrive.
    pub swallow_claim: AtomicBool,
    /// Waits bring what they waited for.
    pub claims_after_waits: AtomicBool,
    /// The next wait brings jobs, but its answer never comes.
    pub withhold_jobs: AtomicBool,
    /// The answer to a claim comes so much later.
    pub claims_take_ms: AtomicU64,
    claims_under_way: AtomicUsize,
    /// The most claims that were under way at once.
    pub most_claims: AtomicUsize,
    claims: AtomicU64,
    /// How many beats were answered.
    pub beats: AtomicU64,
}

#[derive(Default)]
pub(in crate::worker) struct Inner {
    ready: VecDeque<Waiting>,
    running: HashMap<JobId, Running>,
    /// All verdicts that were applied, in order.
    pub settled: Vec<(JobId, Verdict)>,
    /// How many settlements were answered as stale.
    pub stale: usize,
    /// Workers whose lease holds.
    pub alive: HashSet<WorkerId>,
    /// All registrations, in order.
    pub registered: Vec<WorkerId>,
    cancel: HashSet<JobId>,
    /// All reports, in order.
    pub told: Vec<Report>,
}

#[derive(Clone)]
struct Waiting {
    id: JobId,
    payload: Bytes,
    history: History,
}

struct Running {
    worker: WorkerId,
    lease: Lease,
    job: Waiting,
}

impl Memory {
    pub(in crate::worker) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(in crate::worker) fn look(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(in crate::worker) fn add(&self, envelope: &Envelope) -> JobId {
        self.add_raw(envelope.id, envelope.encode().into(), History::default())
    }

    pub(in crate::worker) fn add_raw(&self, id: JobId, payload: Bytes, history: History) -> JobId {
        self.look().ready.push_back(Waiting { id, payload, history });
        self.work.notify_one();
        id
    }

    /// Gives a worker a job without telling it, as a claim does that it has given up.
    pub(in crate::worker) fn give(&self, worker: WorkerId, envelope: &Envelope) -> JobId {
        let job = Waiting { id: envelope.id, payload: envelope.encode().into(), history: History::default() };
        self.look().running.insert(envelope.id, Running { worker, lease: Lease("unheard".into()), job });
        envelope.id
    }

    /// Takes the lease of every worker and gives their jobs back, as a store does with workers that died.
    pub(in crate::worker) fn expire(&self) {
        let mut inner = self.look();
        inner.alive.clear();
        let running = std::mem::take(&mut inner.running);
        inner.ready.extend(running.into_values().map(|running| running.job));
        drop(inner);
        self.work.notify_one();
    }

    pub(in crate::worker) fn verdicts(&self, id: JobId) -> Vec<Verdict> {
        self.look().settled.iter().filter(|(of, _)| *of == id).map(|(_, verdict)| verdict.clone()).collect()
    }

    pub(in crate::worker) fn is_ready(&self, id: JobId) -> bool {
        self.look().ready.iter().any(|job| job.id == id)
    }

    fn take(&self, worker: WorkerId, queues: &[QueueName], limit: usize) -> Result<Claim> {
        self.answer()?;
        let mut inner = self.look();
        if !inner.alive.contains(&worker) {
            return Ok(Claim { lost: true, ..Claim::default() });
        }
        let take = limit.min(inner.ready.len());
        let taken: Vec<Waiting> = inner.ready.drain(..take).collect();
        let mut jobs = Vec::new();
        for job in taken {
            let lease = Lease(self.claims.fetch_add(1, Ordering::SeqCst).to_string().into());
            jobs.push(Claimed {
                id: job.id,
                queue: queues[0].clone(),
                lease: lease.clone(),
                payload: job.payload.clone(),
                history: job.history.clone(),
                claimed_at_ms: 1_000_000_000,
            });
            inner.running.insert(job.id, Running { worker, lease, job });
        }
        if !inner.ready.is_empty() {
            self.work.notify_one();
        }
        if !jobs.is_empty() && self.swallow_claim.swap(false, Ordering::SeqCst) {
            return Err(Error::Unavailable { store: "memory".to_owned(), source: "the answer got lost".into() });
        }
        Ok(Claim { jobs, ..Claim::default() })
    }

    fn answer(&self) -> Result<()> {
        if self.away.load(Ordering::SeqCst) {
            return Err(Error::Unavailable { store: "memory".to_owned(), source: "away".into() });
        }
        Ok(())
    }
}

/// Counts a claim while it is under way.
struct Counted<'a>(&'a Memory);

impl<'a> Counted<'a> {
    fn new(memory: &'a Memory) -> Self {
        let under_way = memory.claims_under_way.fetch_add(1, Ordering::SeqCst) + 1;
        memory.most_claims.fetch_max(under_way, Ordering::SeqCst);
        Self(memory)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.claims_under_way.fetch_sub(1, Ordering::SeqCst);
    }
}

fn unused<T>() -> T {
    panic!("a worker does not ask this")
}

#[async_trait]
impl Queue for Memory {
    async fn beat(&self, worker: &WorkerInfo, register: bool) -> Result<Beat> {
        self.answer()?;
        self.beats.fetch_add(1, Ordering::SeqCst);
        let mut inner = self.look();
        if register {
            inner.alive.insert(worker.id);
            inner.registered.push(worker.id);
        }
        Ok(Beat { lost: !inner.alive.contains(&worker.id), ..Beat::default() })
    }

    async fn stops(&self, worker: WorkerId, _: &[QueueName]) -> Result<Vec<JobId>> {
        self.answer()?;
        let inner = self.look();
        let mine = inner.running.iter().filter(|(_, running)| running.worker == worker);
        Ok(mine.map(|(id, _)| *id).filter(|id| inner.cancel.contains(id)).collect())
    }

    async fn claim(&self, worker: WorkerId, queues: &[QueueName], limit: usize) -> Result<Claim> {
        let claim = self.take(worker, queues, limit);
        let delay = Duration::from_millis(self.claims_take_ms.load(Ordering::SeqCst));
        if !delay.is_zero() {
            let _counted = Counted::new(self);
            tokio::time::sleep(delay).await;
        }
        claim
    }

    async fn settle(&self, settlements: &[Settlement]) -> Result<Vec<Settled>> {
        self.answer()?;
        let mut inner = self.look();
        let mut answers = Vec::new();
        for settlement in settlements {
            let holds = inner.running.get(&settlement.id).is_some_and(|running| running.lease == settlement.lease);
            if !holds {
                inner.stale += 1;
                answers.push(Settled::Stale);
                continue;
            }
            let running = inner.running.remove(&settlement.id).expect("looked up above");
            if settlement.verdict == Verdict::HandBack {
                inner.ready.push_front(running.job);
                self.work.notify_one();
            }
            inner.settled.push((settlement.id, settlement.verdict.clone()));
            answers.push(Settled::Applied);
        }
        Ok(answers)
    }

    async fn report(&self, reports: &[Report]) -> Result<Vec<Settled>> {
        self.answer()?;
        let mut inner = self.look();
        inner.told.extend_from_slice(reports);
        Ok(vec![Settled::Applied; reports.len()])
    }

    async fn leave(&self, worker: WorkerId, _: &[QueueName]) -> Result<()> {
        self.answer()?;
        let mut inner = self.look();
        inner.alive.remove(&worker);
        let (left, others): (HashMap<_, _>, HashMap<_, _>) =
            std::mem::take(&mut inner.running).into_iter().partition(|(_, running)| running.worker == worker);
        inner.running = others;
        inner.ready.extend(left.into_values().map(|running| running.job));
        drop(inner);
        self.work.notify_one();
        Ok(())
    }

    async fn hand_back_others(&self, worker: WorkerId, _: &[QueueName], known: &[JobId]) -> Result<()> {
        self.answer()?;
        let mut inner = self.look();
        let (others, kept): (HashMap<_, _>, HashMap<_, _>) = std::mem::take(&mut inner.running)
            .into_iter()
            .partition(|(id, running)| running.worker == worker && !known.contains(id));
        inner.running = kept;
        inner.ready.extend(others.into_values().map(|running| running.job));
        drop(inner);
        self.work.notify_one();
        Ok(())
    }

    async fn wait(&self, _: &[QueueName], max_wait: Duration) -> Result<()> {
        self.answer()?;
        let _ = tokio::time::timeout(max_wait, self.work.notified()).await;
        Ok(())
    }

    async fn wait_and_claim(
        &self,
        worker: WorkerId,
        queues: &[QueueName],
        limit: usize,
        max_wait: Duration,
    ) -> Result<Option<Claim>> {
        self.wait(queues, max_wait).await?;
        if !self.claims_after_waits.load(Ordering::SeqCst) {
            return Ok(None);
        }
        let claim = self.claim(worker, queues, limit).await?;
        if !claim.jobs.is_empty() && self.withhold_jobs.swap(false, Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        Ok(Some(claim))
    }

    async fn cancel(&self, id: JobId) -> Result<Cancelled> {
        self.look().cancel.insert(id);
        Ok(Cancelled::Asked)
    }

    async fn push(&self, _: &[Envelope]) -> Result<Vec<Pushed>> {
        unused()
    }

    async fn retry_now(&self, _: JobId) -> Result<bool> {
        unused()
    }

    async fn redrive_paced(&self, _: &[JobId], _: Pace) -> Result<Vec<JobId>> {
        unused()
    }

    async fn redrive_step(&self, _: &DeadStep, _: Pace) -> Result<Moved> {
        unused()
    }

    async fn discard_step(&self, _: &DeadStep, _: &str) -> Result<Moved> {
        unused()
    }

    async fn swap_payload(&self, _: &QueueName, _: JobId, _: &[u8], _: &[u8]) -> Result<bool> {
        unused()
    }

    async fn dead(&self, _: &DeadFilter, _: Page) -> Result<Listing> {
        unused()
    }

    async fn dead_groups(&self, _: &QueueName) -> Result<Vec<DeadGroup>> {
        unused()
    }

    async fn discard(&self, _: &[JobId], _: &str) -> Result<Vec<JobId>> {
        unused()
    }

    async fn pause(&self, _: &QueueName) -> Result<()> {
        unused()
    }

    async fn resume(&self, _: &QueueName) -> Result<()> {
        unused()
    }

    async fn limit(&self, _: &QueueName, _: Option<u32>) -> Result<()> {
        unused()
    }

    async fn limit_group(&self, _: &QueueName, _: &GroupKey, _: Option<Limits>) -> Result<()> {
        unused()
    }

    async fn groups(&self, _: &QueueName, _: Option<&GroupKey>, _: usize) -> Result<Vec<GroupInfo>> {
        unused()
    }

    async fn group(&self, _: &QueueName, _: &GroupKey) -> Result<Option<GroupInfo>> {
        unused()
    }

    async fn job(&self, _: JobId) -> Result<Option<JobRecord>> {
        unused()
    }

    async fn list(&self, _: &QueueName, _: State, _: Page) -> Result<Listing> {
        unused()
    }

    async fn known(&self, _: &[JobId]) -> Result<Vec<JobId>> {
        unused()
    }

    async fn queues(&self) -> Result<Vec<QueueInfo>> {
        unused()
    }

    async fn workers(&self) -> Result<Vec<WorkerInfo>> {
        unused()
    }

    async fn endings(&self, _: usize) -> Result<Vec<Ending>> {
        unused()
    }

    async fn forget_endings(&self, _: &[Ending]) -> Result<()> {
        unused()
    }

    async fn audit(&self, _: &QueueName, _: bool) -> Result<Audit> {
        unused()
    }

    async fn open_batch(&self, _: &Batch) -> Result<Opened> {
        unused()
    }

    async fn seal_batch(&self, _: &QueueName, _: BatchId) -> Result<Sealed> {
        unused()
    }

    async fn cancel_batch(&self, _: BatchId) -> Result<Option<BatchCancelled>> {
        unused()
    }

    async fn batch(&self, _: BatchId) -> Result<Option<BatchInfo>> {
        unused()
    }

    async fn batches(&self, _: &QueueName, _: Option<BatchId>, _: usize) -> Result<Vec<BatchInfo>> {
        unused()
    }

    async fn check(&self) -> Result<Health> {
        unused()
    }
}
