//! What a worker counts. The names and their meaning stand in `jobs/METRICS.md`.
//!
//! A handle of a counter is looked up once and kept: a job costs no text for labels. So the recorder has to be there before a
//! worker runs.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{OnceLock, PoisonError, RwLock};
use std::time::Duration;

use foldhash::fast::RandomState;
use metrics::{Counter, Gauge, Histogram, Unit};

use crate::id::QueueName;
use crate::queue::{Late, Verdict};

const FINISHED: &str = "deskhand_jobs_finished_total";
const DURATION: &str = "deskhand_job_duration_seconds";
const RUNNING: &str = "deskhand_jobs_running";
const RESCUED: &str = "deskhand_jobs_rescued_total";
const HANDED_BACK: &str = "deskhand_jobs_handed_back_total";
const STALE: &str = "deskhand_ends_stale_total";
const CALL: &str = "deskhand_store_call_seconds";
const DELAY: &str = "deskhand_delay_error_seconds";
const SLOTS: &str = "deskhand_worker_slots";
const BUSY: &str = "deskhand_worker_slots_busy";

/// Stands for every kind that no handler has: the kinds of strangers must not become label values.
pub(super) const NO_KIND: &str = "unknown";

/// The weight of the last attempt in the average.
const NEWEST: f64 = 0.05;

/// Describes what workers count to the recorder of this process.
pub fn describe() {
    metrics::describe_counter!(FINISHED, "Attempts that ended, by queue, kind and outcome");
    metrics::describe_histogram!(DURATION, Unit::Seconds, "How long attempts took, by queue and kind");
    metrics::describe_gauge!(RUNNING, "Handlers that run in this process");
    metrics::describe_counter!(RESCUED, "Jobs taken back from dead workers by this one");
    metrics::describe_counter!(HANDED_BACK, "Jobs given back unfinished by stopping workers of this process");
    metrics::describe_counter!(STALE, "Ends that the store did not take, because the lease had been lost");
    metrics::describe_histogram!(CALL, Unit::Seconds, "How long the store took to answer, by call");
    metrics::describe_histogram!(DELAY, Unit::Seconds, "How late due jobs were found, by queue");
    metrics::describe_gauge!(SLOTS, "Jobs that the workers of this process may have at once");
    metrics::describe_gauge!(BUSY, "Jobs that they have");
}

/// The outcomes of attempts, as labels.
const OUTCOMES: [&str; 7] = ["succeeded", "failed", "snoozed", "set_aside", "handed_back", "cancelled", "dead"];

/// Names what came of an attempt.
pub(super) fn outcome(verdict: &Verdict) -> &'static str {
    OUTCOMES[place(verdict)]
}

fn place(verdict: &Verdict) -> usize {
    match verdict {
        Verdict::Succeeded | Verdict::SucceededWith { .. } => 0,
        Verdict::Retry { .. } => 1,
        Verdict::Snooze { .. } => 2,
        Verdict::SetAside { .. } => 3,
        Verdict::HandBack => 4,
        Verdict::Cancelled { .. } => 5,
        Verdict::Dead { .. } => 6,
    }
}

/// The figures of one worker, or of a door through which others work.
#[derive(Debug, Default)]
pub struct Figures {
    queues: RwLock<HashMap<QueueName, OfQueue, RandomState>>,
    running: OnceLock<Gauge>,
}

#[derive(Debug, Default)]
struct OfQueue {
    kinds: RwLock<HashMap<String, OfKind, RandomState>>,
    delay: OnceLock<Histogram>,
    /// The average of the attempts in milliseconds, as the bits of a float; 0 if there was none.
    mean_ms: AtomicU64,
}

#[derive(Debug)]
struct OfKind {
    finished: [OnceLock<Counter>; OUTCOMES.len()],
    duration: Histogram,
}

impl Figures {
    /// Counts an attempt that ended. `kind` becomes the value of a label: it must be one of few.
    pub fn finished(&self, queue: &QueueName, kind: &str, verdict: &Verdict, took: Duration) {
        let outcome = place(verdict);
        let make = || OfKind {
            finished: [const { OnceLock::new() }; OUTCOMES.len()],
            duration: metrics::histogram!(DURATION, "queue" => queue.to_string(), "kind" => kind.to_owned()),
        };
        let count = || {
            let labels =
                [("queue", queue.to_string()), ("kind", kind.to_owned()), ("outcome", OUTCOMES[outcome].to_owned())];
            metrics::counter!(FINISHED, &labels)
        };
        with(&self.queues, queue, OfQueue::default, |of_queue| {
            with(&of_queue.kinds, kind, make, |of_kind| {
                of_kind.finished[outcome].get_or_init(count).increment(1);
                of_kind.duration.record(took.as_secs_f64());
            });
            if !matches!(verdict, Verdict::SetAside { .. } | Verdict::HandBack) {
                of_queue.average(took);
            }
        });
    }

