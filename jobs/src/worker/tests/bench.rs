//! A worker under test: its queue, a job whose handler does what its arguments say, and waiting for a condition.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::double::Memory;
use crate::id::{JobId, Kind};
use crate::job::{Envelope, Job, Run};
use crate::options::Options;
use crate::outcome::{self, Outcome};
use crate::queue::Verdict;
use crate::registry::Registry;
use crate::retry::Backoff;
use crate::worker::config::{Config, Pace, Summary};
use crate::worker::{HealthHandle, Worker};

const PATIENCE: Duration = Duration::from_secs(20);

/// What the handler does.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Act {
    Finish,
    Tell,
    Boast,
    Wait,
    Fail,
    Panic,
    Hang,
    HangUntilAsked { then: bool },
    Block { ms: u64 },
    PanicInDrop,
    FailUnspeakably,
}

/// What handlers share with the test.
#[derive(Clone, Default)]
pub(super) struct Stage {
    pub started: Arc<AtomicUsize>,
    pub dropped: Arc<AtomicUsize>,
    pub go: Arc<Notify>,
    pub runs: Arc<Mutex<Vec<Run>>>,
}

struct CountDrop(Arc<AtomicUsize>);

impl Drop for CountDrop {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// An error that cannot be shown.
#[derive(Debug)]
struct Unspeakable;

impl std::fmt::Display for Unspeakable {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("no words")
    }
}

impl std::error::Error for Unspeakable {}

struct PanicDrop;

impl Drop for PanicDrop {
    fn drop(&mut self) {
        panic!("in drop");
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct Play {
    pub act: Act,
}

impl Job for Play {
    const KIND: &'static str = "test.play";
    type Context = Stage;

    fn options(&self) -> Options {
        Options { max_attempts: 2, backoff: Backoff::exactly(700), ..Options::default() }
    }

    async fn run(self, stage: Stage, run: Run) -> outcome::Result {
        let _count = CountDrop(stage.dropped);
        stage.runs.lock().expect("no test panics here").push(run.clone());
        stage.started.fetch_add(1, Ordering::SeqCst);
        match self.act {
            Act::Finish => {}
            Act::Tell => {
                run.progress(1, 2);
                run.note("halfway");
                stage.go.notified().await;
                run.progress(2, 2);
                run.note("almost\nthere");
            }
            Act::Boast => return Outcome::done_with(&"x".repeat(crate::MAX_RESULT_BYTES)),
            Act::Wait => stage.go.notified().await,
            Act::Fail => return Err("no luck".into()),
            Act::Panic => panic!("oh no"),
            Act::Hang => std::future::pending().await,
            Act::HangUntilAsked { then } => {
                run.cancelled.cancelled().await;
                if !then {
                    return Err("interrupted".into());
                }
                sleep(Duration::from_millis(5)).await;
            }
            Act::FailUnspeakably => return Err(Box::new(Unspeakable)),
            Act::Block { ms } => std::thread::sleep(Duration::from_millis(ms)),
            Act::PanicInDrop => {
                let _bomb = PanicDrop;
                std::future::pending::<()>().await;
            }
        }
        Ok(Outcome::Done)
    }
}

pub(super) struct Bench {
    pub queue: Arc<Memory>,
    pub stage: Stage,
    pub health: HealthHandle,
    pub hooks: Arc<AtomicUsize>,
    stop: CancellationToken,
    run: JoinHandle<Summary>,
}

/// Times that make a test quick, and still bear a machine that is busy with others.
pub(super) fn quick() -> Pace {
    Pace {
        beat: Duration::from_millis(20),
        idle_beat: Duration::from_millis(20),
        listen: Duration::from_millis(20),
        lease: Duration::from_secs(10),
        stuck: Duration::from_secs(10),
        tell: Duration::from_millis(20),
        cancel_grace: Duration::from_millis(200),
        stop_grace: Duration::from_millis(100),
        flush: Duration::from_millis(300),
        backoff: Backoff { base_ms: 5, factor: 2.0, max_ms: 20, jitter: 0.5 },
        ..Pace::default()
    }
}

pub(super) fn config() -> Config {
    Config { concurrency: 4, grace: PATIENCE, ..Config::default() }
}

impl Bench {
    pub(super) fn start() -> Self {
        Self::with(config(), quick())
    }

    pub(super) fn with(config: Config, pace: Pace) -> Self {
        Self::on(&Handle::current(), config, pace)
    }

    /// A worker that talks to its store on another runtime.
    pub(super) fn on(home: &Handle, config: Config, pace: Pace) -> Self {
        let (queue, stage, hooks) = (Memory::new(), Stage::default(), Arc::new(AtomicUsize::new(0)));
        let mut registry = Registry::new();
        registry.add::<Play>(stage.clone()).expect("first");
        registry.retire(Kind::new("test.retired").expect("valid"), "no longer needed").expect("first");
        let count = Arc::clone(&hooks);
        let worker = Worker::new(queue.clone(), registry, config).paced(pace).on_runtime(home.clone());
        let worker = worker.on_settled(move || {
            count.fetch_add(1, Ordering::SeqCst);
        });
        let (stop, health) = (CancellationToken::new(), worker.health());
        let run = tokio::spawn(worker.run(stop.clone()));
        Self { queue, stage, health, hooks, stop, run }
    }

    pub(super) fn play(&self, act: Act) -> JobId {
        self.queue.add(&Envelope::new(&Play { act }).expect("small"))
    }

    pub(super) fn play_with(&self, act: Act, timeout_ms: u64) -> JobId {
        let mut envelope = Envelope::new(&Play { act }).expect("small");
        envelope.options.timeout_ms = timeout_ms;
        self.queue.add(&envelope)
    }

    /// Returns the verdict on a job once there is one.
    pub(super) async fn verdict(&self, id: JobId) -> Verdict {
        until("a verdict", || !self.queue.verdicts(id).is_empty()).await;
        self.queue.verdicts(id).remove(0)
    }

    pub(super) async fn started(&self, count: usize) {
        until("handlers to start", || self.stage.started.load(Ordering::SeqCst) >= count).await;
    }

    pub(super) fn begin_stop(&self) {
        self.stop.cancel();
    }

    pub(super) fn abort(&self) {
        self.run.abort();
    }

    pub(super) async fn stop(self) -> Summary {
        self.stop.cancel();
        timeout(PATIENCE, self.run).await.expect("stops in time").expect("ends without panic")
    }
}

/// Polls a condition until it holds.
pub(super) async fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        sleep(Duration::from_millis(2)).await;
    }
}
