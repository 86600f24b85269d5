//! Counts what was lost and explains what ran more often than once. Pure.

use std::collections::BTreeMap;

use deskhand_jobs::queue::LEASE;

use super::journal::{End, Ran};

/// So long before a fault a run may have ended and its end still not have reached the store.
const TELLING_MS: u64 = 1_500;

/// So long before a stop the last beat may have been: a whole beat, and as much again where the server hung or the machine was busy.
const LAST_BEAT_MS: u64 = 6_000;

/// What a test did that lets a job run again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cause {
    /// The process was killed.
    Killed,
    /// The process was stopped for longer than a lease.
    Stopped,
    /// The process was told to leave and handed the job back.
    HandedBack,
    /// The server came back without what it had been told last.
    RolledBack,
}

/// One such deed.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    pub(super) cause: Cause,
    /// Which process; `None` if all are concerned.
    pub(super) hand: Option<usize>,
    pub(super) from_ms: u64,
    pub(super) to_ms: u64,
}

/// The count.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Report {
    /// Jobs that never ran to their end.
    pub(super) lost: Vec<u32>,
    /// Runs beyond the first of an attempt, by what explains them.
    pub(super) explained: BTreeMap<Cause, u32>,
    /// Runs beyond the first of an attempt that nothing explains.
    pub(super) unexplained: Vec<String>,
    /// The longest time between the death of a process and the next run of a job that it had.
    pub(super) slowest_return_ms: u64,
}

/// Compares what was pushed, what ran, and what went wrong.
pub(super) fn explain(pushed: impl Iterator<Item = u32>, runs: &[Ran], faults: &[Fault]) -> Report {
    let mut of_attempt: BTreeMap<(u32, u32), Vec<&Ran>> = BTreeMap::new();
    for run in runs {
        of_attempt.entry((run.n, run.attempt)).or_default().push(run);
    }
    let finished: std::collections::BTreeSet<u32> =
        runs.iter().filter(|run| matches!(run.end, Some((End::Finished, _)))).map(|run| run.n).collect();
    let mut report = Report { lost: pushed.filter(|n| !finished.contains(n)).collect(), ..Report::default() };
    for runs in of_attempt.values_mut() {
        runs.sort_by_key(|run| run.from_ms);
        for pair in runs.windows(2) {
            let (before, again) = (pair[0], pair[1]);
            match faults.iter().find(|fault| fault.explains(before, again)) {
                Some(fault) => {
                    *report.explained.entry(fault.cause).or_default() += 1;
                    if fault.cause == Cause::Killed {
                        let return_ms = again.from_ms.saturating_sub(fault.from_ms);
                        report.slowest_return_ms = report.slowest_return_ms.max(return_ms);
                    }
                }
                None => report.unexplained.push(format!("{before:?}, then {again:?}")),
            }
        }
    }
    report
}

impl Fault {
    fn explains(&self, before: &Ran, again: &Ran) -> bool {
        let concerned = self.hand.is_none_or(|hand| hand == before.hand);
        let ended_ms = before.end.map(|(_, at_ms)| at_ms);
        let was_out = before.from_ms <= self.to_ms && ended_ms.is_none_or(|at_ms| at_ms + TELLING_MS >= self.from_ms);
        let lease_ms = LEASE.as_millis() as u64;
        let in_time = match self.cause {
            Cause::Killed | Cause::RolledBack => again.from_ms >= self.from_ms,
            Cause::Stopped => {
                let soonest_ms = self.from_ms + lease_ms - LAST_BEAT_MS;
                self.to_ms > soonest_ms && again.from_ms >= soonest_ms
            }
            Cause::HandedBack => again.from_ms >= self.from_ms && !matches!(before.end, Some((End::Finished, _))),
        };
        concerned && was_out && in_time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ran(hand: usize, from_ms: u64, end: Option<(End, u64)>) -> Ran {
        Ran { hand, n: 1, attempt: 1, from_ms, end }
    }

    fn finished(hand: usize, from_ms: u64, to_ms: u64) -> Ran {
        ran(hand, from_ms, Some((End::Finished, to_ms)))
    }

    fn fault(cause: Cause, hand: usize, from_ms: u64, to_ms: u64) -> Fault {
        Fault { cause, hand: Some(hand), from_ms, to_ms }
    }

    #[test]
    fn what_never_finished_is_lost() {
        let runs =
            [ran(0, 10, None), Ran { n: 2, ..finished(0, 10, 20) }, Ran { n: 4, ..ran(0, 1, Some((End::Cut, 2))) }];
        assert_eq!(explain(1..5, &runs, &[]).lost, [1, 3, 4]);
    }

    #[test]
    fn a_second_attempt_is_no_duplicate() {
        let runs = [ran(0, 10, Some((End::Failed, 20))), Ran { attempt: 2, ..finished(0, 30, 40) }];
        assert_eq!(explain(1..2, &runs, &[]), Report::default());
    }

    #[test]
    fn a_duplicate_needs_a_fault_of_its_process_at_its_time() {
        let again = finished(1, 15_000, 15_100);
        for (before, fault, explained) in [
            (ran(0, 900, None), fault(Cause::Killed, 0, 1_000, 1_000), true),
            (ran(0, 900, None), fault(Cause::Killed, 1, 1_000, 1_000), false),
            (ran(0, 1_100, None), fault(Cause::Killed, 0, 1_000, 1_000), false),
            (ran(0, 900, None), fault(Cause::Killed, 0, 15_001, 15_001), false),
            // Ended so long before that the store must have known.
            (finished(0, 100, 200), fault(Cause::Killed, 0, 9_000, 9_000), false),
            (finished(0, 100, 8_900), fault(Cause::Killed, 0, 9_000, 9_000), true),
            (finished(0, 900, 17_000), fault(Cause::Stopped, 0, 1_000, 16_900), true),
            (finished(0, 900, 6_100), fault(Cause::Stopped, 0, 1_000, 6_000), false),
            (finished(0, 900, 17_000), fault(Cause::Stopped, 0, 9_500, 30_000), false),
            (ran(0, 900, Some((End::Cut, 1_100))), fault(Cause::HandedBack, 0, 1_000, 1_200), true),
            (finished(0, 900, 1_100), fault(Cause::HandedBack, 0, 1_000, 1_200), false),
        ] {
            let report = explain(1..2, &[again.clone(), before.clone()], std::slice::from_ref(&fault));
            assert_eq!(report.explained.get(&fault.cause) == Some(&1), explained, "{before:?} {fault:?}");
            assert_eq!(report.unexplained.is_empty(), explained, "{before:?} {fault:?}");
        }
    }

    #[test]
    fn the_slowest_return_is_measured_from_the_kill() {
        let runs = [ran(0, 10, None), finished(1, 14_000, 14_100)];
        let report = explain(1..2, &runs, &[fault(Cause::Killed, 0, 1_000, 1_000)]);
        assert_eq!((report.slowest_return_ms, report.lost.len()), (13_000, 0));
    }
}
