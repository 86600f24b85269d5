//! One attempt: reads the job, finds its handler, bounds its run, and ends in a verdict whatever happens.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{Poll, ready};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::value::RawValue;
use tracing::field::Empty;
use tracing::level_filters::LevelFilter;
use tracing::{Level, Span};

use super::config::Pace;
use super::delivery::{Delivery, Ticket};
use super::figures;
use super::health::HealthHandle;
use crate::cancellation::Cancellation;
use crate::id::{JobId, Kind, QueueName};
use crate::job::{Order, Run};
use crate::options::Options;
use crate::outcome::{self, MAX_RESULT_BYTES, Outcome};
use crate::queue::{History, Verdict};
use crate::registry::{Found, Registry};
use crate::teller::Teller;
use crate::trace::TraceContext;
use crate::verdict::{Cause, Ending, Facts, size_bytes, verdict};

/// What all attempts of a worker share.
pub(super) struct Attempts {
    pub registry: Registry,
    pub health: HealthHandle,
    pub pace: Pace,
}

impl Attempts {
    /// Runs a delivery to its end. Dropped before, it takes the handler with it and then hands the job back.
    pub(super) async fn run(&self, delivery: Delivery) -> (Ticket, Verdict) {
        // The ticket outlives the handler: a job is handed back only when nobody works on it any more.
        let Delivery { id, queue, payload, history, claimed_at_ms, cancellation, teller, ticket } = delivery;
        let started = Instant::now();
        let end = End { id, queue: &queue, history: &history, claimed_at_ms, started, teller: &teller };
        let Order { kind, args, options, tenant, headers } = match Order::read(queue.clone(), &payload) {
            Ok(order) => order,
            Err(error) => {
                let (ending, options) = (Ending::Undecodable(outcome::chain(&error)), Options::default());
                return (ticket, self.end(&Span::none(), &end, &options, (figures::NO_KIND, ending, None)));
            }
        };
        let parent = TraceContext::from_headers(&headers);
        // A job without a context begins a trace, so that what its handler enqueues can be found by it.
        let trace = parent.as_ref().map_or_else(TraceContext::root, TraceContext::child);
        let attempt = history.failures.saturating_add(1);
        // Of the highest level: whatever lines a filter lets through, they say which attempt they are of.
        let span = tracing::error_span!(
            "job", job_id = %id, queue = queue.as_str(), kind = &*kind,
            attempt, tenant,
            trace_id = %trace.trace_id(), span_id = %trace.span_id(),
            parent_span_id = parent.map(|parent| tracing::field::display(parent.span_id())),
            otel.kind = "consumer", otel.sampled = trace.is_sampled(), outcome = Empty, error = Empty,
            otel.ended = Empty
        );
        let run = Run {
            id,
            attempt,
            max_attempts: options.max_attempts,
            tenant,
            headers,
            trace: trace.clone(),
            batch: history.batch,
            teller: teller.clone(),
            cancelled: cancellation.clone(),
        };
        let found = self.registry.find(&kind);
        let known = !matches!(found, Found::Nothing);
        let timeout = Duration::from_millis(options.timeout_ms);
        let work = self.attempt(found, (&kind, args), timeout, run, &cancellation);
        let (ending, cause) = within(&span, trace.clone().scope(work)).await;
        let label = if known { &*kind } else { figures::NO_KIND };
        let verdict = self.end(&span, &end, &options, (label, ending, cause));
        (ticket, verdict)
    }

    /// Judges how an attempt ended, and tells of it.
    fn end(
        &self,
        span: &Span,
        end: &End<'_>,
        options: &Options,
        (label, ending, cause): (&str, Ending, Option<Cause>),
    ) -> Verdict {
        if let Ending::Returned(Ok(Outcome::DoneWith(result))) = &ending {
            warn_of_large(end.id, label, result, end.teller);
        }
        let facts = Facts { options, history: end.history, claimed_at_ms: end.claimed_at_ms };
        let verdict = verdict(ending, cause, facts, rand::random());
        self.health.figures().finished(end.queue, label, &verdict, end.started.elapsed());
        tell(span, &verdict);
        // Nearly all end well, and nearly nobody wants to read of each: then the span need not be entered for it.
        let well = matches!(verdict, Verdict::Succeeded | Verdict::SucceededWith { .. });
        if !well || LevelFilter::current() >= Level::DEBUG {
            span.in_scope(|| log(end.id, label, end.history, &verdict));
        }
        verdict
    }

    async fn attempt(
        &self,
        found: Found<'_>,
        (kind, args): (&str, &RawValue),
        timeout: Duration,
        run: Run,
        cancellation: &Cancellation,
    ) -> (Ending, Option<Cause>) {
        if let Some(cause) = cancellation.cause() {
            return (Ending::Stopped, Some(cause));
        }
        let handler = match found {
            Found::Handler(handler) => handler,
            Found::Retired(reason) => return (Ending::Retired(reason.to_owned()), None),
            Found::Nothing => {
                let unknown =
                    Kind::new(kind).map_or_else(|error| Ending::Undecodable(error.to_string()), Ending::Unknown);
                return (unknown, None);
            }
        };
        match catch_unwind(AssertUnwindSafe(|| handler(args, run))) {
            Ok(Ok(future)) => self.bounded(future, timeout, cancellation).await,
            Ok(Err(error)) => (Ending::Undecodable(format!("the arguments do not fit {kind}: {error}")), None),
            Err(panic) => (Ending::Panicked(message(&*panic)), None),
        }
    }

