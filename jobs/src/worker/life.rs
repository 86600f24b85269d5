//! The lives of a worker: each registers, beats, and ends by leaving or by losing its lease.
//!
//! Beats are timed on a thread of their own, so that nothing a handler does can delay the decision that a lease is lost. The
//! calls themselves run on the runtime that drives the store's connections. A handler that blocks a thread delays them only
//! if it and its like block all threads of that runtime; [`Worker::on_runtime`](super::Worker::on_runtime) takes that away.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::AbortOnDropHandle;

use super::config::Pace;
use super::figures;
use super::health::HealthHandle;
use super::outage::{Call, Failure, Outage};
use super::queue_leases::QueueLeases;
use crate::cancellation::Lost;
use crate::id::{JobId, QueueName};
use crate::queue::{Beat, Queue, WorkerInfo};

/// So much later a lease has run out by every rounding.
const JUST_AFTER: Duration = Duration::from_millis(10);

/// Numbers the lives of one worker process.
pub(super) type LifeNumber = u32;

/// One registration at the store.
#[derive(Debug)]
pub(super) struct Life {
    pub number: LifeNumber,
    pub info: WorkerInfo,
    /// Fires when the lease is lost; every handler of this life sees it.
    pub lost: Arc<Lost>,
    /// Whether jobs of this life are out.
    pub busy: AtomicBool,
    /// Fires when nothing of this life is out any more and it may leave.
    pub done: CancellationToken,
    /// Set when the worker goes on under another life: what was known to be out then. The store is to take back the rest.
    pub known: OnceLock<Vec<JobId>>,
}

/// What the engine learns from a life.
#[derive(Debug, Clone)]
pub(super) enum News {
    Registered(LifeNumber),
    Lost(LifeNumber),
    /// The leases of some queues only.
    Parted(LifeNumber, Vec<QueueName>),
}

/// What keeping a life takes.
#[derive(Clone)]
pub(super) struct Care {
    pub queue: Arc<dyn Queue>,
    pub home: Handle,
    pub pace: Pace,
    pub health: HealthHandle,
    pub outage: Arc<Outage>,
    pub news: mpsc::UnboundedSender<News>,
}

/// The thread on which beats are timed; dropped, it ends.
pub(super) struct Pulse {
    clock: Handle,
    care: Care,
    _quit: DropGuard,
}

impl Pulse {
    pub(super) fn start(care: Care) -> Self {
        let quit = CancellationToken::new();
        let clock = clock_thread(quit.clone()).unwrap_or_else(|error| {
            tracing::warn!(%error, "cannot start a thread for beats: they share the threads of the store");
            care.home.clone()
        });
        Self { clock, care, _quit: quit.drop_guard() }
    }

    /// Registers a life and keeps it until it is done or lost. The returned task ends after it has left.
    pub(super) fn keep(&self, life: Arc<Life>) -> JoinHandle<()> {
        self.clock.spawn(keep(self.care.clone(), life))
    }
}

fn clock_thread(quit: CancellationToken) -> std::io::Result<Handle> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let handle = runtime.handle().clone();
    thread::Builder::new().name("deskhand-beats".to_owned()).spawn(move || runtime.block_on(quit.cancelled()))?;
    Ok(handle)
}

async fn keep(care: Care, life: Arc<Life>) {
    // Until when this life may believe itself alive: counted from before the beat was sent, which errs on the safe side.
    let mut alive_until: Option<Instant> = None;
    let mut failures = 0;
    let mut leases = QueueLeases::default();
    loop {
        let sent = Instant::now();
        let next = match care.beat(&life, alive_until).await {
            Ok(beat) if beat.lost => return care.lose(&life).await,
            Ok(beat) => {
                failures = 0;
                if alive_until.replace(sent + care.pace.lease).is_none() {
                    care.tell(News::Registered(life.number));
                }
                Care::hear(&beat);
                let parted = leases.note(&life.info.queues, &beat, sent, &care.pace);
                if parted.back {
                    care.outage.doubt();
                }
                if !parted.lost.is_empty() {
                    care.tell(News::Parted(life.number, parted.lost));
                }
                // With every beat: a claim that was given up may reach the store later than the first.
                if let Some(known) = life.known.get() {
                    care.relieve(&life, known).await;
                }
                sent + care.rest(&life, &beat)
            }
            Err(failure) => {
                care.outage.failed(Call::Beat, &failure);
                failures += 1;
                Instant::now() + care.pause(failures)
            }
        };
        tokio::select! {
            biased;
            () = life.lost.cancelled() => return,
            () = life.done.cancelled() => return care.leave(&life, alive_until).await,
            () = sleep_until(alive_until.map_or(next, |until| next.min(until))) => {}
        }
        if alive_until.is_some_and(|until| Instant::now() >= until) {
            return care.lose(&life).await;
        }
    }
}

