//! Whose turn it is: a pure decision over the queues of a worker.
//!
//! A claim goes through its queues in the order of its list, so that all there is to decide is the order, and how many jobs to ask
//! for. In a weighted set each queue has a clock that a job moves on by one over the weight of the queue; the queue whose clock is
//! furthest behind is asked first. Jobs are counted and not claims, so that it does not matter how many jobs a claim brings.

use std::collections::HashMap;

use super::queue_set::QueueSet;
use crate::id::QueueName;
use crate::queue::Claimed;

/// The queues of one worker and what they have had.
pub(super) struct Turns {
    names: Vec<QueueName>,
    /// Empty if the set is ordered.
    clocks: Vec<Clock>,
}

struct Clock {
    weight: u32,
    /// Jobs per weight.
    time: f64,
    /// Whether it gave all it was asked for the last time, and so may have more.
    has_more: bool,
}

/// What to ask for in one claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Turn {
    /// The queues, the first first.
    pub queues: Vec<QueueName>,
    /// How many jobs at most.
    pub limit: usize,
}

impl Turns {
    pub(super) fn new(set: &QueueSet) -> Self {
        let clock = |weight: &u32| Clock { weight: *weight, time: 0.0, has_more: false };
        Self { names: set.names().to_vec(), clocks: set.weights().unwrap_or_default().iter().map(clock).collect() }
    }

    /// Decides on a claim for so many free places.
    pub(super) fn next(&self, free: usize) -> Turn {
        let mut order: Vec<usize> = (0..self.names.len()).collect();
        // Stable: of those that are as far, the one that was named first.
        order.sort_by(|a, b| self.time(*a).total_cmp(&self.time(*b)));
        let queues = order.iter().map(|at| self.names[*at].clone()).collect();
        // Who had nothing the last time is asked on the way and bounds nobody.
        let first = order.iter().find(|at| self.clocks.get(**at).is_some_and(|clock| clock.has_more));
        Turn { queues, limit: first.map_or(free, |first| self.part(*first, free)) }
    }

    /// Notes what a claim brought.
    pub(super) fn took(&mut self, turn: &Turn, jobs: &[Claimed]) {
        let mut got: HashMap<&QueueName, usize> = HashMap::new();
        if !self.clocks.is_empty() {
            for job in jobs {
                *got.entry(&job.queue).or_default() += 1;
            }
        }
        let counts: Vec<usize> = turn.queues.iter().map(|queue| got.get(queue).copied().unwrap_or_default()).collect();
        self.count(turn, &counts);
    }

    fn count(&mut self, turn: &Turn, counts: &[usize]) {
        if self.clocks.is_empty() {
            return;
        }
        let mut open = turn.limit;
        let mut empty = Vec::new();
        for (queue, got) in turn.queues.iter().zip(counts) {
            if open == 0 {
                break; // it was not asked
            }
            let Some(at) = self.names.iter().position(|name| name == queue) else { continue };
            let clock = &mut self.clocks[at];
            clock.time += *got as f64 / f64::from(clock.weight);
            clock.has_more = *got >= open;
            open -= (*got).min(open);
            if *got == 0 {
                empty.push(at);
            }
        }
        self.forfeit(&empty);
    }

    /// Who has nothing when it is its turn saves nothing up for later, and is asked again only after a job's worth of the others.
    fn forfeit(&mut self, empty: &[usize]) {
        let others = (0..self.clocks.len()).filter(|at| !empty.contains(at));
        let Some(least) = others.map(|at| self.clocks[at].time).reduce(f64::min) else { return };
        for at in empty {
            let clock = &mut self.clocks[*at];
            clock.time = clock.time.max(least) + 1.0 / f64::from(clock.weight);
        }
        // Only the differences count; small numbers keep them exact for ever.
        let least = self.clocks.iter().map(|clock| clock.time).fold(f64::INFINITY, f64::min);
        for clock in &mut self.clocks {
            clock.time -= least;
        }
    }

    fn time(&self, at: usize) -> f64 {
        self.clocks.get(at).map_or(0.0, |clock| clock.time)
    }

