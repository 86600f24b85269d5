//! What remains of a job that has ended.

use std::time::Duration;

/// What becomes of jobs that have succeeded or were cancelled. The dead stay in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endings {
    /// The record of each end, also of the dead, is kept until [`forget_endings`](super::Queue::forget_endings).
    Keep,
    /// They stay, with their payload, until there are too many or they are too old; nobody has to fetch anything.
    Retain(Retention),
    /// They leave no trace.
    Drop,
}

/// How many finished jobs stay, and for how long; whichever is reached first.
///
/// The store removes the oldest a few at a time: at most two for each job that ends, and a hundred with each beat of a worker that
/// serves the queue. So a job may stay a little longer than said, never shorter. As long as it is there, its id is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// The most finished jobs of one queue.
    pub max_count: u64,
    /// The longest time after the end, in milliseconds.
    pub max_age_ms: u64,
}

impl Default for Retention {
    /// A thousand of each queue, for a day.
    fn default() -> Self {
        Self { max_count: 1_000, max_age_ms: Duration::from_hours(24).as_millis() as u64 }
    }
}

impl Endings {
    /// Says whether records wait to be fetched.
    pub(crate) fn fetched(self) -> bool {
        self == Self::Keep
    }

    /// Returns how finished jobs are retained, if they are.
    pub(crate) fn retention(self) -> Option<Retention> {
        if let Self::Retain(retention) = self { Some(retention) } else { None }
    }
}

/// How many finished jobs may go when so many more have ended.
pub(crate) const REMOVED_PER_END: usize = 2;

/// How many finished jobs of a queue may go with a beat.
pub(crate) const REMOVED_PER_BEAT: usize = 100;