impl Care {
    async fn beat(&self, life: &Arc<Life>, alive_until: Option<Instant>) -> Result<Beat, Failure> {
        let patience = alive_until.map_or(self.pace.patience, |until| until - Instant::now()).min(self.pace.patience);
        let (queue, life) = (Arc::clone(&self.queue), Arc::clone(life));
        let register = alive_until.is_none();
        // A future dropped with this task must not go on: a beat after a leave would bring the worker back.
        let call = AbortOnDropHandle::new(
            self.home.spawn(async move { figures::timed("beat", queue.beat(&life.info, register)).await }),
        );
        let beat = timeout(patience, call).await???;
        self.outage.answered(Call::Beat);
        self.health.beat();
        Ok(beat)
    }

    /// How long until the next beat: sooner if another worker would be dead by then, whose jobs are to be taken back.
    fn rest(&self, life: &Life, beat: &Beat) -> Duration {
        let wanted = life.busy.load(Ordering::Relaxed) || !beat.silent_queues.is_empty();
        let rest = if wanted { self.pace.beat } else { self.pace.idle_beat };
        let expiry = beat.next_expiry_ms.map(|ms| Duration::from_millis(ms) + JUST_AFTER);
        expiry.map_or(rest, |expiry| rest.min(expiry.max(self.pace.beat / 10)))
    }

    fn hear(beat: &Beat) {
        if beat.rescued > 0 {
            figures::rescued(beat.rescued);
            tracing::info!(jobs = beat.rescued, "took back jobs of workers that died");
        }
    }

    /// Gives back what the store believes to be out beside `known`.
    async fn relieve(&self, life: &Arc<Life>, known: &[JobId]) {
        let (queue, life, known) = (Arc::clone(&self.queue), Arc::clone(life), known.to_vec());
        let call = async move { queue.hand_back_others(life.info.id, &life.info.queues, &known).await };
        // No longer than until the next beat, which tries again.
        let _ = timeout(self.pace.beat, AbortOnDropHandle::new(self.home.spawn(call))).await;
    }

    async fn lose(&self, life: &Life) {
        life.lost.cancel();
        // A store that loses each life at once must not be asked for new ones without a pause.
        sleep(self.pause(3)).await;
        self.tell(News::Lost(life.number));
    }

    async fn leave(&self, life: &Life, alive_until: Option<Instant>) {
        // Once the lease has run out there is nothing to leave: the others take back what is left.
        let until = alive_until.unwrap_or_else(Instant::now);
        for failures in 1.. {
            let (queue, info) = (Arc::clone(&self.queue), life.info.clone());
            let call = self.home.spawn(async move { queue.leave(info.id, &info.queues).await });
            let left = async { Ok(timeout(self.pace.patience, AbortOnDropHandle::new(call)).await???) };
            let Err(failure) = left.await else { return self.outage.answered(Call::Beat) };
            self.outage.failed(Call::Beat, &failure);
            let pause = self.pause(failures);
            if Instant::now() + pause >= until {
                return;
            }
            sleep(pause).await;
        }
    }

    fn pause(&self, failures: u32) -> Duration {
        Duration::from_millis(self.pace.backoff.delay_ms(failures, rand::random())).min(self.pace.beat)
    }

    fn tell(&self, news: News) {
        // Nobody listens only when the worker has ended.
        let _ = self.news.send(news);
    }
}