    /// The part of the free places that a queue may fill: its share beside those that have work too, which keeps a large claim
    /// from being all of one queue.
    fn part(&self, first: usize, free: usize) -> usize {
        let mine = f64::from(self.clocks[first].weight);
        let busy = self.clocks.iter().filter(|clock| clock.has_more);
        let all: f64 = busy.map(|clock| f64::from(clock.weight)).sum();
        ((free as f64 * mine / all).ceil() as usize).clamp(1, free.max(1))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(count: usize) -> Vec<QueueName> {
        (0..count).map(|n| QueueName::new(format!("q{n}")).expect("valid")).collect()
    }

    fn weighted(weights: &[u32]) -> Turns {
        let shares = names(weights.len()).into_iter().zip(weights.iter().copied());
        Turns::new(&QueueSet::weighted(shares).expect("valid"))
    }

    /// Carries out a claim on queues with so many jobs, as a store does; returns what each queue gave.
    fn claim(turns: &mut Turns, jobs: &mut [usize], free: usize) -> Vec<usize> {
        let turn = turns.next(free);
        assert!((1..=free).contains(&turn.limit));
        let mut given = vec![0; jobs.len()];
        let mut open = turn.limit;
        let mut counts = Vec::new();
        for queue in &turn.queues {
            let at = turns.names.iter().position(|name| name == queue).expect("one of them");
            let got = jobs[at].min(open);
            (jobs[at], open, given[at]) = (jobs[at] - got, open - got, got);
            counts.push(got);
        }
        turns.count(&turn, &counts);
        given
    }

    #[test]
    fn an_ordered_set_is_asked_in_its_order_for_all_there_is() {
        let mut turns = Turns::new(&QueueSet::ordered(names(2)).expect("valid"));
        let mut jobs = [30, 30];
        assert_eq!(claim(&mut turns, &mut jobs, 20), [20, 0]);
        assert_eq!(claim(&mut turns, &mut jobs, 20), [10, 10]);
        assert_eq!(turns.next(20).queues, names(2));
    }

    #[test]
    fn one_by_one_the_turns_are_mixed_by_weight() {
        let (mut turns, mut jobs) = (weighted(&[3, 1]), [100, 100]);
        let order: Vec<usize> = (0..8).map(|_| claim(&mut turns, &mut jobs, 1)[1]).collect();
        assert_eq!(order.iter().sum::<usize>(), 2);
        assert!(!order.windows(2).any(|pair| pair == [1, 1]), "never twice in a row: {order:?}");
    }

    #[test]
    fn a_large_claim_is_not_all_of_one_queue() {
        let (mut turns, mut jobs) = (weighted(&[4, 1]), [10_000, 10_000]);
        // Until each has been asked once, nobody knows that there is more.
        for _ in 0..4 {
            claim(&mut turns, &mut jobs, 250);
        }
        for _ in 0..8 {
            let given = claim(&mut turns, &mut jobs, 250);
            assert!(given[1] <= 50 && given[0] <= 200, "{given:?}");
        }
    }

    #[test]
    fn who_was_idle_has_saved_nothing_up() {
        let (mut turns, mut jobs) = (weighted(&[1, 1]), [100_000, 0]);
        for _ in 0..50 {
            assert_eq!(claim(&mut turns, &mut jobs, 100)[0], 100, "a queue without work costs the other nothing");
        }
        jobs[1] = 100_000;
        let given: Vec<Vec<usize>> = (0..100).map(|_| claim(&mut turns, &mut jobs, 10)).collect();
        let [first, second] = [0, 1].map(|at| given.iter().map(|counts| counts[at]).sum::<usize>());
        assert!(first.abs_diff(second) <= 110, "{first} and {second}: no further apart than one claim");
    }

    proptest! {
        #[test]
        fn each_gets_its_share_of_the_jobs(
            weights in prop::collection::vec(1u32..20, 1..6), frees in prop::collection::vec(1usize..=250, 1..8),
        ) {
            let (mut turns, mut given) = (weighted(&weights), vec![0; weights.len()]);
            let mut jobs = vec![usize::MAX; weights.len()];
            let mut total = 0;
            while total < 40_000 {
                for free in &frees {
                    for (sum, got) in given.iter_mut().zip(claim(&mut turns, &mut jobs, *free)) {
                        *sum += got;
                        total += got;
                    }
                }
            }
            let all: u32 = weights.iter().sum();
            for (got, weight) in given.iter().zip(&weights) {
                let share = total as f64 * f64::from(*weight) / f64::from(all);
                // Never further off than the first claims, which were made before it was known who has work.
                prop_assert!((*got as f64 - share).abs() <= 600.0, "{} of {}, not {}", got, total, share);
            }
        }

        #[test]
        fn every_job_comes_out_whatever_has_work(
            weights in prop::collection::vec(1u32..1000, 1..6), seeds in prop::collection::vec(0usize..500, 6), free in 1usize..100,
        ) {
            let (mut turns, mut jobs) = (weighted(&weights), seeds[..weights.len()].to_vec());
            let mut left: usize = jobs.iter().sum();
            while left > 0 {
                let given: usize = claim(&mut turns, &mut jobs, free).iter().sum();
                prop_assert!(given > 0, "a claim came back empty while {} jobs waited", left);
                left -= given;
            }
        }
    }
}
