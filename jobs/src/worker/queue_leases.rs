//! The leases of a life queue by queue, for stores of which a part may be away: a pure decision.

use std::collections::{HashMap, HashSet};

use tokio::time::Instant;

use super::config::Pace;
use crate::id::QueueName;
use crate::queue::Beat;

#[derive(Default)]
pub(super) struct QueueLeases {
    /// From when on the lease of each queue is counted, if there is one.
    renewed: HashMap<QueueName, Instant>,
    silent: HashSet<QueueName>,
}

/// What follows from a beat.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Parted {
    /// Queues whose leases are lost or will be before the next beat: jobs of these must be stopped.
    pub lost: Vec<QueueName>,
    /// Whether a part is back, which may have forgotten what it was told last.
    pub back: bool,
}

impl QueueLeases {
    /// Notes a beat that was sent at this time.
    pub(super) fn note(&mut self, queues: &[QueueName], beat: &Beat, sent: Instant, pace: &Pace) -> Parted {
        let mut parted = Parted { lost: beat.lost_queues.clone(), back: false };
        for queue in queues {
            if !beat.silent_queues.contains(queue) {
                parted.back |= self.silent.remove(queue);
                self.renewed.insert(queue.clone(), sent);
                continue;
            }
            self.silent.insert(queue.clone());
            // Rather a beat too early than too late: nobody may run a job that somebody else has taken.
            if self.renewed.get(queue).is_some_and(|renewed| *renewed + pace.lease <= sent + pace.beat) {
                self.renewed.remove(queue);
                parted.lost.push(queue.clone());
            }
        }
        parted
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn queue(name: &str) -> QueueName {
        QueueName::new(name).expect("a valid name")
    }

    #[test]
    fn a_queue_is_lost_once_before_its_lease_runs_out_and_then_comes_back() {
        let pace = Pace { beat: Duration::from_secs(3), lease: Duration::from_secs(12), ..Pace::default() };
        let queues = [queue("near"), queue("far")];
        let silent = Beat { silent_queues: vec![queue("far")], ..Beat::default() };
        let mut leases = QueueLeases::default();
        let start = Instant::now();
        let mut note = |beat: &Beat, at_s: u64| leases.note(&queues, beat, start + Duration::from_secs(at_s), &pace);

        assert_eq!(note(&silent, 0), Parted::default(), "there was no lease yet");
        assert_eq!(note(&Beat::default(), 3), Parted { lost: vec![], back: true });
        for at_s in [6, 9] {
            assert_eq!(note(&silent, at_s), Parted::default());
        }
        assert_eq!(note(&silent, 12), Parted { lost: vec![queue("far")], back: false }, "it runs out at 15 s");
        assert_eq!(note(&silent, 15), Parted::default());
        let forgotten = Beat { lost_queues: vec![queue("far")], ..Beat::default() };
        assert_eq!(note(&forgotten, 18), Parted { lost: vec![queue("far")], back: true });
        assert_eq!(note(&Beat::default(), 21), Parted::default());
    }
}
