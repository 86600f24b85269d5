//! A real worker on real stores, and what goes wrong around it.

mod bad_jobs;
mod bad_payloads;
mod proxy;
mod redis_misbehaves;
mod redis_restarts;
pub(crate) mod server;
mod worker_life;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use deskhand_jobs::queue::Queue;
use deskhand_jobs::worker::{Config, QueueSet, Summary, Worker};
use deskhand_jobs::{Envelope, Job, Options, Outcome, QueueName, Registry, Run, outcome};
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How often each number was run to its end.
#[derive(Clone, Default)]
pub(crate) struct Runs(Arc<Mutex<BTreeMap<u32, u32>>>);

impl Runs {
    pub(crate) fn distinct(&self) -> usize {
        self.0.lock().expect("no test panics under this lock").len()
    }

    /// How often a job of this number ran to its end.
    pub(crate) fn of(&self, n: u32) -> u32 {
        self.0.lock().expect("no test panics under this lock").get(&n).copied().unwrap_or_default()
    }
}

/// Counts itself; one that takes seconds tells each how far it is.
#[derive(Serialize, Deserialize)]
pub(crate) struct Count {
    pub(crate) n: u32,
    #[serde(default)]
    pub(crate) takes_ms: u64,
}

impl Job for Count {
    const KIND: &'static str = "test.count";
    type Context = Runs;

    async fn run(self, runs: Runs, run: Run) -> outcome::Result {
        for second in 0..self.takes_ms / 1_000 {
            run.progress(second, self.takes_ms / 1_000);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        tokio::time::sleep(Duration::from_millis(self.takes_ms % 1_000)).await;
        *runs.0.lock().expect("no test panics under this lock").entry(self.n).or_default() += 1;
        Ok(Outcome::Done)
    }
}

/// Panics.
#[derive(Serialize, Deserialize)]
pub(crate) struct Explode {}

impl Job for Explode {
    const KIND: &'static str = "test.explode";
    type Context = ();

    fn options(&self) -> Options {
        Options { max_attempts: 1, ..Options::default() }
    }

    async fn run(self, (): (), _: Run) -> outcome::Result {
        panic!("the fuse was lit")
    }
}

pub(crate) fn count(n: u32, takes_ms: u64) -> Envelope {
    Envelope::new(&Count { n, takes_ms }).expect("small")
}

/// A worker in a task of its own.
pub(crate) struct Running {
    stop: CancellationToken,
    task: JoinHandle<Summary>,
}

impl Running {
    pub(crate) fn start(queue: Arc<dyn Queue>, runs: &Runs) -> Self {
        Self::serve(queue, runs, [QueueName::default()])
    }

    pub(crate) fn serve(queue: Arc<dyn Queue>, runs: &Runs, names: impl IntoIterator<Item = QueueName>) -> Self {
        let mut registry = Registry::new();
        registry.add::<Count>(runs.clone()).expect("one handler");
        registry.add::<Explode>(()).expect("one handler");
        let stop = CancellationToken::new();
        let queues = QueueSet::ordered(names).expect("different names");
        let config = Config { concurrency: 8, queues, ..Config::default() };
        let worker = Worker::new(queue, registry, config);
        Self { task: tokio::spawn(worker.run(stop.clone())), stop }
    }

    pub(crate) async fn stop(self) -> Summary {
        self.stop.cancel();
        self.task.await.expect("the worker does not panic")
    }
}

/// Waits until the answer is yes; a minute is more than any of these tests needs.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut question: impl FnMut() -> F) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !question().await {
        assert!(Instant::now() < deadline, "it never happened: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
