//! What a worker can be told, and what it tells at the end.

use std::fmt;
use std::time::Duration;

use super::queue_set::QueueSet;
use crate::queue::{BEAT, IDLE_BEAT, LEASE};
use crate::retry::Backoff;

/// How a worker works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Host and process, for people.
    pub name: String,
    /// The queues it serves, in a strict order or by weight; it does nothing without one.
    pub queues: QueueSet,
    /// How many jobs it runs at once; at least 1. Of short ones it has up to three times as many.
    pub concurrency: usize,
    /// How long running jobs may go on after the worker was told to stop.
    pub grace: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: format!("process {}", std::process::id()),
            queues: QueueSet::default(),
            concurrency: 16,
            grace: Duration::from_secs(20),
        }
    }
}

/// What a worker did in its life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Attempts that ended, well or badly, and whose end the store has taken.
    pub finished: u64,
    /// Jobs given back unfinished.
    pub handed_back: u64,
    /// Ends that the store did not take, because the lease had been lost.
    pub stale: u64,
    /// Jobs whose end the store was not told: still running after all grace, or the store was away.
    pub abandoned: u64,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { finished, handed_back, stale, abandoned } = self;
        write!(f, "{finished} finished, {handed_back} handed back, {stale} stale, {abandoned} abandoned")
    }
}

/// The times that are no matter of taste; tests shorten them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// How often the worker beats while it has jobs.
    pub beat: Duration,
    /// How often it beats while it has none.
    pub idle_beat: Duration,
    /// How often a worker that has jobs asks which of them are to stop.
    pub listen: Duration,
    /// How long a job that was fetched ahead may wait while no place becomes free.
    pub stuck: Duration,
    /// How much time passes at least between two reports of what its jobs tell.
    pub tell: Duration,
    /// For how long it may believe itself alive after a beat.
    pub lease: Duration,
    /// The longest wait for work.
    pub idle: Duration,
    /// After so long without a wake-up the worker looks by itself.
    pub look: Duration,
    /// How long a cancelled handler may take to tidy up.
    pub cancel_grace: Duration,
    /// How long handlers may take to tidy up when the grace of a stop is over.
    pub stop_grace: Duration,
    /// The longest time to tell the store the last outcomes of a stopping worker.
    pub flush: Duration,
    /// After this time without an answer a call counts as failed.
    pub patience: Duration,
    /// The pauses while the store is away.
    pub backoff: Backoff,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            beat: BEAT,
            idle_beat: IDLE_BEAT,
            listen: Duration::from_millis(500),
            stuck: Duration::from_millis(500),
            tell: Duration::from_secs(1),
            lease: LEASE,
            idle: Duration::from_secs(4),
            look: Duration::from_secs(30),
            cancel_grace: Duration::from_secs(5),
            stop_grace: Duration::from_secs(1),
            flush: Duration::from_secs(5),
            patience: Duration::from_secs(10),
            backoff: Backoff { base_ms: 50, factor: 2.0, max_ms: 2_000, jitter: 0.5 },
        }
    }
}