    async fn bounded(
        &self,
        future: BoxFuture<'static, outcome::Result>,
        timeout: Duration,
        cancellation: &Cancellation,
    ) -> (Ending, Option<Cause>) {
        let mut handler = AssertUnwindSafe(future).catch_unwind();
        // One that ends at once needs neither clock nor token.
        if let Poll::Ready(end) = poll_fn(|cx| Poll::Ready(handler.poll_unpin(cx))).await {
            return (returned(end), cancellation.cause());
        }
        tokio::select! {
            biased;
            end = &mut handler => return (returned(end), cancellation.cause()),
            () = cancellation.cancelled() => {}
            () = tokio::time::sleep(timeout) => {
                cancellation.ask(Cause::Asked); // what the handler has started elsewhere can see it
                discard(handler);
                return (Ending::TimedOut, None);
            }
        }
        let cause = cancellation.cause();
        let grace = match cause {
            Some(Cause::Asked) | None => self.pace.cancel_grace,
            Some(Cause::Stopping) => self.pace.stop_grace,
            Some(Cause::Lost) => Duration::ZERO, // another worker may run it in a moment
        };
        if let Ok(end) = tokio::time::timeout(grace, &mut handler).await {
            return (returned(end), cause);
        }
        discard(handler);
        (Ending::Stopped, cause)
    }
}

/// Runs within a span, and drops within it what has not ended. What has ended says no more.
pub(super) async fn within<F: Future>(span: &Span, work: F) -> F::Output {
    let mut rest = Rest { span, work: pin!(Some(work)) };
    poll_fn(move |cx| {
        let Some(work) = rest.work.as_mut().as_pin_mut() else { return Poll::Pending };
        let end = ready!(span.in_scope(|| work.poll(cx)));
        rest.work.set(None);
        Poll::Ready(end)
    })
    .await
}

/// What is dropped within a span if it has not ended.
struct Rest<'a, F> {
    span: &'a Span,
    work: Pin<&'a mut Option<F>>,
}

impl<F> Drop for Rest<'_, F> {
    fn drop(&mut self) {
        if self.work.is_some() {
            self.span.in_scope(|| self.work.set(None));
        }
    }
}

/// What the end of an attempt is judged and told by.
struct End<'a> {
    id: JobId,
    queue: &'a QueueName,
    history: &'a History,
    claimed_at_ms: i64,
    started: Instant,
    teller: &'a Teller,
}

fn returned(end: Result<outcome::Result, Box<dyn Any + Send>>) -> Ending {
    match end {
        Ok(Ok(outcome)) => Ending::Returned(Ok(outcome)),
        // An error is foreign code too: how it is shown and dropped must not end more than the attempt.
        Ok(Err(error)) => match catch_unwind(AssertUnwindSafe(move || outcome::chain(&*error))) {
            Ok(text) => Ending::Returned(Err(text.into())),
            Err(panic) => Ending::Panicked(message(&*panic)),
        },
        Err(panic) => Ending::Panicked(message(&*panic)),
    }
}

/// Drops a handler in the middle. Its destructors are foreign code, and a panic of theirs must not end more than the attempt.
fn discard<F>(handler: F) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(handler))) {
        tracing::warn!(error = message(&*panic), "a handler panicked while it was dropped");
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    if let Some(text) = panic.downcast_ref::<&str>() {
        return (*text).to_owned();
    }
    panic.downcast_ref::<String>().cloned().unwrap_or_else(|| "the panic carries no text".to_owned())
}

fn warn_of_large(id: JobId, kind: &str, result: &serde_json::Value, teller: &Teller) {
    let size_bytes = size_bytes(result);
    if size_bytes > MAX_RESULT_BYTES {
        let text = format!(
            "the result has {size_bytes} bytes, more than the {MAX_RESULT_BYTES} allowed, and is not kept: keep large data \
             elsewhere and return a reference"
        );
        tracing::warn!(job_id = %id, kind, size_bytes, "job {id} succeeded, but {text}");
        teller.note(text);
    }
}

/// Says in the span how the attempt ended.
fn tell(span: &Span, verdict: &Verdict) {
    if let Verdict::Retry { error, .. } | Verdict::Dead { error, .. } = verdict {
        span.record("error", error);
    }
    // What the handler has left behind may hold the span open: that the work has ended is said too.
    tracing::record_all!(span, outcome = figures::outcome(verdict), otel.ended = true);
}

fn log(id: JobId, kind: &str, history: &History, verdict: &Verdict) {
    let attempt = history.failures.saturating_add(1);
    match verdict {
        Verdict::Retry { delay_ms, error } => {
            tracing::warn!(job_id = %id, kind, attempt, delay_ms, error, "job {id} failed and will be tried again");
        }
        Verdict::Dead { reason, error } => {
            tracing::error!(job_id = %id, kind, attempt, reason = reason.as_str(), error, "job {id} is dead");
        }
        Verdict::SetAside { .. } if history.aside_since_ms.is_none() => {
            tracing::warn!(job_id = %id, "job {id} is of a kind that this worker does not know: set aside for another");
        }
        Verdict::Cancelled { reason } => tracing::info!(job_id = %id, kind, reason, "job {id} is cancelled"),
        _ => tracing::debug!(job_id = %id, kind, attempt, ?verdict, "job {id} ended an attempt"),
    }
}
