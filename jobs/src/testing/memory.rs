//! The queue in memory: its rows, and the small moves that all operations are made of.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::sync::Notify;

use super::memory_batches::OpenBatch;
use crate::fingerprint::Fingerprint;
use crate::id::{BatchId, GroupKey, JobId, Kind, QueueName, WorkerId};
use crate::job::Envelope;
use crate::options::{Priority, Unique};
use crate::queue::gate::Rules;
use crate::queue::turns::Turns;
use crate::queue::{
    DeadReason, Endings, History, JobRecord, Lease, LogLine, Progress, QueueInfo, REMOVED_PER_END, Report, Settled,
    State, WorkerInfo, append, kind_in,
};

/// A store of jobs in memory. Its time is the present, and a test can move it on.
pub struct MemoryQueue {
    world: Mutex<World>,
    pub(super) bell: Notify,
}

impl Default for MemoryQueue {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryQueue {
    /// Makes an empty queue that keeps records of ended jobs.
    pub fn new() -> Self {
        Self::with(Endings::Keep)
    }

    /// Makes an empty queue.
    pub fn with(endings: Endings) -> Self {
        let world = World {
            now_ms: 0,
            skew_ms: 0,
            endings,
            next: 0,
            rows: BTreeMap::new(),
            unique: HashMap::new(),
            workers: BTreeMap::new(),
            queues: BTreeMap::new(),
            batches: BTreeMap::new(),
            groups: BTreeMap::new(),
        };
        Self { world: Mutex::new(world), bell: Notify::new() }
    }

    /// Lets time pass: what becomes due by it is due, and the leases that run out have run out.
    pub fn pass(&self, time: std::time::Duration) {
        self.world().skew_ms += time.as_millis() as i64;
        self.bell.notify_one();
    }

    /// Moves the clock.
    #[allow(clippy::unused_async, clippy::missing_errors_doc, reason = "all stores have the same hook")]
    pub async fn shift_clock(&self, by_ms: i64) -> crate::queue::Result<()> {
        self.world().skew_ms += by_ms;
        self.bell.notify_one();
        Ok(())
    }

    /// Returns what this store takes for the present, in milliseconds since 1970.
    pub fn now_ms(&self) -> i64 {
        self.world().now_ms
    }

    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        let present_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
        // One instant for the whole operation; never backwards, whatever the system's clock does.
        world.now_ms = world.now_ms.max(present_ms + world.skew_ms);
        world
    }
}

pub(super) struct World {
    /// The instant of the operation under way.
    pub(super) now_ms: i64,
    skew_ms: i64,
    pub(super) endings: Endings,
    /// The next place in line, and the next lease.
    pub(super) next: i64,
    pub(super) rows: BTreeMap<JobId, Row>,
    pub(super) unique: HashMap<(QueueName, String), JobId>,
    pub(super) workers: BTreeMap<WorkerId, (WorkerInfo, i64)>,
    pub(super) queues: BTreeMap<QueueName, Totals>,
    pub(super) batches: BTreeMap<BatchId, OpenBatch>,
    pub(super) groups: BTreeMap<(QueueName, GroupKey), Rules>,
}

#[derive(Default)]
pub(super) struct Totals {
    pub(super) paused: bool,
    pub(super) concurrency: Option<u32>,
    pub(super) turns: Turns,
    pub(super) pushed: u64,
    pub(super) succeeded: u64,
    pub(super) failed: u64,
    pub(super) recovered: u64,
}

/// What the attempts of a job have told.
#[derive(Default)]
pub(super) struct Told {
    /// Whose progress it is.
    pub(super) lease: Option<Lease>,
    pub(super) progress: Option<Progress>,
    /// How many lines that attempt has noted.
    pub(super) known: u64,
    pub(super) log: Vec<LogLine>,
}

pub(super) struct Row {
    pub(super) queue: QueueName,
    pub(super) priority: Priority,
    pub(super) unique: Option<Unique>,
    /// From when on its unique key may be taken over.
    pub(super) key_until_ms: i64,
    /// The batch that waits for its end.
    pub(super) batch: Option<BatchId>,
    pub(super) group: Option<GroupKey>,
    pub(super) payload: Bytes,
    pub(super) state: State,
    /// The place in line while it is ready; the least is the first.
    pub(super) place: i64,
    pub(super) run_at_ms: i64,
    /// Since when it is ready, if it was not when it was pushed.
    pub(super) ready_since_ms: Option<i64>,
    pub(super) lease: Option<Lease>,
    pub(super) running: Option<(WorkerId, i64)>,
    pub(super) asked_to_stop: bool,
    pub(super) history: History,
    pub(super) result: Option<serde_json::Value>,
    pub(super) told: Told,
    pub(super) dead_reason: Option<DeadReason>,
    /// What it does and what it died of, once it has died.
    pub(super) kind: Option<Kind>,
    pub(super) fingerprint: Option<Fingerprint>,
    pub(super) ended_at_ms: i64,
    /// Whether its end waits to be fetched.
    pub(super) ending: bool,
}

