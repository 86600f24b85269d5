//! The trace of a job, from whoever enqueues it to what its handler enqueues.

use std::sync::{Arc, Mutex};

use deskhand_jobs::outcome::{self, Outcome};
use deskhand_jobs::queue::{Endings, Queue};
use deskhand_jobs::trace::{TRACEPARENT, TraceContext};
use deskhand_jobs::worker::{Config, Worker};
use deskhand_jobs::{Envelope, Job, Registry, Run};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::conformance::on_every_store;
use crate::faults::until;
use crate::fixtures::Store;

const ENDINGS: Endings = Endings::Drop;

on_every_store!(
    a_trace_goes_from_the_enqueuer_through_handlers_to_what_they_enqueue,
    a_header_that_is_no_context_is_passed_over
);

#[derive(Clone)]
struct Stage {
    queue: Arc<dyn Queue>,
    seen: Arc<Mutex<Vec<TraceContext>>>,
}

/// Enqueues the next of its kind.
#[derive(Serialize, Deserialize)]
struct Chain {
    left: u8,
}

impl Job for Chain {
    const KIND: &'static str = "test.chain";
    type Context = Stage;

    async fn run(self, stage: Stage, run: Run) -> outcome::Result {
        assert_eq!(TraceContext::current().as_ref(), Some(&run.trace));
        stage.seen.lock().expect("no test panics under this lock").push(run.trace);
        if self.left > 0 {
            stage.queue.push(&[Envelope::new(&Self { left: self.left - 1 })?]).await?;
        }
        Ok(Outcome::Done)
    }
}

/// Pushes a job, runs it and what it enqueues, and returns the contexts of the attempts.
async fn contexts(store: &Store, job: Envelope, count: usize) -> Vec<TraceContext> {
    let stage = Stage { queue: Arc::clone(&store.queue), seen: Arc::default() };
    store.queue.push(&[job]).await.expect("takes it");
    let mut registry = Registry::new();
    registry.add::<Chain>(stage.clone()).expect("the only one");
    let stop = CancellationToken::new();
    let worker = Worker::new(Arc::clone(&store.queue), registry, Config::default());
    let worker = tokio::spawn(worker.run(stop.clone()));
    let seen = || stage.seen.lock().expect("no test panics under this lock").clone();
    until("the last of the chain", async || seen().len() == count).await;
    stop.cancel();
    worker.await.expect("ends without panic");
    seen()
}

async fn a_trace_goes_from_the_enqueuer_through_handlers_to_what_they_enqueue(store: Store) {
    let state = "vendor=opaque";
    let text = TraceContext::root().traceparent();
    let enqueuer = TraceContext::parse(&text, Some(state)).expect("valid");
    let job = enqueuer.clone().scope(async { Envelope::new(&Chain { left: 2 }).expect("small") }).await;
    assert_eq!(job.headers[TRACEPARENT], text);
    let seen = contexts(&store, job, 3).await;
    let mut spans = vec![enqueuer.span_id()];
    for context in seen {
        assert_eq!((context.trace_id(), context.tracestate()), (enqueuer.trace_id(), Some(state)));
        assert!(!spans.contains(&context.span_id()), "every attempt is a piece of work of its own");
        spans.push(context.span_id());
    }
}

async fn a_header_that_is_no_context_is_passed_over(store: Store) {
    let mut job = Envelope::new(&Chain { left: 1 }).expect("small");
    assert!(job.headers.is_empty(), "nobody traces here");
    job.headers.insert(TRACEPARENT.to_owned(), "00-zz-zz-01".to_owned());
    let seen = contexts(&store, job, 2).await;
    assert_eq!(seen[0].trace_id(), seen[1].trace_id(), "it begins a trace");
}