    /// Notes how late due jobs were found.
    pub fn late(&self, late: &Late) {
        with(&self.queues, &late.queue, OfQueue::default, |of_queue| {
            let delay = of_queue.delay.get_or_init(|| metrics::histogram!(DELAY, "queue" => late.queue.to_string()));
            for ms in &late.ms {
                delay.record(*ms as f64 / 1_000.0);
            }
        });
    }

    /// Returns how long attempts of a queue took on average, the last ones counting most; `None` if none has ended.
    pub fn mean_attempt(&self, queue: &QueueName) -> Option<Duration> {
        let queues = self.queues.read().unwrap_or_else(PoisonError::into_inner);
        let bits = queues.get(queue)?.mean_ms.load(Ordering::Relaxed);
        (bits != 0).then(|| Duration::from_secs_f64(f64::from_bits(bits) / 1_000.0))
    }

    /// Returns the longest of these averages; `None` if no attempt of any of them has ended.
    pub(super) fn longest_mean(&self, queues: &[QueueName]) -> Option<Duration> {
        queues.iter().filter_map(|queue| self.mean_attempt(queue)).max()
    }

    /// Counts handlers that run.
    pub(super) fn running(&self, change: f64) {
        self.running.get_or_init(|| metrics::gauge!(RUNNING)).increment(change);
    }
}

impl OfQueue {
    fn average(&self, took: Duration) {
        let took_ms = (took.as_secs_f64() * 1_000.0).max(f64::MIN_POSITIVE);
        let mean_ms = match self.mean_ms.load(Ordering::Relaxed) {
            0 => took_ms,
            bits => f64::from_bits(bits) * (1.0 - NEWEST) + took_ms * NEWEST,
        };
        // Of two that end at the same moment one may not count; it is an average.
        self.mean_ms.store(mean_ms.to_bits(), Ordering::Relaxed);
    }
}

/// Does something with what is kept under a key; makes it if it is not there.
fn with<K, Q, V>(map: &RwLock<HashMap<K, V, RandomState>>, key: &Q, make: impl FnOnce() -> V, work: impl FnOnce(&V))
where
    K: std::hash::Hash + Eq + std::borrow::Borrow<Q>,
    Q: std::hash::Hash + Eq + ToOwned<Owned = K> + ?Sized,
{
    if let Some(found) = map.read().unwrap_or_else(PoisonError::into_inner).get(key) {
        return work(found);
    }
    let mut map = map.write().unwrap_or_else(PoisonError::into_inner);
    work(map.entry(key.to_owned()).or_insert_with(make));
}

/// The places of one worker; what it had is given back when it ends.
#[derive(Debug)]
pub(super) struct Slots {
    all: usize,
    busy: usize,
    gauges: [Gauge; 2],
}

impl Slots {
    pub(super) fn new(all: usize) -> Self {
        let gauges = [metrics::gauge!(SLOTS), metrics::gauge!(BUSY)];
        gauges[0].increment(all as f64);
        Self { all, busy: 0, gauges }
    }

    /// Notes how many are taken.
    pub(super) fn set_busy(&mut self, busy: usize) {
        if busy != self.busy {
            // Several workers of one process share the gauge, so that only differences count.
            self.gauges[1].increment(busy as f64 - self.busy as f64);
            self.busy = busy;
        }
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        self.set_busy(0);
        self.gauges[0].decrement(self.all as f64);
    }
}

pub(super) fn rescued(jobs: usize) {
    metrics::counter!(RESCUED).increment(jobs as u64);
}

pub(super) fn handed_back() {
    metrics::counter!(HANDED_BACK).increment(1);
}

pub(super) fn stale() {
    metrics::counter!(STALE).increment(1);
}

/// Times a call of the store, also one that fails or is given up.
pub(super) async fn timed<T>(call: &'static str, work: impl Future<Output = T>) -> T {
    let started = std::time::Instant::now();
    let answer = work.await;
    metrics::histogram!(CALL, "call" => call).record(started.elapsed().as_secs_f64());
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_average_follows_the_last_attempts() {
        let (figures, queue) = (Figures::default(), QueueName::default());
        assert_eq!(figures.mean_attempt(&queue), None);
        let mean_ms = || figures.mean_attempt(&queue).expect("some have ended").as_millis();
        figures.finished(&queue, "a.b", &Verdict::Succeeded, Duration::from_millis(100));
        assert_eq!(mean_ms(), 100);
        figures.finished(&queue, "a.b", &Verdict::HandBack, Duration::from_mins(1));
        assert_eq!(mean_ms(), 100, "what was not done says nothing");
        for _ in 0..200 {
            figures.finished(&queue, "a.c", &Verdict::Succeeded, Duration::from_millis(300));
        }
        assert!((299..=300).contains(&mean_ms()), "{}", mean_ms());
    }
}
