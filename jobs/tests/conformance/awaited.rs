//! Waiting and claiming in one call, whether the store can do that in one exchange or not.

use std::time::{Duration, Instant};

use deskhand_jobs::queue::{Claim, Endings, LEASE, Queue};
use deskhand_jobs::{Envelope, Options, QueueName, WorkerId};

use super::{claim, ids, job, on_every_store, plain, queue, worker, worker_of};
use crate::fixtures::Store;

const ENDINGS: Endings = Endings::Drop;

const LONG: Duration = Duration::from_secs(20);

on_every_store!(
    what_is_pushed_to_one_of_the_queues_ends_the_wait_and_is_claimed,
    no_more_is_claimed_than_there_is_room_for_and_the_rest_wakes_others,
    a_queue_that_was_not_looked_into_wakes_others,
    a_worker_without_a_lease_is_told_so_after_its_wait,
    a_wait_in_vain_brings_nothing,
    a_wait_that_is_given_up_loses_nothing,
);

/// Waits for jobs and claims them.
async fn next(queue: &dyn Queue, worker: WorkerId, queues: &[QueueName], limit: usize) -> Claim {
    let start = Instant::now();
    let answer = queue.wait_and_claim(worker, queues, limit, LONG).await.expect("waits");
    assert!(start.elapsed() < LONG / 2, "nobody was woken");
    match answer {
        Some(claim) => claim,
        None => queue.claim(worker, queues, limit).await.expect("claims"),
    }
}

fn of(name: &QueueName) -> Envelope {
    job(Options { queue: name.clone(), ..Options::default() })
}

async fn what_is_pushed_to_one_of_the_queues_ends_the_wait_and_is_claimed(store: Store) {
    let q = &*store.queue;
    // Others each time: who gives up waiting for one of them may take its next marker along, which comes back with a beat.
    for (names, at) in [(["one", "two"], 0), (["three", "four"], 1)] {
        let both = names.map(queue);
        let (me, name) = (worker_of(q, &both).await, &both[at]);
        let jobs = [of(name), of(name)];
        let (claim, pushed) = tokio::join!(next(q, me.id, &both, 5), q.push(&jobs));
        pushed.expect("pushes");
        assert_eq!(ids(&claim.jobs), [jobs[0].id, jobs[1].id]);
        assert!(claim.jobs.iter().all(|job| job.queue == *name));
    }
}

async fn no_more_is_claimed_than_there_is_room_for_and_the_rest_wakes_others(store: Store) {
    let (q, both) = (&*store.queue, [queue("one"), queue("two")]);
    let [me, other] = [worker_of(q, &both).await.id, worker_of(q, &both).await.id];
    let jobs = [of(&both[0]), of(&both[1]), of(&both[1])];
    q.push(&jobs).await.expect("pushes");
    assert_eq!(ids(&next(q, me, &both, 2).await.jobs), [jobs[0].id, jobs[1].id], "over both queues");
    assert_eq!(ids(&next(q, other, &both, 2).await.jobs), [jobs[2].id]);
}

async fn a_queue_that_was_not_looked_into_wakes_others(store: Store) {
    let (q, both) = (&*store.queue, [queue("one"), queue("two")]);
    let [me, other] = [worker_of(q, &both).await.id, worker_of(q, &both).await.id];
    let first = of(&both[0]);
    q.push(std::slice::from_ref(&first)).await.expect("pushes");
    // The marker of the first queue is taken, and its job is still there.
    q.wait(&both[..1], LONG).await.expect("waits");
    let second = of(&both[1]);
    q.push(std::slice::from_ref(&second)).await.expect("pushes");
    assert_eq!(ids(&next(q, me, &both, 1).await.jobs), [first.id], "woken for the other, which has to stand back");
    assert_eq!(ids(&next(q, other, &both[1..], 1).await.jobs), [second.id]);
}

async fn a_worker_without_a_lease_is_told_so_after_its_wait(store: Store) {
    let q = &*store.queue;
    let me = worker(q).await;
    store.pass(LEASE.as_millis() as i64 + 1).await;
    q.push(&[plain()]).await.expect("pushes");
    let claim = next(q, me, &[QueueName::default()], 1).await;
    assert!(claim.lost && claim.jobs.is_empty());
}

async fn a_wait_in_vain_brings_nothing(store: Store) {
    let q = &*store.queue;
    let me = worker(q).await;
    // A marker may be left from before; at most one.
    for _ in 0..2 {
        let wait = Duration::from_millis(20);
        let answer = q.wait_and_claim(me, &[QueueName::default()], 1, wait).await.expect("waits");
        assert!(answer.is_none_or(|claim| claim.jobs.is_empty() && !claim.lost));
    }
}

async fn a_wait_that_is_given_up_loses_nothing(store: Store) {
    let q = store.queue.clone();
    let [me, other] = [worker(&*q).await, worker(&*q).await];
    for _ in 0..5 {
        let wait = tokio::spawn({
            let q = q.clone();
            async move { q.wait_and_claim(me, &[QueueName::default()], 1, LONG).await }
        });
        let job = plain();
        // Before the job, with it, or after it: nobody knows.
        let (pushed, ()) = tokio::join!(q.push(std::slice::from_ref(&job)), async { wait.abort() });
        pushed.expect("pushes");
        drop(wait.await);
        q.hand_back_others(me, &[QueueName::default()], &[]).await.expect("hands back");
        assert_eq!(ids(&claim(&*q, other, 1).await), [job.id]);
    }
}
