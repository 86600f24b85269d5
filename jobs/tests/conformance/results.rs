//! What comes of jobs.

use deskhand_jobs::Options;
use deskhand_jobs::Priority;
use deskhand_jobs::queue::{Endings, Settled, State, Verdict};
use serde_json::{Value, json};

use super::{claim, forget_all, job, on_every_store, plain, settle, settlement, worker};
use crate::fixtures::Store;

const ENDINGS: Endings = Endings::Keep;

on_every_store!(a_result_is_kept_as_it_is, a_result_is_of_its_job_only);

async fn a_result_is_kept_as_it_is(store: Store) {
    let q = &*store.queue;
    let me = worker(q).await;
    let large = json!({ "text": "x".repeat(deskhand_jobs::MAX_RESULT_BYTES - 20) });
    let results = [
        json!(null),
        json!(0),
        json!(9_007_199_254_740_993_i64),
        json!(0.1),
        json!([]),
        json!({ "b": {}, "a": [1, "\u{0}\n\"\\ ümlaut 中文"] }),
        large,
    ];
    for result in results {
        let one = plain();
        q.push(std::slice::from_ref(&one)).await.expect("pushes");
        let running = claim(q, me, 1).await;
        let verdict = Verdict::SucceededWith { result: result.clone() };
        assert_eq!(settle(q, &running[0], verdict).await, Settled::Applied);
        let seen = q.job(one.id).await.expect("reads").expect("its record");
        assert_eq!((seen.state, seen.result), (State::Succeeded, Some(result.clone())));
        assert_eq!(q.endings(9).await.expect("reads")[0].result, Some(result));
        forget_all(q).await;
    }
    assert_eq!(q.queues().await.expect("reads")[0].succeeded_total, 7);
}

async fn a_result_is_of_its_job_only(store: Store) {
    let q = &*store.queue;
    // Options, so that a store that has a way of its own for plain jobs takes the other one too.
    let jobs = [plain(), job(Options { priority: Priority::Low, ..Options::default() }), plain()];
    q.push(&jobs).await.expect("pushes");
    let me = worker(q).await;
    let running = claim(q, me, 3).await;
    let ends: Vec<_> = running
        .iter()
        .map(|job| {
            let with = job.id == jobs[2].id;
            settlement(job, if with { Verdict::SucceededWith { result: json!("it") } } else { Verdict::Succeeded })
        })
        .collect();
    q.settle(&ends).await.expect("settles");
    for (job, result) in jobs.iter().zip([None, None, Some(Value::from("it"))]) {
        let seen = q.job(job.id).await.expect("reads").expect("its record");
        assert_eq!((seen.state, seen.result), (State::Succeeded, result));
    }
}
