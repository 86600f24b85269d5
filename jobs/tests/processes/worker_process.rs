//! The worker process: what it is told, what it runs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use deskhand_jobs::queue::redis::RedisQueue;
use deskhand_jobs::queue::sqlite::SqliteQueue;
use deskhand_jobs::queue::{Endings, Queue};
use deskhand_jobs::retry::Backoff;
use deskhand_jobs::worker::{Config, Worker};
use deskhand_jobs::{Envelope, Job, Options, Outcome, Registry, Run, outcome};
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::journal::{End, Journal};

/// Where the orders are.
pub(super) const ORDERS: &str = "DESKHAND_TEST_WORKER_ORDERS";

/// The name of the test that is the process.
pub(super) const TEST_NAME: &str = "processes::worker_process::worker_process";

/// Where the queue is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Place {
    Redis { url: String, prefix: String },
    Sqlite { path: PathBuf },
}

impl Place {
    /// Opens the queue; records of ends are kept, so that each can be counted.
    pub(super) async fn open(&self) -> Arc<dyn Queue> {
        match self {
            Self::Redis { url, prefix } => {
                Arc::new(RedisQueue::open(url, prefix, Endings::Keep).await.expect("the server answers"))
            }
            Self::Sqlite { path } => Arc::new(SqliteQueue::open(path, Endings::Keep).await.expect("the file opens")),
        }
    }
}

/// What a process is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Orders {
    pub(super) place: Place,
    pub(super) name: String,
    pub(super) journal: PathBuf,
    pub(super) concurrency: usize,
}

/// A job that leaves a mark in the journal of whoever runs it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Mark {
    pub(super) n: u32,
    pub(super) takes_ms: u64,
    /// How many attempts fail before one succeeds.
    #[serde(default)]
    pub(super) fails: u32,
    /// Ballast.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) text: String,
}

impl Mark {
    pub(super) fn envelope(&self) -> Envelope {
        Envelope::new(self).expect("small")
    }
}

impl Job for Mark {
    const KIND: &'static str = "test.mark";
    type Context = Arc<Journal>;

    fn options(&self) -> Options {
        Options { backoff: Backoff::exactly(500), ..Options::default() }
    }

    async fn run(self, journal: Arc<Journal>, run: Run) -> outcome::Result {
        let line = journal.started(self.n, run.attempt);
        tokio::select! {
            () = run.cancelled.cancelled() => {
                journal.ended(line, End::Cut);
                return Err("told to stop".into());
            }
            () = tokio::time::sleep(Duration::from_millis(self.takes_ms)) => {}
        }
        let fails = run.attempt <= self.fails;
        journal.ended(line, if fails { End::Failed } else { End::Finished });
        if fails { Err("not yet".into()) } else { Ok(Outcome::Done) }
    }
}

#[test]
#[ignore = "a worker process: the other tests of this directory start it"]
fn worker_process() {
    let orders = std::env::var(ORDERS).expect("only the other tests of this directory start this one");
    let orders: Orders = serde_json::from_str(&orders).expect("orders");
    // A test that was itself killed leaves no process behind: its end closes this one's input.
    std::thread::spawn(|| {
        drop(std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
        std::process::exit(1);
    });
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut asked = signal(SignalKind::terminate()).expect("signals can be heard");
        let journal = Arc::new(Journal::open(&orders.journal));
        journal.began();
        let mut registry = Registry::new();
        registry.add::<Mark>(Arc::clone(&journal)).expect("the only one");
        let (name, concurrency) = (orders.name, orders.concurrency);
        let config = Config { name, concurrency, grace: Duration::from_secs(5), ..Config::default() };
        let stop = CancellationToken::new();
        let worker = tokio::spawn(Worker::new(orders.place.open().await, registry, config).run(stop.clone()));
        asked.recv().await;
        stop.cancel();
        journal.left(worker.await.expect("the worker does not panic"));
    });
}
