//! The shell around the attempts: the only file that knows apalis.
//!
//! Its worker takes deliveries from the [`Inbox`] and calls the attempts; our layer, outside all others, says where each one
//! runs and reports its end. The backend never fails, because apalis ends a worker at the first error of its backend.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use apalis_core::backend::finalize::Ephemeral;
use apalis_core::backend::{Backend, BackendConfig};
use apalis_core::error::BoxDynError;
use apalis_core::task::Task;
use apalis_core::worker::builder::WorkerBuilder;
use apalis_core::worker::context::WorkerContext;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;
use tower::{Layer, Service};

use super::attempt::Attempts;
use super::delivery::{Delivery, Inbox, Ticket};
use crate::queue::Verdict;

/// A first poll that takes longer shows handlers that compute before they wait.
const SLOW_POLL: Duration = Duration::from_millis(5);

/// So many handlers after a slow one get a task of their own at once.
const WARY_FOR: u32 = 1_000;

/// The running worker of apalis; dropped, it takes all handlers with it.
pub(super) struct Shell {
    context: WorkerContext,
    task: AbortOnDropHandle<Result<(), apalis_core::error::WorkerError>>,
}

impl Shell {
    /// Starts one. Handlers run on the threads of `runtime`.
    pub(super) fn start(name: &str, runtime: &Handle, inbox: Arc<Inbox>, attempts: Arc<Attempts>) -> Self {
        let context = WorkerContext::new(name);
        let worker = WorkerBuilder::new(&context).backend(Source { inbox }).build(Handlers { attempts });
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
    type Task = Task<Delivery>;
    type Error = Infallible;

    fn poll_ready(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        _: &WorkerContext,
    ) -> Poll<Option<Result<Task<Delivery>, Infallible>>> {
        self.inbox.poll_take(cx).map(|delivery| Some(Ok(Task::new(delivery))))
    }

    fn poll_close(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        // The engine knows what is out and hands it back; apalis comes here only after the last running handler.
        Poll::Ready(Ok(()))
    }
}

impl BackendConfig for Source {
    type Args = Delivery;
    type Id = ();
    type Kind = Ephemeral;
    type Config = ();
    type Layer = Reporting;

    fn config(&self) -> &() {
        &()
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> Reporting {
        Reporting
    }
}

/// The innermost service: one attempt per call.
struct Handlers {
    attempts: Arc<Attempts>,
}

impl Service<Task<Delivery>> for Handlers {
    type Response = (Ticket, Verdict);
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<(Ticket, Verdict), Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, task: Task<Delivery>) -> Self::Future {
        let attempts = Arc::clone(&self.attempts);
        let (delivery, _) = task.take();
        async move { Ok(attempts.run(delivery).await) }.boxed()
    }
}

/// Wraps everything else: each attempt is reported exactly once, also if it is dropped unfinished.
struct Reporting;

impl<S> Layer<S> for Reporting {
    type Service = Reported<S>;

    fn layer(&self, inner: S) -> Reported<S> {
        Reported { inner, wary: Arc::default() }
    }
}

struct Reported<S> {
    inner: S,
    wary: Arc<AtomicU32>,
}

impl<S> Service<Task<Delivery>> for Reported<S>
where
    S: Service<Task<Delivery>, Response = (Ticket, Verdict), Error = BoxDynError>,
    S::Future: Send + 'static,
{
    type Response = ();
    type Error = BoxDynError;
    type Future = Placed;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxDynError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, task: Task<Delivery>) -> Placed {
        Placed::Fresh { work: Some(report(self.inner.call(task)).boxed()), wary: Arc::clone(&self.wary) }
    }
}

async fn report(attempt: impl Future<Output = Result<(Ticket, Verdict), BoxDynError>>) {
    // An error means that a layer between has dropped the attempt, and with it the ticket.
    if let Ok((ticket, verdict)) = attempt.await {
        ticket.report(verdict);
    }
}

/// Where an attempt runs. It is polled once in place, which spares short handlers a task; one that waits gets a task of its own,
/// so that no handler's computing holds up its neighbours. After a first poll that took long, that is done without the trial.
enum Placed {
    Fresh { work: Option<BoxFuture<'static, ()>>, wary: Arc<AtomicU32> },
    Spawned(AbortOnDropHandle<()>),
}

impl Future for Placed {
    type Output = Result<(), BoxDynError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let placed = &mut *self;
        if let Self::Fresh { work, wary } = placed {
            let mut work = work.take().expect("an attempt is polled for the first time once");
            let left = wary.load(Ordering::Relaxed);
            if left > 0 {
                wary.store(left - 1, Ordering::Relaxed);
            } else {
                let started = Instant::now();
                let polled = work.as_mut().poll(cx);
                if started.elapsed() > SLOW_POLL {
                    wary.store(WARY_FOR, Ordering::Relaxed);
                }
                if polled.is_ready() {
                    return Poll::Ready(Ok(()));
                }
            }
            *placed = Self::Spawned(AbortOnDropHandle::new(tokio::spawn(work)));
        }
        let Self::Spawned(task) = placed else { unreachable!("a fresh attempt was spawned above") };
        let ended = ready!(Pin::new(task).poll(cx));
        // What the handler itself may do wrong is caught further inside; its ticket has reported.
        if let Err(error) = ended
            && error.is_panic()
        {
            tracing::error!(%error, "an attempt broke outside its handler");
        }
        Poll::Ready(Ok(()))
    }
}
