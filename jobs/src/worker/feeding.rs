//! Getting work: claim, or wait for something to claim, or rest after a failure.
//!
//! One of them is done at a time; but while claims bring all that they ask for, a second one is under way behind the first, so that the
//! store works while the engine reads what it gave.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::time::{Instant, sleep, timeout};

use super::config::Pace;
use super::figures::timed;
use super::life::{Life, LifeNumber};
use super::outage::Failure;
use super::queue_set::QueueSet;
use super::turns::{Turn, Turns};
use crate::queue::{Claim, Queue};

/// More at once would only make the others wait: the next claim is under way while handlers work on this one.
const LARGEST_CLAIM: usize = 250;

/// So many vain wake-ups in a row are no accident.
const VAIN_LIMIT: u32 = 3;

const LONGEST_VAIN_REST_MS: u64 = 100;

/// What came of it.
pub(super) enum Fed {
    Asked { life: LifeNumber, turn: Turn, answer: Result<Answer, Failure> },
    Rested,
}

/// What the store said.
pub(super) enum Answer {
    /// Early, if it was waited for and came before the time was over.
    Claim { claim: Claim, early: Option<bool> },
    /// Nothing but that there may be something to claim.
    Wait { early: bool },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Claim,
    Wait(Duration),
    Rest(Duration),
}

pub(super) struct Feeding {
    under_way: FuturesUnordered<BoxFuture<'static, Fed>>,
    queue: Arc<dyn Queue>,
    pace: Pace,
    turns: Turns,
    next: Step,
    /// How many claims are under way, for which life, and how many jobs they ask for.
    claims: usize,
    life: LifeNumber,
    asked: usize,
    /// Whether the last claim got all it asked for.
    plenty: bool,
    failures: u32,
    woken_early: bool,
    vain: u32,
    /// Until then nothing is to be found unless somebody wakes this worker.
    quiet_until: Instant,
}

impl Feeding {
    pub(super) fn new(queue: Arc<dyn Queue>, queues: &QueueSet, pace: Pace) -> Self {
        Self {
            under_way: FuturesUnordered::new(),
            queue,
            pace,
            turns: Turns::new(queues),
            next: Step::Claim,
            claims: 0,
            life: 0,
            asked: 0,
            plenty: false,
            failures: 0,
            woken_early: false,
            vain: 0,
            quiet_until: Instant::now(),
        }
    }

    /// Says whether a claim is under way, whose answer may bring jobs.
    pub(super) fn is_claiming(&self) -> bool {
        self.claims > 0
    }

    /// Does the next step for a registered life that can take so many jobs more than it has. Without `certain`, nothing is begun
    /// behind a claim.
    pub(super) fn start(&mut self, life: &Arc<Life>, certain: bool, free: impl Fn() -> usize) {
        while let Some(free) = self.room(life.number, certain, &free) {
            let step = std::mem::replace(&mut self.next, Step::Claim);
            let (queue, life, patience) = (Arc::clone(&self.queue), Arc::clone(life), self.pace.patience);
            self.under_way.push(match step {
                Step::Claim => {
                    let turn = self.turns.next(free.min(LARGEST_CLAIM));
                    self.claims += 1;
                    self.life = life.number;
                    self.asked += turn.limit;
                    claim(queue, life, turn, patience).boxed()
                }
                Step::Wait(limit) => {
                    let mut turn = self.turns.next(free.min(LARGEST_CLAIM));
                    turn.limit = turn.limit.min(free); // of none there is only to wait
                    wait(queue, life, turn, limit, patience).boxed()
                }
                Step::Rest(pause) => sleep(pause).map(|()| Fed::Rested).boxed(),
            });
        }
    }

    /// Returns how many jobs the next step may bring; `None` if it is not to be done yet.
    fn room(&self, life: LifeNumber, certain: bool, free: impl Fn() -> usize) -> Option<usize> {
        let claims = self.next == Step::Claim;
        let behind = !self.under_way.is_empty();
        // Two of different lives would not be given up together rightly: what one of them is told says nothing of the other.
        let alike = self.claims == 1 && self.life == life;
        if behind && !(claims && alike && self.plenty && certain) {
            return None;
        }
        // A small one behind a large one would cost more than it brings.
        let least = if behind { self.asked.div_ceil(2) } else { usize::from(claims) };
        Some(free().saturating_sub(self.asked)).filter(|free| *free >= least)
    }

    /// Returns what has come of a step, as soon as one has ended.
    pub(super) async fn ended(&mut self) -> Fed {
        let Some(fed) = self.under_way.next().await else { return std::future::pending().await };
        if let Fed::Asked { turn, .. } = &fed
            && self.claims > 0
        {
            self.claims -= 1;
            self.asked -= turn.limit;
        }
        fed
    }

    /// Gives up what is under way.
    pub(super) fn stop(&mut self) {
        self.under_way.clear();
        (self.claims, self.asked) = (0, 0);
    }

