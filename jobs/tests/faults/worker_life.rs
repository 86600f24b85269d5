//! A worker on real stores: from the push to the end of a job.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use deskhand_jobs::outcome::{self, Outcome};
use deskhand_jobs::queue::{DeadReason, Endings, Queue, QueueInfo, State};
use deskhand_jobs::retry::Backoff;
use deskhand_jobs::worker::{Config, Summary, Worker};
use deskhand_jobs::{Envelope, Job, JobId, Options, Registry, Run};
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::until;
use crate::conformance::on_every_store;
use crate::fixtures::Store;

const ENDINGS: Endings = Endings::Keep;

on_every_store!(
    a_worker_drains_a_queue_and_counts_right,
    a_failing_job_is_tried_again_and_then_dead,
    a_running_job_hears_within_a_second_that_it_is_cancelled,
    a_stopping_worker_hands_back_and_leaves,
    jobs_of_a_worker_that_died_run_elsewhere,
);

#[derive(Serialize, Deserialize)]
enum Act {
    Finish,
    Fail,
    Hang,
}

#[derive(Serialize, Deserialize)]
struct Play(Act);

impl Job for Play {
    const KIND: &'static str = "test.play";
    type Context = Arc<AtomicUsize>;

    fn options(&self) -> Options {
        Options { max_attempts: 2, backoff: Backoff::exactly(30), ..Options::default() }
    }

    async fn run(self, started: Arc<AtomicUsize>, run: Run) -> outcome::Result {
        started.fetch_add(1, Ordering::SeqCst);
        match self.0 {
            Act::Finish => Ok(Outcome::Done),
            Act::Fail => Err("no luck".into()),
            Act::Hang => {
                run.cancelled.cancelled().await;
                Err("interrupted".into())
            }
        }
    }
}

struct Playing {
    started: Arc<AtomicUsize>,
    stop: CancellationToken,
    task: JoinHandle<Summary>,
}

fn start(queue: &Arc<dyn Queue>) -> Playing {
    let (started, stop) = (Arc::default(), CancellationToken::new());
    let mut registry = Registry::new();
    registry.add::<Play>(Arc::clone(&started)).expect("the only one");
    let config = Config { concurrency: 32, grace: Duration::from_millis(100), ..Config::default() };
    let task = tokio::spawn(Worker::new(Arc::clone(queue), registry, config).run(stop.clone()));
    Playing { started, stop, task }
}

impl Playing {
    async fn has_started(&self, jobs: usize) {
        until("handlers to start", async || self.started.load(Ordering::SeqCst) >= jobs).await;
    }

    async fn stop(self) -> Summary {
        self.stop.cancel();
        self.task.await.expect("ends without panic")
    }
}

async fn push(queue: &dyn Queue, act: Act) -> JobId {
    let envelope = Envelope::new(&Play(act)).expect("small");
    queue.push(std::slice::from_ref(&envelope)).await.expect("takes it");
    envelope.id
}

async fn counts(queue: &dyn Queue) -> QueueInfo {
    queue.queues().await.expect("answers").remove(0)
}

async fn is_in(queue: &dyn Queue, id: JobId, state: State) -> bool {
    queue.job(id).await.expect("answers").is_some_and(|job| job.state == state)
}

async fn a_worker_drains_a_queue_and_counts_right(store: Store) {
    let worker = start(&store.queue);
    let jobs: Vec<Envelope> = (0..500).map(|_| Envelope::new(&Play(Act::Finish)).expect("small")).collect();
    for batch in jobs.chunks(100) {
        store.queue.push(batch).await.expect("takes them");
    }
    until("the last job", async || counts(&*store.queue).await.succeeded_total == 500).await;
    let left = counts(&*store.queue).await;
    assert_eq!((left.ready, left.scheduled, left.running, left.dead), (0, 0, 0, 0));
    let summary = worker.stop().await;
    assert_eq!((summary.finished, summary.stale, summary.abandoned), (500, 0, 0));
}

async fn a_failing_job_is_tried_again_and_then_dead(store: Store) {
    let worker = start(&store.queue);
    let id = push(&*store.queue, Act::Fail).await;
    until("the death", async || is_in(&*store.queue, id, State::Dead).await).await;
    let record = store.queue.job(id).await.expect("answers").expect("known");
    assert_eq!((record.history.failures, record.dead_reason), (2, Some(DeadReason::Exhausted)));
    assert_eq!(record.history.last_error.as_deref(), Some("no luck"));
    assert_eq!(worker.started.load(Ordering::SeqCst), 2);
    worker.stop().await;
}

async fn a_running_job_hears_within_a_second_that_it_is_cancelled(store: Store) {
    let worker = start(&store.queue);
    let mut soonest = Duration::MAX;
    // The best of three: other programs of a busy machine are no fault of the worker.
    for nth in 1..=3 {
        let id = push(&*store.queue, Act::Hang).await;
        worker.has_started(nth).await;
        let asked = Instant::now();
        store.queue.cancel(id).await.expect("answers");
        until("the end", async || is_in(&*store.queue, id, State::Cancelled).await).await;
        soonest = soonest.min(asked.elapsed());
    }
    assert!(soonest <= Duration::from_secs(1), "the handler heard of it after {soonest:?}");
    worker.stop().await;
}

async fn a_stopping_worker_hands_back_and_leaves(store: Store) {
    let worker = start(&store.queue);
    let id = push(&*store.queue, Act::Hang).await;
    worker.has_started(1).await;
    let summary = worker.stop().await;
    assert_eq!((summary.handed_back, summary.abandoned), (1, 0));
    let record = store.queue.job(id).await.expect("answers").expect("known");
    assert_eq!((record.state, record.history.failures, record.history.hand_backs), (State::Ready, 0, 1));
    assert!(store.queue.workers().await.expect("answers").is_empty());
}

async fn jobs_of_a_worker_that_died_run_elsewhere(store: Store) {
    let dying = start(&store.queue);
    let id = push(&*store.queue, Act::Hang).await;
    dying.has_started(1).await;
    dying.task.abort();
    store.pass(13_000).await;
    let other = start(&store.queue);
    other.has_started(1).await;
    let record = store.queue.job(id).await.expect("answers").expect("known");
    assert_eq!((record.state, record.history.recoveries, record.history.failures), (State::Running, 1, 0));
    other.stop().await;
}
