//! One bad job harms nobody: it ends as the design says, and the worker goes on.

use std::sync::Arc;

use deskhand_jobs::queue::{DeadReason, Queue, State};
use deskhand_jobs::{Envelope, Job, JobId, Kind, Options};
use serde_json::value::RawValue;

use super::{Count, Explode, Running, Runs, count, until};
use crate::conformance::on_every_store;
use crate::fixtures::Store;

const ENDINGS: deskhand_jobs::queue::Endings = deskhand_jobs::queue::Endings::Keep;

on_every_store!(
    a_panic_is_the_end_of_one_attempt,
    arguments_that_do_not_decode_are_dead_at_once,
    an_unknown_kind_is_set_aside,
    two_workers_share_the_work_and_run_each_job_once,
);

async fn dead_reason(queue: &Arc<dyn Queue>, id: JobId) -> Option<(DeadReason, String)> {
    let job = queue.job(id).await.expect("reads").expect("is there");
    Some((job.dead_reason?, job.history.last_error.unwrap_or_default()))
}

async fn still_works(queue: &Arc<dyn Queue>, runs: &Runs) {
    let before = runs.distinct();
    queue.push(&[count(99, 0)]).await.expect("pushes");
    until("the worker runs another job", || async { runs.distinct() > before }).await;
}

async fn a_panic_is_the_end_of_one_attempt(store: Store) {
    let runs = Runs::default();
    let worker = Running::start(store.queue.clone(), &runs);
    let bomb = Envelope::new(&Explode {}).expect("small");
    store.queue.push(&[bomb.clone(), count(1, 0)]).await.expect("pushes");
    until("it is dead", || async { dead_reason(&store.queue, bomb.id).await.is_some() }).await;
    let (reason, error) = dead_reason(&store.queue, bomb.id).await.expect("dead");
    assert_eq!(reason, DeadReason::Exhausted);
    assert!(error.contains("the fuse was lit"), "{error}");
    still_works(&store.queue, &runs).await;
    worker.stop().await;
}

async fn arguments_that_do_not_decode_are_dead_at_once(store: Store) {
    let runs = Runs::default();
    let worker = Running::start(store.queue.clone(), &runs);
    let args = RawValue::from_string(r#"{"n":"not a number"}"#.to_owned()).expect("valid JSON");
    let bad = Envelope::raw(Kind::new(Count::KIND).expect("valid"), args, Options::default()).expect("small");
    store.queue.push(std::slice::from_ref(&bad)).await.expect("pushes");
    until("it is dead", || async { dead_reason(&store.queue, bad.id).await.is_some() }).await;
    let (reason, error) = dead_reason(&store.queue, bad.id).await.expect("dead");
    assert_eq!(reason, DeadReason::Decode, "{error}");
    still_works(&store.queue, &runs).await;
    worker.stop().await;
}

async fn an_unknown_kind_is_set_aside(store: Store) {
    let runs = Runs::default();
    let worker = Running::start(store.queue.clone(), &runs);
    let args = RawValue::from_string("{}".to_owned()).expect("valid JSON");
    let new = Envelope::raw(Kind::new("test.tomorrow").expect("valid"), args, Options::default()).expect("small");
    store.queue.push(std::slice::from_ref(&new)).await.expect("pushes");
    until("it is set aside", || async {
        let job = store.queue.job(new.id).await.expect("reads").expect("is there");
        job.state == State::Scheduled && job.history.aside_since_ms.is_some()
    })
    .await;
    let job = store.queue.job(new.id).await.expect("reads").expect("is there");
    assert_eq!((job.history.failures, job.history.recoveries), (0, 0), "it costs no attempt");
    still_works(&store.queue, &runs).await;
    worker.stop().await;
}

async fn two_workers_share_the_work_and_run_each_job_once(store: Store) {
    let runs = Runs::default();
    let workers = [Running::start(store.queue.clone(), &runs), Running::start(store.queue.clone(), &runs)];
    let jobs: Vec<_> = (0..1_000).map(|n| count(n, 1)).collect();
    store.queue.push(&jobs).await.expect("pushes");
    until("every job has run", || async { runs.distinct() == 1_000 }).await;
    let mut finished = 0;
    for worker in workers {
        finished += worker.stop().await.finished;
    }
    assert_eq!(finished, 1_000, "each once");
}
