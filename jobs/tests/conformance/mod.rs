//! What a store must do, once for each store: this suite is the definition of the port.
//!
//! To add a rule: write an `async fn` over a [`Store`](crate::fixtures::Store) in the file of its duty and name it in the list
//! at the file's head. To add a store: give it a line in the macro.

mod ages;
mod awaited;
mod batches;
mod dead;
mod ends;
mod groups;
mod life;
mod limits;
mod pages;
mod reads;
mod reports;
mod results;
mod retention;
mod steers;
mod unique;
mod workers;

/// Runs each named function on every store, as a test of its name.
macro_rules! on_every_store {
    (@$module:ident: $store:ident: $($name:ident)*) => {
        mod $module {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                if let Some(store) = crate::fixtures::$store(super::ENDINGS).await { super::$name(store).await; }
            })*
        }
    };
    ($($name:ident),* $(,)?) => {
        on_every_store!(@on_redis: redis: $($name)*);
        on_every_store!(@on_valkey: valkey: $($name)*);
        on_every_store!(@on_cluster: cluster: $($name)*);
        on_every_store!(@on_memory: memory: $($name)*);
        on_every_store!(@on_sqlite: sqlite: $($name)*);
    };
}
pub(crate) use on_every_store;

use deskhand_jobs::queue::{Claimed, Queue, Settled, Settlement, Verdict, WorkerInfo};
use deskhand_jobs::{Envelope, JobId, Kind, Options, QueueName, WorkerId};
use serde_json::value::RawValue;

pub(crate) fn queue(name: &str) -> QueueName {
    QueueName::new(name).expect("a valid name")
}

pub(crate) fn job(options: Options) -> Envelope {
    let args = RawValue::from_string(r#"{"n":1}"#.to_owned()).expect("valid JSON");
    Envelope::raw(Kind::new("test.run").expect("a valid kind"), args, options).expect("small")
}

/// The same job with arguments of so many bytes.
pub(crate) fn with_args(mut job: Envelope, size: usize) -> Envelope {
    job.args = RawValue::from_string(format!("\"{}\"", "x".repeat(size))).expect("valid JSON");
    job
}

pub(crate) fn plain() -> Envelope {
    job(Options::default())
}

pub(crate) fn ids(jobs: &[Claimed]) -> Vec<JobId> {
    jobs.iter().map(|job| job.id).collect()
}

/// A worker that has registered for the default queue.
pub(crate) async fn worker(queue: &dyn Queue) -> WorkerId {
    worker_of(queue, &[QueueName::default()]).await.id
}

pub(crate) async fn worker_of(queue: &dyn Queue, queues: &[QueueName]) -> WorkerInfo {
    let info = WorkerInfo {
        id: WorkerId::new(),
        name: "host:1".to_owned(),
        queues: queues.to_vec(),
        concurrency: 10,
        started_at_ms: 1,
    };
    let beat = queue.beat(&info, true).await.expect("registers");
    assert!(!beat.lost);
    info
}

pub(crate) async fn claim(queue: &dyn Queue, worker: WorkerId, limit: usize) -> Vec<Claimed> {
    let claim = queue.claim(worker, &[QueueName::default()], limit).await.expect("claims");
    assert!(!claim.lost, "the worker is believed dead");
    claim.jobs
}

pub(crate) async fn settle(queue: &dyn Queue, job: &Claimed, verdict: Verdict) -> Settled {
    queue.settle(&[settlement(job, verdict)]).await.expect("settles")[0]
}

pub(crate) fn settlement(job: &Claimed, verdict: Verdict) -> Settlement {
    Settlement { id: job.id, queue: job.queue.clone(), lease: job.lease.clone(), verdict }
}

pub(crate) async fn forget_all(queue: &dyn Queue) {
    let fetched = queue.endings(100).await.expect("reads");
    queue.forget_endings(&fetched).await.expect("forgets");
}