impl World {
    pub(super) fn insert(&mut self, job: &Envelope) {
        self.enroll(&job.options.queue, job.options.group.as_ref());
        let due_ms = job.run_at_ms.filter(|at_ms| *at_ms > self.now_ms);
        let place = self.last_place();
        let row = Row {
            queue: job.options.queue.clone(),
            priority: job.options.priority,
            unique: job.options.unique.clone(),
            key_until_ms: self.key_until_ms(job.options.unique.as_ref()),
            batch: job.batch,
            group: job.options.group.as_ref().map(|group| group.key.clone()),
            payload: Bytes::from(job.encode()),
            state: if due_ms.is_some() { State::Scheduled } else { State::Ready },
            place,
            run_at_ms: due_ms.unwrap_or_default(),
            ready_since_ms: None,
            lease: None,
            running: None,
            asked_to_stop: false,
            history: History::default(),
            result: None,
            told: Told::default(),
            dead_reason: None,
            kind: None,
            fingerprint: None,
            ended_at_ms: 0,
            ending: false,
        };
        self.rows.insert(job.id, row);
        self.totals(&job.options.queue).pushed += 1;
    }

    pub(super) fn totals(&mut self, queue: &QueueName) -> &mut Totals {
        self.queues.entry(queue.clone()).or_default()
    }

    pub(super) fn last_place(&mut self) -> i64 {
        self.next += 1;
        self.next
    }

    /// Frees the unique key of a job if the job holds it.
    pub(super) fn release(&mut self, id: JobId) {
        let Some(row) = self.rows.get(&id) else { return };
        let Some(unique) = &row.unique else { return };
        let key = (row.queue.clone(), unique.key.clone());
        if self.unique.get(&key) == Some(&id) {
            self.unique.remove(&key);
        }
    }

    /// Takes the key for a job; answers who holds it if somebody does. A holder whose time is over loses it.
    pub(super) fn hold(&mut self, id: JobId, queue: &QueueName, unique: Option<&Unique>) -> Option<JobId> {
        let key = (queue.clone(), unique?.key.clone());
        let now_ms = self.now_ms;
        if let Some(holder) = self.unique.get(&key)
            && let Some(row) = self.rows.get_mut(holder)
        {
            if row.key_until_ms > now_ms {
                return Some(*holder);
            }
            row.unique = None;
        }
        self.unique.insert(key, id);
        None
    }

    fn key_until_ms(&self, unique: Option<&Unique>) -> i64 {
        let for_ms = unique.and_then(|unique| unique.for_ms);
        for_ms.map_or(i64::MAX, |for_ms| self.now_ms.saturating_add_unsigned(for_ms))
    }

    /// Ends a job well or as cancelled.
    pub(super) fn end(&mut self, id: JobId, state: State) {
        self.release(id);
        // Before what the end brings about, which may look at its group.
        if let Some(row) = self.rows.get_mut(&id) {
            row.state = state;
        }
        self.leave_batch(id, state);
        let (now_ms, endings) = (self.now_ms, self.endings);
        if endings == Endings::Drop {
            self.rows.remove(&id);
            return;
        }
        let Some(row) = self.rows.get_mut(&id) else { return };
        row.forget_older_progress();
        (row.state, row.ended_at_ms, row.lease, row.dead_reason) = (state, now_ms, None, None);
        row.ending = endings.fetched();
        if row.ending {
            row.payload = Bytes::new();
        }
        let queue = row.queue.clone();
        self.tidy(&queue, REMOVED_PER_END);
    }

    /// Removes finished jobs of a queue that are too many or too old, the oldest first.
    pub(super) fn tidy(&mut self, queue: &QueueName, limit: usize) {
        let Some(retention) = self.endings.retention() else { return };
        let finished = |row: &&Row| row.queue == *queue && matches!(row.state, State::Succeeded | State::Cancelled);
        let mut ended: Vec<(i64, JobId)> =
            self.rows.iter().filter(|(_, row)| finished(row)).map(|(id, row)| (row.ended_at_ms, *id)).collect();
        ended.sort_unstable();
        let too_many = ended.len().saturating_sub(retention.max_count as usize);
        let oldest_ms = self.now_ms.saturating_sub_unsigned(retention.max_age_ms);
        let gone = ended.iter().enumerate().take(limit);
        for (_, (_, id)) in gone.take_while(|(at, (ended_at_ms, _))| *at < too_many || *ended_at_ms < oldest_ms) {
            self.rows.remove(id);
        }
    }

