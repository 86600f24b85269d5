//! Getting work: claim, or wait for something to claim, or rest after a failure; one of them at a time.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
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
    pub slot: Option<BoxFuture<'static, Fed>>,
    queue: Arc<dyn Queue>,
    pace: Pace,
    turns: Turns,
    next: Step,
    claiming: bool,
    failures: u32,
    woken_early: bool,
    vain: u32,
    /// Until then nothing is to be found unless somebody wakes this worker.
    quiet_until: Instant,
}

impl Feeding {
    pub(super) fn new(queue: Arc<dyn Queue>, queues: &QueueSet, pace: Pace) -> Self {
        Self {
            slot: None,
            queue,
            pace,
            turns: Turns::new(queues),
            next: Step::Claim,
            claiming: false,
            failures: 0,
            woken_early: false,
            vain: 0,
            quiet_until: Instant::now(),
        }
    }

    /// Says whether a claim is under way, whose answer may bring jobs.
    pub(super) fn is_claiming(&self) -> bool {
        self.claiming && self.slot.is_some()
    }

    /// Does the next step for a registered life that can take so many jobs.
    pub(super) fn start(&mut self, life: &Arc<Life>, free: impl FnOnce() -> usize) {
        if self.slot.is_some() {
            return;
        }
        let free = free();
        if free == 0 && self.next == Step::Claim {
            return;
        }
        let (queue, patience) = (Arc::clone(&self.queue), self.pace.patience);
        self.claiming = self.next == Step::Claim;
        self.slot = Some(match self.next {
            Step::Claim => claim(queue, Arc::clone(life), self.turns.next(free.min(LARGEST_CLAIM)), patience).boxed(),
            Step::Wait(limit) => {
                let mut turn = self.turns.next(free.min(LARGEST_CLAIM));
                turn.limit = turn.limit.min(free); // of none there is only to wait
                wait(queue, Arc::clone(life), turn, limit, patience).boxed()
            }
            Step::Rest(pause) => sleep(pause).map(|()| Fed::Rested).boxed(),
        });
        self.next = Step::Claim;
    }

    /// Gives up what is under way.
    pub(super) fn stop(&mut self) {
        self.slot = None;
    }

    /// Notes a claim that was answered; "early" as its answer has it.
    pub(super) fn claimed(&mut self, turn: &Turn, claim: &Claim, early: Option<bool>) {
        self.failures = 0;
        self.woken_early = early.unwrap_or(self.woken_early);
        self.turns.took(turn, &claim.jobs);
        let got = claim.jobs.len();
        let in_vain = got == 0 && self.woken_early;
        self.vain = if in_vain { self.vain.saturating_add(1) } else { 0 };
        if got >= turn.limit {
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

    /// Notes that the store did not answer.
    pub(super) fn failed(&mut self) {
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
