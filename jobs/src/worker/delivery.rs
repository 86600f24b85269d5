//! Claimed jobs on their way to a handler, and the way back.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use tokio::sync::mpsc;

use super::health::HealthHandle;
use crate::cancellation::Cancellation;
use crate::id::{JobId, QueueName};
use crate::queue::{History, Verdict};
use crate::teller::Teller;

/// How long a thread stays awake for deliveries that are about to come: somewhat longer than a store takes that is near. To wake it
/// only when they are here would cost them as much again.
const AWAKE: Duration = Duration::from_micros(300);

/// Numbers the deliveries of one worker process; no two are the same, even if they are of the same job.
pub(super) type Number = u64;

/// The end of one delivery.
#[derive(Debug)]
pub(super) struct Report {
    pub number: Number,
    pub verdict: Verdict,
}

/// Where reports go, those that are made together in one piece.
pub(super) type Reports = mpsc::UnboundedSender<Vec<Report>>;

/// The duty to report one delivery, exactly once: dropped unused, it reports a hand-back.
#[derive(Debug)]
pub(super) struct Ticket {
    number: Number,
    reports: Option<Arc<Reports>>,
}

impl Ticket {
    pub(super) fn new(number: Number, reports: Arc<Reports>) -> Self {
        Self { number, reports: Some(reports) }
    }

    pub(super) fn report(mut self, verdict: Verdict) {
        self.send(verdict);
    }

    /// Passes the duty on to whoever sends several reports at once.
    pub(super) fn hand_in(mut self, verdict: Verdict, tray: &mut Tray) {
        tray.sender = self.reports.take().or(tray.sender.take());
        tray.reports.push(Report { number: self.number, verdict });
    }

    fn send(&mut self, verdict: Verdict) {
        if let Some(reports) = self.reports.take() {
            // Nobody listens only after the engine has ended, and then the store has been told to take everything back.
            let _ = reports.send(vec![Report { number: self.number, verdict }]);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.send(Verdict::HandBack);
    }
}

/// Reports that are sent together, at the latest when it is dropped.
#[derive(Debug, Default)]
pub(super) struct Tray {
    reports: Vec<Report>,
    sender: Option<Arc<Reports>>,
}

impl Tray {
    /// Sends what was handed in; returns how many reports that were.
    pub(super) fn send(&mut self) -> usize {
        let reports = std::mem::take(&mut self.reports);
        let count = reports.len();
        if let Some(sender) = self.sender.take() {
            let _ = sender.send(reports);
        }
        count
    }
}

impl Drop for Tray {
    fn drop(&mut self) {
        self.send();
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
    pub cancellation: Cancellation,
    pub teller: Teller,
    pub ticket: Ticket,
}

/// Where deliveries wait until the shell takes them, no more than may run at once. The engine can take back what has not been taken.
#[derive(Debug)]
pub(super) struct Inbox {
    places: usize,
    health: HealthHandle,
    waiting: Mutex<Waiting>,
    waker: AtomicWaker,
}

#[derive(Debug)]
struct Waiting {
    deliveries: VecDeque<Delivery>,
    /// When the first of them came to be the first.
    since: Instant,
    /// Until then some are expected every moment.
    expected: Option<Instant>,
}

impl Inbox {
    pub(super) fn new(places: usize, health: HealthHandle) -> Self {
        let waiting = Waiting { deliveries: VecDeque::new(), since: Instant::now(), expected: None };
        Self { places, health, waiting: Mutex::new(waiting), waker: AtomicWaker::new() }
    }

    pub(super) fn put(&self, deliveries: impl IntoIterator<Item = Delivery>) {
        let mut waiting = self.lock();
        if waiting.deliveries.is_empty() {
            waiting.since = Instant::now();
        }
        waiting.deliveries.extend(deliveries);
        drop(waiting);
        self.waker.wake();
    }

    /// Wakes a thread for deliveries that are about to come, if nothing else keeps one awake.
    pub(super) fn expect(&self) {
        if self.health.running() == 0 {
            self.lock().expected = Some(Instant::now() + AWAKE);
            self.waker.wake();
        }
    }

    pub(super) fn poll_take(self: &Arc<Self>, cx: &mut Context<'_>) -> Poll<Taken> {
        loop {
            if let Some(taken) = self.take() {
                return Poll::Ready(taken);
            }
            if !self.is_expecting() {
                break;
            }
            std::thread::yield_now();
        }
        self.waker.register(cx.waker());
        // What was put between the look and the registration woke nobody.
        self.take().map_or(Poll::Pending, Poll::Ready)
    }

    fn is_expecting(&self) -> bool {
        let mut waiting = self.lock();
        waiting.expected = waiting.expected.filter(|until| Instant::now() < *until);
        waiting.expected.is_some()
    }

