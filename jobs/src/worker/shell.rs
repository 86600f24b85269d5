//! The shell around the attempts: the only file that knows apalis.
//!
//! Its worker takes deliveries from the [`Inbox`], all that may run at once together, and calls the attempts. The backend never
//! fails, because apalis ends a worker at the first error of its backend.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use apalis_core::backend::finalize::Ephemeral;
use apalis_core::backend::{Backend, BackendConfig};
use apalis_core::task::Task;
use apalis_core::worker::builder::WorkerBuilder;
use apalis_core::worker::context::WorkerContext;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::runtime::Handle;
use tokio_util::sync::ReusableBoxFuture;
use tokio_util::task::AbortOnDropHandle;
use tower::Service;
use tower::layer::util::Identity;

use super::attempt::Attempts;
use super::delivery::{Inbox, Taken, Ticket, Tray};
use crate::queue::Verdict;

/// A first poll that takes longer shows handlers that compute before they wait.
const SLOW_POLL: Duration = Duration::from_millis(5);

/// So many handlers after a slow one get a task of their own at once.
const WARY_FOR: u32 = 1_000;

/// For so long attempts are begun in place before others get their turn.
const IN_PLACE: Duration = Duration::from_millis(1);

/// The running worker of apalis; dropped, it takes all handlers with it.
pub(super) struct Shell {
    context: WorkerContext,
    task: AbortOnDropHandle<Result<(), apalis_core::error::WorkerError>>,
}

impl Shell {
    /// Starts one. Handlers run on the threads of `runtime`.
    pub(super) fn start(name: &str, runtime: &Handle, inbox: Arc<Inbox>, attempts: Arc<Attempts>) -> Self {
        let context = WorkerContext::new(name);
        let worker =
            WorkerBuilder::new(&context).backend(Source { inbox }).build(Handlers { attempts, wary: Arc::default() });
        Self { context, task: AbortOnDropHandle::new(runtime.spawn(worker.run())) }
    }

    /// Lets running handlers finish and takes no more.
    pub(super) fn stop(&self) {
        // It refuses only if it was never polled; then there is nothing to finish, and the drop ends it.
        let _ = self.context.stop();
    }

    /// Returns when the worker of apalis has ended, with the reason if it was not asked to.
    pub(super) async fn ended(&mut self) -> Result<(), String> {
        match (&mut self.task).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }
}

struct Source {
    inbox: Arc<Inbox>,
}

impl Backend for Source {
    type Task = Task<Taken>;
    type Error = Infallible;

    fn poll_ready(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn poll_next(&mut self, cx: &mut Context<'_>, _: &WorkerContext) -> Poll<Option<Result<Task<Taken>, Infallible>>> {
        self.inbox.poll_take(cx).map(|taken| Some(Ok(Task::new(taken))))
    }

    fn poll_close(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        // The engine knows what is out and hands it back; apalis comes here only after the last running handler.
        Poll::Ready(Ok(()))
    }
}

impl BackendConfig for Source {
    type Args = Taken;
    type Id = ();
    type Kind = Ephemeral;
    type Config = ();
    type Layer = Identity;

    fn config(&self) -> &() {
        &()
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> Identity {
        Identity::new()
    }
}

/// The innermost service: some attempts per call.
struct Handlers {
    attempts: Arc<Attempts>,
    /// So many more handlers get a task of their own at once.
    wary: Arc<AtomicU32>,
}

impl Service<Task<Taken>> for Handlers {
    type Response = ();
    type Error = Infallible;
    type Future = Begun;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, task: Task<Taken>) -> Begun {
        let (taken, _) = task.take();
        Begun {
            attempts: Arc::clone(&self.attempts),
            wary: Arc::clone(&self.wary),
            taken,
            tray: Tray::default(),
            room: None,
            spawned: FuturesUnordered::new(),
        }
    }
}

type Attempt = ReusableBoxFuture<'static, (Ticket, Verdict)>;

/// Attempts that were begun together. Each is polled once in place, which spares short handlers a task; one that waits gets a task of
/// its own, so that no handler's computing holds up its neighbours. After a first poll that took long, that is done without the
/// trial. Each attempt is reported exactly once, also if this is dropped unfinished: the tickets see to it.
struct Begun {
    attempts: Arc<Attempts>,
    wary: Arc<AtomicU32>,
    taken: Taken,
    tray: Tray,
    /// The memory of the last attempt that ended in place, for the next one.
    room: Option<Attempt>,
    spawned: FuturesUnordered<AbortOnDropHandle<()>>,
}

impl Begun {
    /// Begins what nobody has begun; `false` if there is more to begin than may be done in one go.
    fn begin(&mut self, cx: &mut Context<'_>) -> bool {
        let begun = Instant::now();
        let mut last = begun;
        while let Some(delivery) = self.taken.next() {
            let attempts = Arc::clone(&self.attempts);
            let attempt = async move { attempts.run(delivery).await };
            let mut attempt = match self.room.take() {
                Some(mut room) => {
                    room.set(attempt);
                    room
                }
                None => ReusableBoxFuture::new(attempt),
            };
            let wary = self.wary.load(Ordering::Relaxed);
            if wary > 0 {
                self.wary.store(wary - 1, Ordering::Relaxed);
                self.spawn(attempt);
                continue;
            }
            match attempt.poll(cx) {
                Poll::Ready((ticket, verdict)) => {
                    ticket.hand_in(verdict, &mut self.tray);
                    self.room = Some(attempt);
                }
                Poll::Pending => self.spawn(attempt),
            }
            let now = Instant::now();
            if now - last > SLOW_POLL {
                self.wary.store(WARY_FOR, Ordering::Relaxed);
            }
            if now - begun > IN_PLACE {
                return false;
            }
            last = now;
        }
        true
    }

    fn spawn(&self, attempt: Attempt) {
        self.spawned.push(AbortOnDropHandle::new(tokio::spawn(async move {
            let (ticket, verdict) = attempt.await;
            ticket.report(verdict);
        })));
    }
}

impl Future for Begun {
    type Output = Result<(), Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let begun = &mut *self;
        let all = begun.begin(cx);
        let ended = begun.tray.send();
        begun.taken.free(ended);
        if !all {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        while let Some(ended) = ready!(begun.spawned.poll_next_unpin(cx)) {
            // What the handler itself may do wrong is caught further inside; its ticket has reported.
            if let Err(error) = ended
                && error.is_panic()
            {
                tracing::error!(%error, "an attempt broke outside its handler");
            }
            begun.taken.free(1);
        }
        Poll::Ready(Ok(()))
    }
}
