//! What the logs of an attempt say of its place.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use futures_util::FutureExt;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{DefaultGuard, Interest};
use tracing::{Dispatch, Event, Metadata, Subscriber};

use super::bench::{Act, Play, Stage};
use crate::id::{QueueName, WorkerId};
use crate::job::Envelope;
use crate::queue::{Claimed, History, Lease, Verdict};
use crate::registry::Registry;
use crate::trace::TraceContext;

/// Keeps the fields of every span.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<BTreeMap<&'static str, String>>>>);

struct Fields<'a>(&'a mut BTreeMap<&'static str, String>);

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

impl Subscriber for Spans {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut fields = BTreeMap::new();
        span.record(&mut Fields(&mut fields));
        let mut spans = self.0.lock().expect("no test panics under this lock");
        spans.push(fields);
        Id::from_u64(spans.len() as u64)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// While only one subscriber is alive, what a place in the code may say is decided by that of the thread that comes by first, and
/// here it may have none. With another one all are asked.
static ANOTHER: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(Within::default()));

fn listen<S: Subscriber + Clone + Send + Sync>(subscriber: &S) -> DefaultGuard {
    LazyLock::force(&ANOTHER);
    tracing::subscriber::set_default(subscriber.clone())
}

fn claimed(job: &Envelope) -> Claimed {
    Claimed {
        id: job.id,
        queue: QueueName::default(),
        lease: Lease(WorkerId::new().to_string().into()),
        payload: job.encode().into(),
        history: History { failures: 1, ..History::default() },
        claimed_at_ms: 1,
    }
}

#[tokio::test]
async fn an_attempt_runs_in_a_span_that_says_which_it_is_and_who_caused_it() {
    let (spans, stage) = (Spans::default(), Stage::default());
    let mut registry = Registry::new();
    registry.add::<Play>(stage.clone()).expect("the only one");
    let enqueuer = TraceContext::root();
    let job = enqueuer.clone().scope(async { Envelope::new(&Play { act: Act::Finish }).expect("small") }).await;
    let claimed = claimed(&job);
    let guard = listen(&spans);
    assert_eq!(crate::worker::once(&claimed, &registry).await.0, Verdict::Succeeded);
    drop(guard);
    let seen = spans.0.lock().expect("no test panics under this lock");
    let fields =
        seen.iter().find(|fields| fields.get("job_id") == Some(&job.id.to_string())).expect("a span of the job");
    let trace = stage.runs.lock().expect("no test panics here")[0].trace.clone();
    for (name, value) in [
        ("queue", "default".to_owned()),
        ("kind", "test.play".to_owned()),
        ("attempt", "2".to_owned()),
        ("trace_id", enqueuer.trace_id().to_string()),
        ("span_id", trace.span_id().to_string()),
        ("parent_span_id", enqueuer.span_id().to_string()),
    ] {
        assert_eq!(fields.get(name), Some(&value), "{name}");
    }
}

/// Wants events within spans only, as a filter that names spans does.
#[derive(Clone, Default)]
struct Within {
    entered: Arc<AtomicUsize>,
    heard: Arc<AtomicUsize>,
}

impl Subscriber for Within {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_span() || self.entered.load(Ordering::SeqCst) > 0
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {
        self.heard.fetch_add(1, Ordering::SeqCst);
    }

    fn enter(&self, _: &Id) {
        self.entered.fetch_add(1, Ordering::SeqCst);
    }

    fn exit(&self, _: &Id) {
        self.entered.fetch_sub(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn the_end_of_an_attempt_is_told_within_its_span() {
    let (within, mut registry) = (Within::default(), Registry::new());
    registry.add::<Play>(Stage::default()).expect("the only one");
    let claimed = claimed(&Envelope::new(&Play { act: Act::Finish }).expect("small"));
    let guard = listen(&within);
    assert_eq!(crate::worker::once(&claimed, &registry).await.0, Verdict::Succeeded);
    drop(guard);
    assert!(within.heard.load(Ordering::SeqCst) > 0, "of a success too");
    assert_eq!(within.entered.load(Ordering::SeqCst), 0);
}

struct Parting;

impl Drop for Parting {
    fn drop(&mut self) {
        tracing::info!("the last of it");
    }
}

#[test]
fn what_a_dropped_handler_says_at_last_is_said_within_its_span() {
    let within = Within::default();
    let guard = listen(&within);
    let span = tracing::info_span!("attempt");
    let work = async {
        let _parting = Parting;
        std::future::pending::<()>().await;
    };
    let mut attempt = Box::pin(crate::worker::attempt::within(&span, work));
    assert!(attempt.as_mut().now_or_never().is_none());
    drop(attempt);
    drop(guard);
    assert_eq!(within.heard.load(Ordering::SeqCst), 1);
}
