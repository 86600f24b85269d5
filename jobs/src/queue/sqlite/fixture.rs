//! What tests of this store need: a file of their own, jobs and workers.

use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;

use super::SqliteQueue;
use crate::id::{JobId, Kind, QueueName, WorkerId};
use crate::job::Envelope;
use crate::options::{Options, Priority, Unique, UniqueUntil};
use crate::queue::{
    Claimed, Endings, JobRecord, LEASE, Pushed, Queue, QueueInfo, Settled, Settlement, Verdict, WorkerInfo,
};

/// A store in a directory that goes with it.
pub(super) struct Fixture {
    pub(super) store: SqliteQueue,
    directory: TempDir,
}

pub(super) async fn fixture(endings: Endings) -> Fixture {
    let directory = tempfile::tempdir().expect("a directory for the test");
    let store = SqliteQueue::open(&directory.path().join("queue.db"), endings).await.expect("opens");
    Fixture { store, directory }
}

impl Fixture {
    pub(super) fn path(&self) -> PathBuf {
        self.directory.path().join("queue.db")
    }

    /// Closes the file and opens it again, as a restarted process does.
    pub(super) async fn restart(self) -> Self {
        let (path, endings) = (self.path(), self.store.endings);
        self.store.close().await;
        Self { store: SqliteQueue::open(&path, endings).await.expect("opens again"), directory: self.directory }
    }

    pub(super) async fn worker(&self) -> WorkerInfo {
        let worker = worker();
        let beat = self.store.beat(&worker, true).await.expect("registers");
        assert!(!beat.lost);
        worker
    }

    pub(super) async fn push(&self, job: &Envelope) -> Pushed {
        self.store.push(std::slice::from_ref(job)).await.expect("pushes")[0]
    }

    /// Pushes new ordinary jobs.
    pub(super) async fn fill(&self, count: usize) -> Vec<JobId> {
        let jobs: Vec<Envelope> = (0..count).map(|_| job()).collect();
        let answers = self.store.push(&jobs).await.expect("pushes");
        assert!(answers.iter().all(|answer| *answer == Pushed::Created));
        jobs.iter().map(|job| job.id).collect()
    }

    pub(super) async fn claim(&self, worker: &WorkerInfo, limit: usize) -> Vec<Claimed> {
        let claim = self.store.claim(worker.id, &worker.queues, limit).await.expect("claims");
        assert!(!claim.lost);
        claim.jobs
    }

    pub(super) async fn settle(&self, job: &Claimed, verdict: Verdict) -> Settled {
        self.store.settle(&[settlement(job, verdict)]).await.expect("settles")[0]
    }

    /// Pushes one job, claims it and gives it this verdict.
    pub(super) async fn run(&self, worker: &WorkerInfo, job: &Envelope, verdict: Verdict) -> Claimed {
        assert_eq!(self.push(job).await, Pushed::Created);
        let claimed = self.claim(worker, 1).await.pop().expect("the job is ready");
        assert_eq!(claimed.id, job.id);
        assert_eq!(self.settle(&claimed, verdict).await, Settled::Applied);
        claimed
    }

    pub(super) async fn read(&self, id: JobId) -> JobRecord {
        self.store.job(id).await.expect("reads").expect("the store knows the job")
    }

    /// Reads the last queue, and proves on the way that the file agrees with itself.
    pub(super) async fn counts(&self) -> QueueInfo {
        self.prove().await;
        self.store.queues().await.expect("reads").pop().expect("there is a queue")
    }

    /// Writes what no call would; returns how many rows.
    pub(super) async fn write(&self, sql: &'static str) -> u64 {
        let mut change = self.store.begin().await.expect("begins");
        let done = sqlx::query(sql).execute(&mut *change.tx).await.expect("writes");
        change.commit().await.expect("commits");
        done.rows_affected()
    }

