//! When the loops of this process had their last good round: what a readiness door asks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

type Names = BTreeMap<&'static str, Option<Instant>>;

/// The loops and their last good rounds; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Rounds(Arc<Mutex<Names>>);

impl Rounds {
    /// Returns each loop that runs here with the time since its last good round; `None` if it has had none.
    pub fn ages(&self) -> Vec<(&'static str, Option<Duration>)> {
        self.lock().iter().map(|(name, last)| (*name, last.map(|last| last.elapsed()))).collect()
    }

    /// Notes that a loop begins.
    pub(super) fn begin(&self, name: &'static str) {
        self.lock().entry(name).or_default();
    }

    /// Notes a good round.
    pub(super) fn done(&self, name: &'static str) {
        self.lock().insert(name, Some(Instant::now()));
    }

    fn lock(&self) -> MutexGuard<'_, Names> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
