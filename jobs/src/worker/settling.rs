//! Outcomes on their way to the store: kept until it has taken them, told in batches that size themselves.
//!
//! One batch is under way at a time; what ends meanwhile is the next one.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::time::{sleep, timeout};

use super::config::Pace;
use super::figures::timed;
use super::life::LifeNumber;
use super::outage::{Failure, Outage};
use super::telling::hand_over;
use crate::queue::{Queue, Report, Settled, Settlement};

const LARGEST_BATCH: usize = 500;

/// How long to wait before an outcome is told again to a part of the store that did not answer; others that come meanwhile wait as
/// long.
const PARKED: Duration = Duration::from_millis(100);

/// An outcome and the life under which its job was claimed.
pub(super) type Owed = (LifeNumber, Settlement);

/// The end of one try to tell a batch.
pub(super) struct Flushed {
    pub batch: Vec<Owed>,
    /// What the jobs have told last and the store has not taken.
    pub rests: Vec<Report>,
    pub answer: Result<Vec<Settled>, Failure>,
}

pub(super) struct Settling {
    pub slot: Option<BoxFuture<'static, Flushed>>,
    queue: Arc<dyn Queue>,
    outage: Arc<Outage>,
    pace: Pace,
    owed: VecDeque<Owed>,
    /// What owed jobs have told last. It is told before any batch, so before the ends of its jobs, behind which nobody hears it.
    rests: Vec<Report>,
    /// What a part of the store did not answer while others did.
    parked: VecDeque<Owed>,
    in_flight: usize,
    batch_limit: usize,
    failures: u32,
}

impl Settling {
    pub(super) fn new(queue: Arc<dyn Queue>, outage: Arc<Outage>, pace: Pace) -> Self {
        Self {
            slot: None,
            queue,
            outage,
            pace,
            owed: VecDeque::new(),
            rests: Vec::new(),
            parked: VecDeque::new(),
            in_flight: 0,
            batch_limit: LARGEST_BATCH,
            failures: 0,
        }
    }

    /// Takes an outcome, and what its job has told last.
    pub(super) fn push(&mut self, owed: Owed, rest: Option<Report>) {
        self.rests.extend(rest);
        self.owed.push_back(owed);
    }

    /// Returns how many outcomes the store has not taken yet.
    pub(super) fn len(&self) -> usize {
        self.owed.len() + self.parked.len() + self.in_flight
    }

    /// Keeps an outcome whose part of the store is away until there is nothing else to tell, so that it delays no other.
    pub(super) fn park(&mut self, owed: Owed) {
        self.parked.push_back(owed);
    }

    /// Sends the next batch, if there is one and none is under way.
    pub(super) fn start(&mut self) {
        if self.slot.is_some() {
            return;
        }
        let again = self.owed.is_empty();
        let next = if again { &mut self.parked } else { &mut self.owed };
        let batch: Vec<Owed> = next.drain(..next.len().min(self.batch_limit)).collect();
        if batch.is_empty() {
            return;
        }
        self.in_flight = batch.len();
        let pause = match self.failures {
            0 if again => PARKED,
            0 => Duration::ZERO,
            failures => Duration::from_millis(self.pace.backoff.delay_ms(failures, rand::random())),
        };
        let rests = std::mem::take(&mut self.rests);
        let (queue, outage) = (Arc::clone(&self.queue), Arc::clone(&self.outage));
        self.slot = Some(flush(queue, outage, (batch, rests), pause, self.pace.patience).boxed());
    }

    /// Notes that a batch was taken, but for reports that were not answered: they are told again before the next one.
    pub(super) fn taken(&mut self, rests: Vec<Report>) {
        self.rests.splice(0..0, rests);
        self.in_flight = 0;
        self.failures = 0;
        self.batch_limit = (self.batch_limit * 2).min(LARGEST_BATCH);
    }