    /// Ends a job badly.
    pub(super) fn die(&mut self, id: JobId, reason: DeadReason) {
        self.release(id);
        if let Some(row) = self.rows.get_mut(&id) {
            row.state = State::Dead;
        }
        self.leave_batch(id, State::Dead);
        let (now_ms, keep) = (self.now_ms, self.endings.fetched());
        if let Some(row) = self.rows.get_mut(&id) {
            row.forget_older_progress();
            (row.state, row.ended_at_ms, row.ending, row.lease) = (State::Dead, now_ms, keep, None);
            row.dead_reason = Some(reason);
            row.kind = kind_in(&row.payload);
            row.fingerprint = row.history.last_error.as_deref().map(Fingerprint::of);
        }
    }

    /// Makes a job ready: where it stood before it was claimed, or behind all others of its priority.
    pub(super) fn ready(&mut self, id: JobId, where_it_stood: bool) {
        let (last, now_ms) = (self.last_place(), self.now_ms);
        if let Some(row) = self.rows.get_mut(&id) {
            // A scheduled job is ready since it was due, whenever somebody finds that.
            let due_ms = if row.state == State::Scheduled { row.run_at_ms.min(now_ms) } else { now_ms };
            row.ready_since_ms = Some(due_ms);
            (row.state, row.place) = (State::Ready, if where_it_stood { row.place } else { last });
            (row.lease, row.running, row.asked_to_stop) = (None, None, false);
        }
    }

    /// The ready jobs of a queue in the order of claiming.
    pub(super) fn line(&self, queue: &QueueName) -> Vec<JobId> {
        let mut line: Vec<(u8, i64, JobId)> = self
            .rows
            .iter()
            .filter(|(_, row)| row.state == State::Ready && row.queue == *queue)
            .map(|(id, row)| (row.priority.rank(), row.place, *id))
            .collect();
        line.sort_unstable();
        line.into_iter().map(|(.., id)| id).collect()
    }

    /// Of the first of each priority, the one that is ready longest.
    fn oldest_ready_at_ms(&self, queue: &QueueName) -> Option<i64> {
        let mut heads: BTreeMap<Priority, i64> = BTreeMap::new();
        for id in self.line(queue) {
            if let Some(row) = self.rows.get(&id) {
                heads.entry(row.priority).or_insert_with(|| row.ready_since_ms.unwrap_or_else(|| id.created_at_ms()));
            }
        }
        heads.into_values().min()
    }

    pub(super) fn is_alive(&self, worker: WorkerId) -> bool {
        self.workers.get(&worker).is_some_and(|(_, expires_ms)| *expires_ms >= self.now_ms)
    }

    pub(super) fn info(&self, name: &QueueName, totals: &Totals) -> QueueInfo {
        let count = |state| self.rows.values().filter(|row| row.queue == *name && row.state == state).count() as u64;
        QueueInfo {
            name: name.clone(),
            paused: totals.paused,
            concurrency: totals.concurrency,
            ready: count(State::Ready),
            oldest_ready_at_ms: self.oldest_ready_at_ms(name),
            scheduled: count(State::Scheduled),
            running: count(State::Running),
            dead: count(State::Dead),
            pushed_total: totals.pushed,
            succeeded_total: totals.succeeded,
            failed_total: totals.failed,
            recovered_total: totals.recovered,
        }
    }
}

impl Row {
    /// Forgets how far an attempt before this one was, or any if the job ends while nobody runs it.
    fn forget_older_progress(&mut self) {
        if self.lease.is_none() || self.told.lease != self.lease {
            self.told.progress = None;
        }
    }

    /// Keeps what the running attempt tells.
    pub(super) fn hear(&mut self, report: &Report) -> Settled {
        if self.state != State::Running || self.lease.as_ref() != Some(&report.lease) {
            return Settled::Stale;
        }
        if self.told.lease.as_ref() != Some(&report.lease) {
            (self.told.lease, self.told.progress, self.told.known) = (Some(report.lease.clone()), None, 0);
        }
        self.told.progress = report.progress.or(self.told.progress);
        append(&mut self.told.log, report.fresh(self.told.known));
        self.told.known = report.known_after(self.told.known);
        Settled::Applied
    }

    pub(super) fn record(&self, id: JobId) -> JobRecord {
        let ended = matches!(self.state, State::Succeeded | State::Dead | State::Cancelled);
        JobRecord {
            id,
            queue: self.queue.clone(),
            state: self.state,
            priority: self.priority,
            batch: self.batch,
            group: self.group.clone().filter(|_| !ended || self.state == State::Dead),
            run_at_ms: (self.state == State::Scheduled).then_some(self.run_at_ms),
            running: self.running.filter(|_| self.state == State::Running),
            lease: self.lease.clone().filter(|_| self.state == State::Running),
            ended_at_ms: ended.then_some(self.ended_at_ms),
            dead_reason: self.dead_reason,
            history: self.history.clone(),
            result: self.result.clone(),
            progress: self.told.progress.filter(|_| ended || (self.lease.is_some() && self.told.lease == self.lease)),
            log: self.told.log.clone(),
            payload: (!self.payload.is_empty()).then(|| self.payload.clone()),
        }
    }
}
