//! The job that does nothing, and what its handlers tell.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use deskhand_jobs::{Envelope, Job, Options, Outcome, QueueName, Registry, Run, outcome};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::base::{Error, Result};

/// The queue of all jobs of a run.
pub(super) const QUEUE: &str = "bench";

/// How long nothing may happen before a run is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// The number of a job whose start nobody notes.
const UNNOTED: u64 = u64::MAX;

/// Does nothing, and carries bytes.
#[derive(Serialize, Deserialize)]
pub(super) struct Nothing {
    n: u64,
    ballast: String,
}

impl Job for Nothing {
    const KIND: &'static str = "bench.noop";
    type Context = Arc<Starts>;

    async fn run(self, starts: Self::Context, _: Run) -> outcome::Result {
        starts.note(self.n as usize);
        Ok(Outcome::Done)
    }
}

/// Makes a job whose arguments have a size, to be noted under a number if there is one.
pub(super) fn envelope(payload_bytes: usize, number: Option<usize>, options: Options) -> Result<Envelope> {
    let n = number.map_or(UNNOTED, |number| number as u64);
    let around = r#"{"n":,"ballast":""}"#.len() + n.to_string().len();
    let ballast = "x".repeat(payload_bytes.saturating_sub(around));
    let mut envelope = Envelope::new(&Nothing { n, ballast })?;
    envelope.options = options;
    Ok(envelope)
}

/// Returns the options of a plain job of the run.
pub(super) fn plain() -> Options {
    Options { queue: queue(), ..Options::default() }
}

/// Returns the queue of the run.
pub(super) fn queue() -> QueueName {
    QueueName::new(QUEUE).expect("the name follows the rule")
}

/// How many handlers have begun, and for numbered jobs when.
pub(super) struct Starts {
    origin: Instant,
    /// By number, in nanoseconds after `origin`; 0 if it has not begun.
    at_ns: Vec<AtomicU64>,
    begun: AtomicUsize,
    expected: usize,
    all: Notify,
}

impl Starts {
    /// Expects so many jobs in all, and notes when those with numbers below `numbered` begin.
    pub(super) fn expect(expected: usize, numbered: usize) -> Arc<Self> {
        let at_ns = (0..numbered).map(|_| AtomicU64::new(0)).collect();
        let begun = AtomicUsize::new(0);
        Arc::new(Self { origin: Instant::now(), at_ns, begun, expected, all: Notify::new() })
    }

    /// Makes the registry of a worker whose handlers note their starts here.
    pub(super) fn registry(self: &Arc<Self>) -> Result<Registry> {
        let mut registry = Registry::new();
        registry
            .add::<Nothing>(Arc::clone(self))
            .map_err(|error| Error::internal("cannot register the job of the measures", error))?;
        Ok(registry)
    }

    /// Returns the present instant on the clock of the notes, in nanoseconds.
    pub(super) fn now_ns(&self) -> u64 {
        self.origin.elapsed().as_nanos() as u64
    }

    /// Returns when a numbered job began; `None` if it has not.
    pub(super) fn began_ns(&self, number: usize) -> Option<u64> {
        let at_ns = self.at_ns.get(number)?.load(Ordering::Relaxed);
        (at_ns > 0).then_some(at_ns)
    }

    /// Waits until all have begun.
    pub(super) async fn all_begun(&self) -> Result<()> {
        loop {
            let before = self.begun.load(Ordering::Relaxed);
            if before >= self.expected || timeout(PATIENCE, self.all.notified()).await.is_ok() {
                return Ok(());
            }
            let now = self.begun.load(Ordering::Relaxed);
            if now == before {
                let (expected, seconds) = (self.expected, PATIENCE.as_secs());
                let what = format!("{now} of {expected} jobs have begun, and none within the last {seconds} s");
                return Err(Error::unavailable("the worker of the measures", what));
            }
        }
    }

    fn note(&self, number: usize) {
        if let Some(at_ns) = self.at_ns.get(number) {
            at_ns.store(self.now_ns(), Ordering::Relaxed);
        }
        if self.begun.fetch_add(1, Ordering::Relaxed) + 1 == self.expected {
            self.all.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::LEAST_PAYLOAD_BYTES;
    use super::*;

    #[test]
    fn the_arguments_have_the_size_that_was_asked_for() {
        for (bytes, number) in [(LEAST_PAYLOAD_BYTES, None), (100, Some(0)), (100, Some(99_999)), (1_000, None)] {
            let envelope = envelope(bytes, number, plain()).expect("fits");
            assert_eq!(envelope.args.get().len(), bytes, "{}", envelope.args);
        }
    }

    #[tokio::test]
    async fn all_have_begun_when_the_last_has() {
        let starts = Starts::expect(2, 1);
        starts.note(UNNOTED as usize);
        assert_eq!(starts.began_ns(0), None);
        starts.note(0);
        starts.all_begun().await.expect("both");
        assert!(starts.began_ns(0).is_some());
    }
}
