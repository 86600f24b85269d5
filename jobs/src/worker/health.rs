//! Whether a worker works: what a readiness door asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::figures::Figures;
use crate::id::QueueName;

const NEVER: i64 = -1;

/// A look at a worker from outside; clones look at the same worker.
#[derive(Debug, Clone)]
pub struct HealthHandle(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    origin: Instant,
    contact_ms: AtomicI64,
    beat_ms: AtomicI64,
    full: AtomicBool,
    running: AtomicUsize,
    figures: Figures,
}

impl HealthHandle {
    pub(super) fn new() -> Self {
        Self(Arc::new(Inner {
            origin: Instant::now(),
            contact_ms: AtomicI64::new(NEVER),
            beat_ms: AtomicI64::new(NEVER),
            full: AtomicBool::new(false),
            running: AtomicUsize::new(0),
            figures: Figures::default(),
        }))
    }

    /// Says whether the worker has claimed, or waited for work, with success within this time.
    ///
    /// A worker that has all the jobs it may have does neither; then its last beat counts. A wait takes up to 4 s, so that
    /// less than 10 s proves nothing.
    pub fn is_ready(&self, within: Duration) -> bool {
        let recent = |age: Option<Duration>| age.is_some_and(|age| age <= within);
        recent(self.last_contact()) || (self.0.full.load(Ordering::Relaxed) && recent(self.age(&self.0.beat_ms)))
    }

    /// Returns how long ago the worker has last claimed or waited with success; `None` if never.
    pub fn last_contact(&self) -> Option<Duration> {
        self.age(&self.0.contact_ms)
    }

    /// Returns how many handlers run.
    pub fn running(&self) -> usize {
        self.0.running.load(Ordering::Relaxed)
    }

    /// Returns how long attempts of a queue took on average, the last ones counting most; `None` if none has ended here.
    pub fn mean_attempt(&self, queue: &QueueName) -> Option<Duration> {
        self.0.figures.mean_attempt(queue)
    }

    pub(super) fn figures(&self) -> &Figures {
        &self.0.figures
    }

    pub(super) fn contact(&self) {
        self.0.contact_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    pub(super) fn beat(&self) {
        self.0.beat_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    pub(super) fn set_full(&self, full: bool) {
        self.0.full.store(full, Ordering::Relaxed);
    }

    /// Counts handlers that begin.
    pub(super) fn enter(&self, handlers: usize) {
        self.0.running.fetch_add(handlers, Ordering::Relaxed);
        self.0.figures.running(handlers as f64);
    }

    /// Counts handlers that have ended.
    pub(super) fn leave(&self, handlers: usize) {
        self.0.running.fetch_sub(handlers, Ordering::Relaxed);
        self.0.figures.running(-(handlers as f64));
    }

    fn now_ms(&self) -> i64 {
        self.0.origin.elapsed().as_millis() as i64
    }

    fn age(&self, at_ms: &AtomicI64) -> Option<Duration> {
        let at_ms = at_ms.load(Ordering::Relaxed);
        (at_ms != NEVER).then(|| Duration::from_millis((self.now_ms() - at_ms).max(0) as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_worker_is_ready_by_its_beats() {
        let health = HealthHandle::new();
        let within = Duration::from_mins(1);
        assert!(!health.is_ready(within));
        health.beat();
        assert!(!health.is_ready(within), "beats alone prove no work");
        health.set_full(true);
        assert!(health.is_ready(within));
        health.set_full(false);
        health.contact();
        assert!(health.is_ready(within));
    }
}
