//! How an attempt is asked to stop.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

use crate::verdict::Cause;

/// Fires when the attempt is to stop: the job is cancelled, its time is up, or its lease is lost. Clones are of the same attempt.
///
/// The token in it is made when somebody asks for it, since most handlers end before anybody does. The default never fires by itself.
#[derive(Debug, Clone, Default)]
pub struct Cancellation(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    lost: Arc<Lost>,
    token: OnceLock<CancellationToken>,
    cause: OnceLock<Cause>,
}

impl Cancellation {
    /// Makes one that also fires when the lease is `lost`.
    pub(crate) fn below(lost: &Arc<Lost>) -> Self {
        Self(Arc::new(Inner { lost: Arc::clone(lost), ..Inner::default() }))
    }

    /// Returns the token itself, for what wants one.
    pub fn token(&self) -> &CancellationToken {
        self.0.token.get_or_init(|| self.0.lost.token.child_token())
    }

    /// Says whether the attempt is to stop.
    pub fn is_cancelled(&self) -> bool {
        self.0.token.get().map_or_else(|| self.0.lost.is_cancelled(), CancellationToken::is_cancelled)
    }

    /// Waits until the attempt is to stop.
    pub async fn cancelled(&self) {
        self.token().cancelled().await;
    }

    /// Asks to stop; the first cause counts.
    pub(crate) fn ask(&self, cause: Cause) {
        self.0.cause.get_or_init(|| cause);
        self.token().cancel();
    }

    /// Returns why it fired. A handler that cancels its own token has asked for it.
    pub(crate) fn cause(&self) -> Option<Cause> {
        if self.0.lost.is_cancelled() {
            return Some(Cause::Lost);
        }
        self.is_cancelled().then(|| self.0.cause.get().copied().unwrap_or(Cause::Asked))
    }
}

/// Fires when a worker has lost its lease. Each of its jobs asks twice, so that the question is a look at a flag; a token would be
/// locked for it. Aligned, so that the flag lies apart from the count of those who share it, which changes with each job: a thread
/// that reads what another one writes beside it waits for it.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Lost {
    flag: AtomicBool,
    token: CancellationToken,
}

impl Lost {
    /// Says whether it has fired.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.flag.load(Ordering::Acquire)
    }

    /// Waits until it fires.
    pub(crate) async fn cancelled(&self) {
        self.token.cancelled().await;
    }

    pub(crate) fn cancel(&self) {
        // The flag first: whoever is woken must find it set.
        self.flag.store(true, Ordering::Release);
        self.token.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_lease_outweighs_every_other_cause() {
        let lost: Arc<Lost> = Arc::default();
        let cancellation = Cancellation::below(&lost);
        assert_eq!(cancellation.cause(), None);
        cancellation.ask(Cause::Asked);
        cancellation.ask(Cause::Stopping);
        assert_eq!(cancellation.cause(), Some(Cause::Asked));
        lost.cancel();
        assert_eq!(cancellation.cause(), Some(Cause::Lost));
    }

    #[test]
    fn a_token_that_is_made_late_has_fired_already() {
        let lost: Arc<Lost> = Arc::default();
        let (early, late) = (Cancellation::below(&lost), Cancellation::below(&lost));
        let token = early.token().clone();
        lost.cancel();
        assert!(token.is_cancelled() && early.is_cancelled());
        assert!(late.is_cancelled() && late.token().is_cancelled());
    }
}
