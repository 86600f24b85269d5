//! How many workers a queue wants: what an autoscaler asks.

use std::time::Duration;

use super::ahead::{SHORT, TIMES};
use crate::queue::QueueInfo;

/// What is known of a queue and of the workers that would serve it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    /// Jobs that wait for a worker.
    pub ready: u64,
    /// Jobs that run, or that a worker has fetched ahead because they are short.
    pub running: u64,
    /// Jobs that wait for their time.
    pub scheduled: u64,
    /// Whether the queue hands out nothing.
    pub paused: bool,
    /// How long an attempt takes on average.
    pub attempt: Duration,
    /// How many jobs one worker runs at once; 0 counts as 1.
    pub concurrency: usize,
    /// In which time what waits now is to be done.
    pub drain_within: Duration,
}

impl Demand {
    /// Takes the counts of a queue.
    pub fn of(queue: &QueueInfo, attempt: Duration, concurrency: usize, drain_within: Duration) -> Self {
        let QueueInfo { ready, running, scheduled, paused, .. } = *queue;
        Self { ready, running, scheduled, paused, attempt, concurrency, drain_within }
    }
}

/// Returns how many workers the queue wants.
///
/// What runs keeps its places, because as much comes in as ends; what waits is spread over the time in which it is to be done. No
/// more places are wanted than there are jobs. While any job runs or waits, also for its time, it is at least one: only a worker
/// makes a job ready that has become due. A paused queue wants what its running jobs need.
pub fn desired_workers(demand: &Demand) -> u64 {
    let per_worker = demand.concurrency.max(1) as f64;
    let waiting = if demand.paused { 0 } else { demand.ready };
    let drain_s = demand.drain_within.as_secs_f64().max(0.001);
    let backlog = (waiting as f64 * demand.attempt.as_secs_f64() / drain_s).min(waiting as f64);
    // Of short jobs workers have more than they run.
    let fetched = if demand.attempt < SHORT { (1 + TIMES) as f64 } else { 1.0 };
    let wanted = ((demand.running as f64 / fetched + backlog) / per_worker).ceil() as u64;
    let anything = demand.running > 0 || (!demand.paused && demand.ready + demand.scheduled > 0);
    wanted.max(u64::from(anything))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn demand(ready: u64, running: u64, attempt_ms: u64) -> Demand {
        Demand {
            ready,
            running,
            scheduled: 0,
            paused: false,
            attempt: Duration::from_millis(attempt_ms),
            concurrency: 10,
            drain_within: Duration::from_mins(1),
        }
    }

    #[test]
    fn what_runs_and_what_waits_decide() {
        for (ready, running, attempt_ms, expected) in [
            (0, 0, 1_000, 0),
            (1, 0, 1, 1),
            (0, 1, 1_000, 1),
            (0, 10, 1_000, 1),
            (0, 11, 1_000, 2),
            // 600 s of work in 60 s are 10 places.
            (600, 0, 1_000, 1),
            (600, 10, 1_000, 2),
            (6_000, 10, 1_000, 11),
            // An attempt longer than the time to drain: a place for each job, and no more.
            (25, 0, 600_000, 3),
            (1_000_000, 0, 0, 1),
            // A worker has three times as many short jobs as it runs.
            (600, 30, 1, 2),
            (0, 30, 1, 1),
            (0, 30, 5, 3),
        ] {
            assert_eq!(
                desired_workers(&demand(ready, running, attempt_ms)),
                expected,
                "{ready} {running} {attempt_ms}"
            );
        }
    }

    #[test]
    fn a_queue_of_scheduled_jobs_keeps_one_and_a_paused_one_only_what_runs() {
        assert_eq!(desired_workers(&Demand { scheduled: 9, ..demand(0, 0, 1) }), 1);
        assert_eq!(desired_workers(&Demand { scheduled: 9, paused: true, ..demand(90_000, 0, 1_000) }), 0);
        assert_eq!(desired_workers(&Demand { paused: true, ..demand(90_000, 15, 1_000) }), 2);
    }

    #[test]
    fn nonsense_harms_nothing() {
        let nothing = Demand { concurrency: 0, drain_within: Duration::ZERO, ..demand(5, 0, 1_000) };
        assert_eq!(desired_workers(&nothing), 5);
    }

    proptest! {
        #[test]
        fn more_work_never_wants_fewer_workers(ready in 0u64..1_000_000, running in 0u64..10_000, attempt_ms in 0u64..1_000_000) {
            let now = desired_workers(&demand(ready, running, attempt_ms));
            prop_assert!(desired_workers(&demand(ready + 1, running, attempt_ms)) >= now);
            prop_assert!(desired_workers(&demand(ready, running + 1, attempt_ms)) >= now);
            prop_assert!(desired_workers(&demand(ready, running, attempt_ms + 1)) >= now);
            prop_assert!(now <= ready + running);
        }
    }
}
