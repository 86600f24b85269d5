//! What is to be measured, and how much of it.

use std::time::Duration;

/// How many jobs one call pushes in bulk.
pub(super) const BATCH: usize = 500;

/// How many calls that push in bulk are under way at a time.
pub(super) const CALLS_AT_ONCE: usize = 2;

/// What the arguments of a job have beside their ballast; see `job.rs`.
pub const LEAST_PAYLOAD_BYTES: usize = 40;

/// The pause between two jobs for an idle worker.
pub(super) const PICKUP_EVERY: Duration = Duration::from_millis(20);

/// How much time the due times of delayed jobs are spread over.
pub(super) const DELAY_SPREAD: Duration = Duration::from_secs(5);

/// How long a worker is kept at a part of its load.
pub(super) const LOAD_FOR: Duration = Duration::from_secs(3);

/// How many jobs of a long backlog are made at a time: all at once would fill the memory of this process.
pub(super) const MADE_AT_ONCE: usize = 100_000;

/// How many parts of a backlog are measured.
pub(super) const CHUNKS: usize = 10;

/// What is to be measured.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The address of the queue.
    pub url: String,
    /// What the keys of the run begin with, before a part that is new for each run.
    pub prefix: String,
    /// How many jobs are pushed in bulk and drained; the other numbers follow from it.
    pub jobs: usize,
    /// The size of a job's arguments, as JSON; at least [`LEAST_PAYLOAD_BYTES`].
    pub payload_bytes: usize,
    /// How many jobs the worker has at once.
    pub concurrency: usize,
    /// How often everything is measured.
    pub rounds: usize,
    /// Whether backlogs, priorities, groups and unique keys are measured, too.
    pub deep: bool,
}

impl Plan {
    /// Returns how many jobs are pushed one after another.
    pub(super) fn singles(&self) -> usize {
        (self.jobs / 40).clamp(50, 5_000)
    }

    /// Returns how many jobs meet an idle worker.
    pub(super) fn pickups(&self) -> usize {
        (self.jobs / 400).clamp(25, 250)
    }

    /// Returns how many jobs are delayed, if a worker drains so many a second: it is to be far from its limits.
    pub(super) fn delayed(&self, drain_per_s: f64) -> usize {
        let easy = drain_per_s * 0.25 * DELAY_SPREAD.as_secs_f64();
        self.jobs.min(100_000).min(easy as usize).max(10)
    }

    /// Returns the lengths of a short and a long backlog: 10,000 and 1,000,000 with the default number of jobs.
    pub(super) fn backlogs(&self) -> (usize, usize) {
        let many = (self.jobs * 5).min(1_000_000);
        (many / 100, many)
    }

    /// Returns the most bytes that the server is to hold at a time, generously.
    pub(super) fn most_bytes(&self) -> u64 {
        let (_, many) = self.backlogs();
        let jobs = if self.deep { many.max(self.jobs) } else { self.jobs };
        (jobs + self.singles()) as u64 * (self.payload_bytes as u64 + 400)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(jobs: usize) -> Plan {
        let (url, prefix) = ("redis://h".to_owned(), "deskhand".to_owned());
        Plan { url, prefix, jobs, payload_bytes: 100, concurrency: 256, rounds: 3, deep: false }
    }

    #[test]
    fn all_numbers_follow_from_the_jobs() {
        let (small, large) = (plan(2_000), plan(200_000));
        assert_eq!((small.singles(), small.pickups(), small.delayed(1e9)), (50, 25, 2_000));
        assert_eq!((large.singles(), large.pickups(), large.delayed(1e9)), (5_000, 250, 100_000));
    }

    #[test]
    fn a_long_backlog_is_what_the_server_must_hold() {
        let deep = Plan { deep: true, ..plan(200_000) };
        assert_eq!(deep.backlogs(), (10_000, 1_000_000));
        assert!(deep.most_bytes() > 4 * plan(200_000).most_bytes());
    }

    #[test]
    fn delayed_jobs_are_few_enough_for_a_slow_worker() {
        assert_eq!(plan(200_000).delayed(8_000.0), 10_000);
        assert_eq!(plan(200_000).delayed(0.0), 10);
    }
}