    fn take(self: &Arc<Self>) -> Option<Taken> {
        let mut waiting = self.lock();
        let count = waiting.deliveries.len().min(self.places.saturating_sub(self.health.running()));
        if count == 0 {
            return None;
        }
        self.health.enter(count);
        waiting.expected = None;
        waiting.since = Instant::now();
        let rest = waiting.deliveries.split_off(count);
        let deliveries = std::mem::replace(&mut waiting.deliveries, rest);
        Some(Taken { inbox: Arc::clone(self), deliveries, places: count })
    }

    pub(super) fn take_all(&self) -> VecDeque<Delivery> {
        std::mem::take(&mut self.lock().deliveries)
    }

    /// Takes back all if the first of them has been the first for so long.
    pub(super) fn take_stuck(&self, after: Duration) -> VecDeque<Delivery> {
        let mut waiting = self.lock();
        if waiting.since.elapsed() < after { VecDeque::new() } else { std::mem::take(&mut waiting.deliveries) }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Deliveries that were taken together, and the places that they have until they are given back or this is dropped.
#[derive(Debug)]
pub(super) struct Taken {
    inbox: Arc<Inbox>,
    deliveries: VecDeque<Delivery>,
    places: usize,
}

impl Taken {
    /// Returns the next delivery that nobody has begun.
    pub(super) fn next(&mut self) -> Option<Delivery> {
        self.deliveries.pop_front()
    }

    /// Gives places back to others.
    pub(super) fn free(&mut self, places: usize) {
        if places > 0 {
            self.places -= places;
            self.inbox.health.leave(places);
            self.inbox.waker.wake();
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.free(self.places);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn numbers(reports: &mut mpsc::UnboundedReceiver<Vec<Report>>) -> Vec<(Number, Verdict)> {
        let mut all = Vec::new();
        while let Ok(together) = reports.try_recv() {
            all.extend(together.into_iter().map(|report| (report.number, report.verdict)));
        }
        all
    }

    #[test]
    fn a_ticket_reports_exactly_once() {
        let (sender, mut reports) = mpsc::unbounded_channel();
        let sender = Arc::new(sender);
        Ticket::new(1, Arc::clone(&sender)).report(Verdict::Succeeded);
        drop(Ticket::new(2, Arc::clone(&sender)));
        let mut tray = Tray::default();
        Ticket::new(3, Arc::clone(&sender)).hand_in(Verdict::Succeeded, &mut tray);
        assert_eq!(numbers(&mut reports), [(1, Verdict::Succeeded), (2, Verdict::HandBack)]);
        assert_eq!(tray.send(), 1);
        Ticket::new(4, sender).hand_in(Verdict::Succeeded, &mut tray);
        drop(tray);
        assert_eq!(numbers(&mut reports), [(3, Verdict::Succeeded), (4, Verdict::Succeeded)]);
    }

    fn delivery(number: Number, sender: &Reports) -> Delivery {
        Delivery {
            id: JobId::new(),
            queue: QueueName::default(),
            payload: Bytes::new(),
            history: History::default(),
            claimed_at_ms: 0,
            cancellation: Cancellation::default(),
            teller: Teller::default(),
            ticket: Ticket::new(number, Arc::new(sender.clone())),
        }
    }

    #[test]
    fn no_more_is_taken_than_there_are_places() {
        let (sender, _reports) = mpsc::unbounded_channel();
        let inbox = Arc::new(Inbox::new(3, HealthHandle::new()));
        inbox.put((0..5).map(|number| delivery(number, &sender)));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let Poll::Ready(mut first) = inbox.poll_take(&mut cx) else { panic!("there are places") };
        assert_eq!((first.deliveries.len(), inbox.health.running()), (3, 3));
        assert!(inbox.poll_take(&mut cx).is_pending());
        first.free(1);
        let Poll::Ready(second) = inbox.poll_take(&mut cx) else { panic!("there is a place") };
        assert_eq!(second.deliveries.len(), 1);
        drop(first);
        assert_eq!(inbox.health.running(), 1, "what was dropped gives its places back");
        assert_eq!(inbox.take_all().len(), 1);
    }

    #[test]
    fn who_expects_deliveries_is_woken_at_once_and_waits_for_them_in_vain_for_a_moment_only() {
        let (sender, _reports) = mpsc::unbounded_channel();
        let inbox = Arc::new(Inbox::new(3, HealthHandle::new()));
        let waker = Arc::new(Count::default());
        let woken = std::task::Waker::from(Arc::clone(&waker));
        let mut cx = Context::from_waker(&woken);
        assert!(inbox.poll_take(&mut cx).is_pending());
        inbox.expect();
        assert_eq!(waker.0.load(Ordering::Relaxed), 1);
        assert!(inbox.poll_take(&mut cx).is_pending(), "nothing came");
        assert_eq!(inbox.lock().expected, None);
        inbox.put([delivery(1, &sender)]);
        assert_eq!(waker.0.load(Ordering::Relaxed), 2, "who has waited in vain is woken as ever");
        let Poll::Ready(running) = inbox.poll_take(&mut cx) else { panic!("it is there") };
        inbox.expect();
        assert_eq!(inbox.lock().expected, None, "what runs keeps a thread awake");
        drop(running);
    }

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl std::task::Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}