    /// Notes a claim that was answered; "early" as its answer has it.
    pub(super) fn claimed(&mut self, turn: &Turn, claim: &Claim, early: Option<bool>) {
        self.failures = 0;
        self.woken_early = early.unwrap_or(self.woken_early);
        self.turns.took(turn, &claim.jobs);
        let got = claim.jobs.len();
        let in_vain = got == 0 && self.woken_early;
        self.vain = if in_vain { self.vain.saturating_add(1) } else { 0 };
        self.plenty = got >= turn.limit;
        if self.plenty {
            self.next = Step::Claim;
            return;
        }
        let due = claim.next_due_ms.map_or(self.pace.look, Duration::from_millis);
        let quiet = due.clamp(Duration::from_millis(1), self.pace.look);
        self.quiet_until = Instant::now() + quiet;
        self.next = match self.vain.checked_sub(VAIN_LIMIT) {
            // A store that wakes for nothing, as for a paused queue, must not make the worker spin.
            Some(beyond) if beyond > 0 => Step::Rest(Duration::from_millis(
                1_u64.checked_shl(beyond).unwrap_or(u64::MAX).min(LONGEST_VAIN_REST_MS),
            )),
            _ => Step::Wait(quiet.min(self.pace.idle)),
        };
    }

    /// Notes a wait that was answered.
    pub(super) fn waited(&mut self, early: bool) {
        self.failures = 0;
        self.woken_early = early;
        let quiet = self.quiet_until.saturating_duration_since(Instant::now());
        if !early && !quiet.is_zero() {
            // A claim asks every queue; a wait asks once for all.
            self.next = Step::Wait(quiet.min(self.pace.idle));
        }
    }

    /// Notes that the store did not answer, and gives up what else was asked.
    pub(super) fn failed(&mut self) {
        self.stop();
        self.plenty = false;
        self.failures = self.failures.saturating_add(1);
        self.next = Step::Rest(Duration::from_millis(self.pace.backoff.delay_ms(self.failures, rand::random())));
    }
}

async fn claim(queue: Arc<dyn Queue>, life: Arc<Life>, turn: Turn, patience: Duration) -> Fed {
    let answer = match timed("claim", timeout(patience, queue.claim(life.info.id, &turn.queues, turn.limit))).await {
        Ok(answer) => answer.map(|claim| Answer::Claim { claim, early: None }).map_err(Failure::from),
        Err(silence) => Err(silence.into()),
    };
    Fed::Asked { life: life.number, turn, answer }
}

async fn wait(queue: Arc<dyn Queue>, life: Arc<Life>, turn: Turn, limit: Duration, patience: Duration) -> Fed {
    let until = Instant::now() + limit;
    let call = queue.wait_and_claim(life.info.id, &turn.queues, turn.limit, limit);
    let answer = timeout(limit + patience, call).await;
    let early = Instant::now() < until;
    let answer = match answer {
        Ok(Ok(Some(claim))) => Ok(Answer::Claim { claim, early: Some(early) }),
        Ok(Ok(None)) => Ok(Answer::Wait { early }),
        Ok(Err(error)) => Err(error.into()),
        Err(silence) => Err(silence.into()),
    };
    Fed::Asked { life: life.number, turn, answer }
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;
    use std::sync::atomic::AtomicBool;

    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::id::{QueueName, WorkerId};
    use crate::queue::WorkerInfo;
    use crate::worker::tests::double::Memory;

    fn life(number: LifeNumber) -> Arc<Life> {
        let queues = vec![QueueName::default()];
        let info = WorkerInfo { id: WorkerId::new(), name: "host:1".into(), queues, concurrency: 9, started_at_ms: 1 };
        let (lost, busy, done) = (Arc::default(), AtomicBool::new(false), CancellationToken::new());
        Arc::new(Life { number, info, lost, busy, done, known: OnceLock::new() })
    }

    #[test]
    fn a_claim_follows_another_of_its_life_if_there_is_plenty_and_room_and_no_doubt() {
        for (plenty, number, certain, free, claims) in [
            (true, 1, true, 375, 2),
            (true, 1, true, 10_000, 2),
            (true, 1, true, 374, 1),
            (false, 1, true, 600, 1),
            (true, 2, true, 600, 1),
            (true, 1, false, 600, 1),
        ] {
            let mut feeding = Feeding::new(Memory::new(), &QueueSet::default(), Pace::default());
            feeding.start(&life(1), true, || LARGEST_CLAIM);
            assert_eq!((feeding.claims, feeding.asked), (1, 250));
            feeding.plenty = plenty;
            feeding.start(&life(number), certain, || free);
            assert_eq!(feeding.claims, claims, "{plenty} {number} {certain} {free}");
        }
    }

    #[tokio::test]
    async fn a_claim_that_fails_takes_the_other_with_it() {
        let mut feeding = Feeding::new(Memory::new(), &QueueSet::default(), Pace::default());
        feeding.start(&life(1), true, || LARGEST_CLAIM);
        feeding.plenty = true;
        feeding.failed();
        assert_eq!((feeding.claims, feeding.asked, feeding.under_way.len()), (0, 0, 0));
        assert!(matches!(feeding.next, Step::Rest(_)), "{:?}", feeding.next);
        feeding.start(&life(1), true, || 600);
        feeding.start(&life(1), true, || 600);
        assert_eq!((feeding.claims, feeding.under_way.len()), (0, 1), "nothing behind the rest");
    }
}