    async fn prove(&self) {
        let drifted = "SELECT name FROM queues WHERE (ready, scheduled, running, dead) IS NOT \
                       (SELECT count(*) FILTER (WHERE state = 'ready'), count(*) FILTER (WHERE state = 'scheduled'), \
                        count(*) FILTER (WHERE state = 'running'), count(*) FILTER (WHERE state = 'dead') \
                        FROM jobs WHERE queue = name)";
        let contradictory = "SELECT state FROM jobs WHERE (state = 'running') <> (lease IS NOT NULL) \
                             OR (state = 'scheduled') <> (run_at_ms IS NOT NULL) \
                             OR (state IN ('succeeded', 'dead', 'cancelled')) <> (ended_at_ms IS NOT NULL) \
                             OR (state = 'dead') <> (dead_reason IS NOT NULL) \
                             OR (state NOT IN ('succeeded', 'cancelled') AND payload IS NULL) OR (ending AND state <> 'dead' AND payload IS NOT NULL) \
                             OR (holds_key AND ended_at_ms IS NOT NULL) OR (ending AND ended_at_ms IS NULL) \
                             OR (cancel_requested AND state <> 'running')";
        let miscounted = "SELECT key FROM groups WHERE (waiting, running, dead, limited) IS NOT \
                          (SELECT count(*) FILTER (WHERE state IN ('ready', 'scheduled')), count(*) FILTER (WHERE state = 'running'), \
                           count(*) FILTER (WHERE state = 'dead'), count(*) FILTER (WHERE limited) \
                           FROM jobs WHERE jobs.queue = groups.queue AND group_key = key)";
        let not_aside = "SELECT state FROM jobs WHERE limited AND (state <> 'ready' OR group_key IS NULL) UNION ALL \
                         SELECT name FROM queues WHERE limited <> (SELECT count(*) FROM jobs WHERE limited AND queue = name)";
        for sql in [drifted, contradictory, miscounted, not_aside] {
            let found: Vec<String> = sqlx::query_scalar(sql).fetch_all(&self.store.readers).await.expect("reads");
            assert!(found.is_empty(), "{found:?} from {sql}");
        }
    }

    /// Lets so much time pass that a worker which does not beat is dead.
    pub(super) async fn outlive_lease(&self) {
        self.store.shift_clock(LEASE.as_millis() as i64).await.expect("shifts");
    }
}

pub(super) fn worker() -> WorkerInfo {
    WorkerInfo {
        id: WorkerId::new(),
        name: "host:1".into(),
        queues: vec![QueueName::default()],
        concurrency: 4,
        started_at_ms: 0,
    }
}

pub(super) fn job() -> Envelope {
    job_with(Options::default())
}

pub(super) fn job_with(options: Options) -> Envelope {
    let args = serde_json::value::RawValue::from_string("{\"n\":1}".into()).expect("valid JSON");
    Envelope::raw(Kind::new("test.run").expect("valid"), args, options).expect("small")
}

pub(super) fn urgent(priority: Priority) -> Envelope {
    job_with(Options { priority, ..Options::default() })
}

pub(super) fn unique(key: &str, until: UniqueUntil) -> Envelope {
    job_with(Options { unique: Some(Unique::new(key, until)), ..Options::default() })
}

/// Makes a job that is due so much later, by this machine's clock.
pub(super) fn later(delay: Duration) -> Envelope {
    let now_ms = chrono::Utc::now().timestamp_millis();
    Envelope { run_at_ms: Some(now_ms + delay.as_millis() as i64), ..job() }
}

pub(super) fn settlement(job: &Claimed, verdict: Verdict) -> Settlement {
    Settlement { id: job.id, queue: job.queue.clone(), lease: job.lease.clone(), verdict }
}

pub(super) fn ids(jobs: &[Claimed]) -> Vec<JobId> {
    jobs.iter().map(|job| job.id).collect()
}

pub(super) fn failed(error: &str) -> Verdict {
    Verdict::Dead { reason: crate::queue::DeadReason::Failed, error: error.into() }
}
