//! How late due jobs are found, and since when jobs are ready.

use deskhand_jobs::queue::{Endings, Late, Queue, Verdict};
use deskhand_jobs::{Envelope, JobId, Options, Priority, QueueName};

use super::{claim, job, on_every_store, plain, settle, worker};
use crate::fixtures::Store;

const ENDINGS: Endings = Endings::Drop;

/// What these tests take at most.
const SLACK_MS: i64 = 30_000;

on_every_store!(
    a_claim_tells_how_late_due_jobs_were_found,
    the_oldest_of_those_that_come_next_is_told,
    a_job_is_ready_since_it_came_back,
);

async fn later(queue: &dyn Queue, by_ms: i64) -> Envelope {
    let mut job = plain();
    job.run_at_ms = Some(JobId::new().created_at_ms() + by_ms);
    queue.push(std::slice::from_ref(&job)).await.expect("pushes");
    job
}

async fn oldest_ms(queue: &dyn Queue) -> Option<i64> {
    queue.queues().await.expect("reads")[0].oldest_ready_at_ms
}

async fn a_claim_tells_how_late_due_jobs_were_found(store: Store) {
    let q = &*store.queue;
    let me = worker(q).await;
    for by_ms in [1_000, 3_000, 600_000] {
        later(q, by_ms).await;
    }
    store.pass(5_000).await;
    let found = q.claim(me, &[QueueName::default()], 1).await.expect("claims");
    assert_eq!(found.jobs.len(), 1, "both became ready, one is taken");
    let [Late { queue, ms }] = &found.late[..] else { panic!("{:?}", found.late) };
    assert_eq!((queue, ms.len()), (&QueueName::default(), 2));
    let late = |ms: u64, least: i64| (least..least + SLACK_MS).contains(&(ms as i64));
    assert!(late(ms[0], 4_000) && late(ms[1], 2_000), "{ms:?}");
    assert_eq!(q.claim(me, &[QueueName::default()], 9).await.expect("claims").late, [], "nothing is told twice");
}

async fn the_oldest_of_those_that_come_next_is_told(store: Store) {
    let q = &*store.queue;
    let me = worker(q).await;
    assert_eq!(oldest_ms(q).await, None);
    let urgent = job(Options { priority: Priority::Critical, ..Options::default() });
    let normal = plain();
    q.push(std::slice::from_ref(&normal)).await.expect("pushes");
    q.push(std::slice::from_ref(&urgent)).await.expect("pushes");
    let expected = [&urgent, &normal].map(|job| job.id.created_at_ms());
    assert_eq!(oldest_ms(q).await, expected.into_iter().min(), "the time in the id");
    let taken = claim(q, me, 1).await;
    assert_eq!((taken[0].id, oldest_ms(q).await), (urgent.id, Some(normal.id.created_at_ms())));
    claim(q, me, 1).await;
    assert_eq!(oldest_ms(q).await, None);
}

async fn a_job_is_ready_since_it_came_back(store: Store) {
    let q = &*store.queue;
    let me = worker(q).await;
    later(q, 1_000).await;
    let due_ms = later(q, 2_000).await.run_at_ms.expect("later");
    assert_eq!(oldest_ms(q).await, None, "a scheduled job is not ready");
    store.pass(5_000).await;
    assert_eq!(claim(q, me, 1).await.len(), 1, "the other one becomes ready too");
    assert_eq!(oldest_ms(q).await, Some(due_ms), "ready since it was due");
    store.pass(5_000).await;
    let taken = claim(q, me, 1).await;
    settle(q, &taken[0], Verdict::HandBack).await;
    let back_ms = oldest_ms(q).await.expect("it is ready again");
    assert!((due_ms + 8_000..due_ms + 8_000 + SLACK_MS).contains(&back_ms), "{} ms later", back_ms - due_ms);
    // Who is cancelled while it waits leaves nothing behind that another could inherit.
    q.cancel(taken[0].id).await.expect("cancels");
    assert_eq!(oldest_ms(q).await, None);
    let mut again = plain();
    again.id = taken[0].id;
    q.push(std::slice::from_ref(&again)).await.expect("pushes");
    assert_eq!(oldest_ms(q).await, Some(again.id.created_at_ms()));
}