    /// Keeps a batch that was not taken, for the next try.
    pub(super) fn refused(&mut self, batch: Vec<Owed>, rests: Vec<Report>, failure: &Failure) {
        self.in_flight = 0;
        self.rests.splice(0..0, rests);
        self.failures = self.failures.saturating_add(1);
        if failure.may_be_ours() && batch.len() == 1 {
            // One that the store does not want must not stand in the way of the others.
            self.owed.extend(batch);
            return;
        }
        if failure.may_be_ours() {
            self.batch_limit = (batch.len() / 2).max(1);
        }
        for owed in batch.into_iter().rev() {
            self.owed.push_front(owed);
        }
    }
}

async fn flush(
    queue: Arc<dyn Queue>,
    outage: Arc<Outage>,
    (batch, rests): (Vec<Owed>, Vec<Report>),
    pause: Duration,
    patience: Duration,
) -> Flushed {
    if !pause.is_zero() {
        sleep(pause).await;
    }
    let rests = match hand_over(&*queue, &outage, &rests, patience).await {
        Ok(unanswered) => unanswered.into_iter().map(|place| rests[place].clone()).collect(),
        Err(failure) => return Flushed { batch, rests, answer: Err(failure) },
    };
    let (lives, settlements): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
    let answer = match timed("settle", timeout(patience, queue.settle(&settlements))).await {
        Ok(answer) => answer.map_err(Failure::from),
        Err(silence) => Err(silence.into()),
    };
    Flushed { batch: lives.into_iter().zip(settlements).collect(), rests, answer }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{JobId, QueueName};
    use crate::queue::{Error, Lease, Verdict};
    use crate::worker::tests::double::Memory;

    fn owed() -> Owed {
        let lease = Lease("lease".into());
        (1, Settlement { id: JobId::new(), queue: QueueName::default(), lease, verdict: Verdict::Succeeded })
    }

    fn refusal() -> Failure {
        Failure::Store(Error::Refused { store: "memory".to_owned(), message: "no".to_owned() })
    }

    async fn batch_of(settling: &mut Settling) -> Vec<Owed> {
        settling.start();
        let flushed = settling.slot.take().expect("started").await;
        flushed.batch
    }

    #[tokio::test]
    async fn what_a_part_of_the_store_did_not_answer_is_kept_and_delays_no_other() {
        let mut settling = Settling::new(Memory::new(), Arc::default(), Pace::default());
        settling.push(owed(), None);
        let mut batch = batch_of(&mut settling).await;
        settling.taken(Vec::new());
        let parked = batch.remove(0);
        let id = parked.1.id;
        settling.park(parked);
        settling.push(owed(), None);
        assert_eq!(settling.len(), 2, "a worker that stops waits for both");
        let batch = batch_of(&mut settling).await;
        assert!(batch.len() == 1 && batch[0].1.id != id, "the other comes first");
        settling.taken(Vec::new());
        assert_eq!(batch_of(&mut settling).await[0].1.id, id);
    }

    #[tokio::test]
    async fn what_the_store_refuses_is_isolated_and_kept() {
        let pace = Pace { backoff: crate::retry::Backoff::exactly(0), ..Pace::default() };
        let mut settling = Settling::new(Memory::new(), Arc::default(), pace);
        let jobs: Vec<Owed> = (0..3).map(|_| owed()).collect();
        let first = jobs[0].1.id;
        for job in jobs {
            settling.push(job, None);
        }
        let batch = batch_of(&mut settling).await;
        assert_eq!(batch.len(), 3);
        settling.refused(batch, Vec::new(), &refusal());
        let batch = batch_of(&mut settling).await;
        assert_eq!((batch.len(), batch[0].1.id), (1, first), "halved, in order");
        settling.refused(batch, Vec::new(), &refusal());
        let batch = batch_of(&mut settling).await;
        assert_ne!(batch[0].1.id, first, "the others come first");
        settling.taken(Vec::new());
        assert_eq!(settling.len(), 2, "nothing is lost");
    }
}
