//! The store is away: said once, and once when it is back, however many calls fail in between.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::outcome;
use crate::queue;

/// What a worker asks of its store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Beat = 1,
    Claim = 2,
    Settle = 4,
}

/// Why a call brought nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The store said so.
    #[error(transparent)]
    Store(#[from] queue::Error),
    /// It did not answer.
    #[error("the queue did not answer in time")]
    Silence(#[from] tokio::time::error::Elapsed),
    /// The call itself broke.
    #[error("the call to the queue broke")]
    Broken(#[from] tokio::task::JoinError),
}

impl Failure {
    /// Says whether the cause may lie in what was asked, so that asking for less is worth a try.
    pub(super) fn may_be_ours(&self) -> bool {
        matches!(self, Self::Store(queue::Error::Refused { .. } | queue::Error::Corrupt { .. }))
    }
}

/// Which calls fail at present. Shared by all that talk to the store, so that one outage is one line in the log.
#[derive(Debug, Default)]
pub(super) struct Outage {
    state: Mutex<State>,
    doubted: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    failing: u8,
    since: Option<Instant>,
}

impl Outage {
    /// Notes a failed call.
    pub(super) fn failed(&self, call: Call, failure: &Failure) {
        if !failure.may_be_ours() {
            self.doubt();
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.failing |= call as u8;
        if state.since.is_none() {
            state.since = Some(Instant::now());
            tracing::warn!(
                error = outcome::chain(failure),
                call = ?call,
                "the worker cannot reach its queue: it keeps what has ended and tries again until it can"
            );
        }
    }

    /// Notes that the store may not be the one it was: who comes back after a crash or takes over from another may have forgotten
    /// the last ends that it was told, and believe for ever that this worker has those jobs.
    pub(super) fn doubt(&self) {
        self.doubted.store(true, Ordering::Relaxed);
    }

    /// Says whether there is such a doubt.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.doubted.load(Ordering::Relaxed)
    }

    /// Says whether there is such a doubt, once.
    pub(super) fn take_doubt(&self) -> bool {
        self.doubted.swap(false, Ordering::Relaxed)
    }

    /// Notes a call that was answered.
    pub(super) fn answered(&self, call: Call) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.failing & call as u8 == 0 {
            return;
        }
        state.failing &= !(call as u8);
        if state.failing == 0
            && let Some(since) = state.since.take()
        {
            tracing::info!(away_ms = since.elapsed().as_millis() as u64, "the worker reaches its queue again");
        }
    }
}
