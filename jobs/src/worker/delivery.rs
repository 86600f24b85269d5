//! A claimed job on its way to a handler, and the way back.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::id::{JobId, QueueName};
use crate::queue::{History, Verdict};
use crate::teller::Teller;
use crate::verdict::Cause;

/// Numbers the deliveries of one worker process; no two are the same, even if they are of the same job.
pub(super) type Number = u64;

/// The end of one delivery.
#[derive(Debug)]
pub(super) struct Report {
    pub number: Number,
    pub verdict: Verdict,
}

/// The duty to report one delivery, exactly once: dropped unused, it reports a hand-back.
#[derive(Debug)]
pub(super) struct Ticket {
    number: Number,
    reports: Option<mpsc::UnboundedSender<Report>>,
}

impl Ticket {
    pub(super) fn new(number: Number, reports: mpsc::UnboundedSender<Report>) -> Self {
        Self { number, reports: Some(reports) }
    }

    pub(super) fn report(mut self, verdict: Verdict) {
        self.send(verdict);
    }

    fn send(&mut self, verdict: Verdict) {
        if let Some(reports) = self.reports.take() {
            // Nobody listens only after the engine has ended, and then the store has been told to take everything back.
            let _ = reports.send(Report { number: self.number, verdict });
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.send(Verdict::HandBack);
    }
}

/// The string by which a handler is asked to stop.
#[derive(Debug)]
pub(super) struct Rein {
    token: CancellationToken,
    lost: CancellationToken,
    cause: OnceLock<Cause>,
}

impl Rein {
    /// Makes one that is also pulled when the lease is `lost`.
    pub(super) fn new(lost: &CancellationToken) -> Self {
        Self { token: lost.child_token(), lost: lost.clone(), cause: OnceLock::new() }
    }

    /// Asks to stop; the first cause counts.
    pub(super) fn pull(&self, cause: Cause) {
        self.cause.get_or_init(|| cause);
        self.token.cancel();
    }

    /// Returns what the handler sees.
    pub(super) fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// Returns why it was pulled. A handler that cancels its own token has asked for it.
    pub(super) fn cause(&self) -> Option<Cause> {
        if !self.token.is_cancelled() {
            return None;
        }
        if self.lost.is_cancelled() {
            return Some(Cause::Lost);
        }
        Some(self.cause.get().copied().unwrap_or(Cause::Asked))
    }
}

/// A claimed job, ready to run.
#[derive(Debug)]
pub(super) struct Delivery {
    pub id: JobId,
    pub queue: QueueName,
    pub payload: Bytes,
    pub history: History,
    pub claimed_at_ms: i64,
    pub rein: Arc<Rein>,
    pub teller: Teller,
    pub ticket: Ticket,
}

/// Where deliveries wait until the shell takes them. The engine can take back what has not been taken.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    waiting: Mutex<VecDeque<Delivery>>,
    waker: AtomicWaker,
}

impl Inbox {
    pub(super) fn put(&self, deliveries: impl IntoIterator<Item = Delivery>) {
        self.lock().extend(deliveries);
        self.waker.wake();
    }

    pub(super) fn poll_take(&self, cx: &mut Context<'_>) -> Poll<Delivery> {
        if let Some(delivery) = self.lock().pop_front() {
            return Poll::Ready(delivery);
        }
        self.waker.register(cx.waker());
        // What was put between the look and the registration woke nobody.
        self.lock().pop_front().map_or(Poll::Pending, Poll::Ready)
    }

    pub(super) fn take_all(&self) -> VecDeque<Delivery> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Delivery>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_reports_exactly_once() {
        let (sender, mut reports) = mpsc::unbounded_channel();
        Ticket::new(1, sender.clone()).report(Verdict::Succeeded);
        drop(Ticket::new(2, sender));
        let first = reports.try_recv().expect("reported");
        assert_eq!((first.number, first.verdict), (1, Verdict::Succeeded));
        let second = reports.try_recv().expect("dropped");
        assert_eq!((second.number, second.verdict), (2, Verdict::HandBack));
        assert!(reports.try_recv().is_err());
    }

    #[test]
    fn a_lost_lease_outweighs_every_other_cause() {
        let lost = CancellationToken::new();
        let rein = Rein::new(&lost);
        assert_eq!(rein.cause(), None);
        rein.pull(Cause::Asked);
        rein.pull(Cause::Stopping);
        assert_eq!(rein.cause(), Some(Cause::Asked));
        lost.cancel();
        assert_eq!(rein.cause(), Some(Cause::Lost));
    }
}
