//! Which lives the engine has and what is still out under each.
//!
//! A life is left behind when its lease is lost, and also when a call failed: the store may have handed out jobs in an answer
//! that never arrived, or have come back without the last ends that it was told, and a worker that goes on beating would keep
//! those jobs from everybody for ever. The old life gives back what
//! is not known to be out with its next beat, goes on until what is known has ended, and then leaves.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use foldhash::fast::RandomState;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::life::{Life, LifeNumber, Pulse};
use crate::id::{JobId, WorkerId};
use crate::queue::WorkerInfo;

pub(super) struct Lives {
    pulse: Pulse,
    /// What all lives have in common.
    likeness: WorkerInfo,
    current: LifeNumber,
    registered: bool,
    standing: HashMap<LifeNumber, Standing, RandomState>,
    /// Lives that are over, on their way out.
    leaving: Vec<AbortOnDropHandle<()>>,
}

struct Standing {
    life: Arc<Life>,
    /// Jobs claimed under it of which the store has not heard yet, and how often each: one that was handed back may come again.
    out: HashMap<JobId, usize, RandomState>,
    keeper: AbortOnDropHandle<()>,
}

impl Lives {
    pub(super) fn new(pulse: Pulse, likeness: WorkerInfo) -> Self {
        let (standing, leaving) = (HashMap::default(), Vec::new());
        let mut lives = Self { pulse, likeness, current: 0, registered: false, standing, leaving };
        lives.renew();
        lives
    }

    /// Begins a new life; the present one ends as soon as nothing of it is out.
    pub(super) fn renew(&mut self) {
        let old = self.current;
        self.current += 1;
        self.registered = false;
        let life = Arc::new(Life {
            number: self.current,
            info: WorkerInfo { id: WorkerId::new(), ..self.likeness.clone() },
            lost: Arc::default(),
            busy: AtomicBool::new(false),
            done: CancellationToken::new(),
            known: OnceLock::new(),
        });
        let keeper = AbortOnDropHandle::new(self.pulse.keep(Arc::clone(&life)));
        self.standing.insert(self.current, Standing { life, out: HashMap::default(), keeper });
        self.settle_known(old);
        self.forget_if_done(old);
    }

    /// Lets the present life give back, with its next beat, what is not known to be out.
    pub(super) fn take_no_more(&self) {
        self.settle_known(self.current);
    }

    fn settle_known(&self, number: LifeNumber) {
        if let Some(Standing { life, out, .. }) = self.standing.get(&number) {
            life.known.get_or_init(|| out.keys().copied().collect());
        }
    }

    /// Returns the present life, if the store has registered it.
    pub(super) fn registered(&self) -> Option<&Arc<Life>> {
        self.standing.get(&self.current).filter(|_| self.registered).map(|standing| &standing.life)
    }

    pub(super) fn has_registered(&mut self, number: LifeNumber) {
        self.registered |= number == self.current;
    }

    /// Notes a lost lease. `true` if it was the present life's and not known before: then a new one has begun.
    pub(super) fn lose(&mut self, number: LifeNumber) -> bool {
        if let Some(standing) = self.standing.get(&number) {
            standing.life.lost.cancel();
        }
        let present = number == self.current;
        if present {
            self.renew();
        } else {
            self.forget_if_done(number);
        }
        present
    }

    /// Returns a life under which jobs are out, unless its lease is lost.
    pub(super) fn valid(&self, number: LifeNumber) -> Option<&Arc<Life>> {
        self.standing.get(&number).map(|standing| &standing.life).filter(|life| !life.lost.is_cancelled())
    }

    /// Returns the lives under which jobs are out.
    pub(super) fn with_jobs(&self) -> Vec<Arc<Life>> {
        self.standing
            .values()
            .filter(|standing| !standing.out.is_empty())
            .map(|standing| Arc::clone(&standing.life))
            .collect()
    }

    /// Notes that jobs are out.
    pub(super) fn charge(&mut self, number: LifeNumber, jobs: impl IntoIterator<Item = JobId>) {
        if let Some(standing) = self.standing.get_mut(&number) {
            for job in jobs {
                *standing.out.entry(job).or_default() += 1;
            }
            standing.life.busy.store(!standing.out.is_empty(), Ordering::Relaxed);
        }
    }

    /// Notes that the store has heard of a job, or never will.
    pub(super) fn discharge(&mut self, number: LifeNumber, job: JobId) {
        if let Some(standing) = self.standing.get_mut(&number)
            && let Entry::Occupied(mut times) = standing.out.entry(job)
        {
            *times.get_mut() -= 1;
            if *times.get() == 0 {
                times.remove();
            }
            standing.life.busy.store(!standing.out.is_empty(), Ordering::Relaxed);
        }
        self.forget_if_done(number);
    }

    /// Leaves with all lives, whatever is out; what does not answer in time is left to the end of its lease.
    pub(super) async fn end(self, within: Duration) {
        for standing in self.standing.values() {
            standing.life.done.cancel();
        }
        let standing = self.standing.into_values().map(|standing| standing.keeper);
        let leaving = futures_util::future::join_all(self.leaving.into_iter().chain(standing));
        // A keeper that broke or is late changes nothing: the leases run out by themselves.
        let _ = tokio::time::timeout(within, leaving).await;
    }

    fn forget_if_done(&mut self, number: LifeNumber) {
        let done = |standing: &Standing| standing.out.is_empty() && number != self.current;
        if self.standing.get(&number).is_some_and(done)
            && let Some(Standing { life, keeper, .. }) = self.standing.remove(&number)
        {
            life.done.cancel();
            self.leaving.retain(|keeper| !keeper.is_finished());
            self.leaving.push(keeper);
        }
    }
}
