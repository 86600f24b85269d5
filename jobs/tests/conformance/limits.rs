//! How many jobs of a queue run at once, and whose turn it is among its priorities.

use std::time::{Duration, Instant};

use deskhand_jobs::queue::{Endings, PASSED_OVER, Settled, Verdict};
use deskhand_jobs::{Options, Priority, QueueName};

use super::{claim, ids, job, on_every_store, plain, queue, settle, worker, worker_of};
use crate::fixtures::Store;

const ENDINGS: Endings = Endings::Drop;

on_every_store!(
    so_many_jobs_of_a_queue_run_and_no_more,
    a_limit_of_one_queue_leaves_the_others_alone,
    a_slot_that_becomes_free_wakes_who_waits,
    a_limit_that_is_raised_wakes_who_waits,
    slots_of_a_dead_worker_come_back_with_its_jobs,
    a_late_answer_frees_no_slot,
    a_priority_that_waits_gets_one_of_32,
    turns_are_kept_from_claim_to_claim,
    jobs_handed_back_stand_where_they_stood,
);

fn of(priority: Priority) -> deskhand_jobs::Envelope {
    job(Options { priority, ..Options::default() })
}

async fn so_many_jobs_of_a_queue_run_and_no_more(store: Store) {
    let q = &*store.queue;
    let name = QueueName::default();
    q.limit(&name, Some(3)).await.expect("limits");
    let jobs: Vec<_> = (0..6).map(|_| plain()).collect();
    q.push(&jobs).await.expect("pushes");
    let (me, other) = (worker(q).await, worker(q).await);
    let mine = claim(q, me, 2).await;
    let others = claim(q, other, 9).await;
    assert_eq!((mine.len(), others.len()), (2, 1));
    assert!(claim(q, other, 9).await.is_empty());
    let info = &q.queues().await.expect("reads")[0];
    assert_eq!((info.concurrency, info.running, info.ready), (Some(3), 3, 3));
    settle(q, &mine[0], Verdict::Retry { delay_ms: 60_000, error: "no".into() }).await;
    assert_eq!(ids(&claim(q, other, 9).await), [jobs[3].id]);
    q.limit(&name, None).await.expect("lifts");
    assert_eq!(claim(q, other, 9).await.len(), 2);
    assert_eq!(q.queues().await.expect("reads")[0].concurrency, None);
}

async fn a_limit_of_one_queue_leaves_the_others_alone(store: Store) {
    let q = &*store.queue;
    let both = [queue("narrow"), queue("wide")];
    q.limit(&both[0], Some(1)).await.expect("limits");
    let jobs: Vec<_> =
        [0, 0, 1, 1].map(|at: usize| job(Options { queue: both[at].clone(), ..Options::default() })).into();
    q.push(&jobs).await.expect("pushes");
    let me = worker_of(q, &both).await.id;
    let got = q.claim(me, &both, 9).await.expect("claims").jobs;
    assert_eq!(ids(&got), [jobs[0].id, jobs[2].id, jobs[3].id]);
}

/// Waits as long as nothing wakes, while something is done; returns how long.
async fn woken_by(store: &Store, done: impl Future<Output = ()>) -> Duration {
    let started = Instant::now();
    let names = [QueueName::default()];
    let (waited, ()) = tokio::join!(store.queue.wait(&names, Duration::from_secs(20)), done);
    waited.expect("waits");
    started.elapsed()
}

async fn a_slot_that_becomes_free_wakes_who_waits(store: Store) {
    let q = &*store.queue;
    let name = QueueName::default();
    q.limit(&name, Some(1)).await.expect("limits");
    q.push(&[plain(), plain()]).await.expect("pushes");
    let me = worker(q).await;
    let mine = claim(q, me, 9).await;
    assert!(claim(q, me, 9).await.is_empty());
    // What came before the queue was full may wake once.
    for _ in 0..3 {
        q.wait(std::slice::from_ref(&name), Duration::from_millis(20)).await.expect("waits");
    }
    let end = async { assert_eq!(settle(q, &mine[0], Verdict::Succeeded).await, Settled::Applied) };
    assert!(woken_by(&store, end).await < Duration::from_secs(10));
    assert_eq!(claim(q, me, 9).await.len(), 1);
}

async fn a_limit_that_is_raised_wakes_who_waits(store: Store) {
    let q = &*store.queue;
    let name = QueueName::default();
    q.limit(&name, Some(1)).await.expect("limits");
    q.push(&[plain(), plain()]).await.expect("pushes");
    let me = worker(q).await;
    assert_eq!(claim(q, me, 9).await.len(), 1);
    for _ in 0..3 {
        q.wait(std::slice::from_ref(&name), Duration::from_millis(20)).await.expect("waits");
    }
    let raise = async { q.limit(&name, Some(2)).await.expect("raises") };
    assert!(woken_by(&store, raise).await < Duration::from_secs(10));
    assert_eq!(claim(q, me, 9).await.len(), 1);
}

async fn slots_of_a_dead_worker_come_back_with_its_jobs(store: Store) {
    let q = &*store.queue;
    q.limit(&QueueName::default(), Some(2)).await.expect("limits");
    let jobs: Vec<_> = (0..3).map(|_| plain()).collect();
    q.push(&jobs).await.expect("pushes");
    let dead = worker(q).await;
    assert_eq!(claim(q, dead, 9).await.len(), 2);
    store.pass(13_000).await;
    let me = worker(q).await;
    assert_eq!(ids(&claim(q, me, 9).await), [jobs[0].id, jobs[1].id], "where they stood");
    assert!(claim(q, me, 9).await.is_empty());
}

async fn a_late_answer_frees_no_slot(store: Store) {
    let q = &*store.queue;
    q.limit(&QueueName::default(), Some(1)).await.expect("limits");
    q.push(&[plain(), plain()]).await.expect("pushes");
    let dead = worker(q).await;
    let late = claim(q, dead, 9).await;
    store.pass(13_000).await;
    let me = worker(q).await;
    assert_eq!(claim(q, me, 9).await.len(), 1);
    settle(q, &late[0], Verdict::Succeeded).await;
    assert!(claim(q, me, 9).await.is_empty());
}

/// The positions of the low among 3 normal ones in each 32.
async fn a_priority_that_waits_gets_one_of_32(store: Store) {
    let q = &*store.queue;
    let jobs: Vec<_> = std::iter::repeat_with(|| of(Priority::High)).take(100).collect();
    let low: Vec<_> = std::iter::repeat_with(|| of(Priority::Low)).take(10).collect();
    q.push(&low).await.expect("pushes");
    q.push(&jobs).await.expect("pushes");
    let me = worker(q).await;
    let got = ids(&claim(q, me, 100).await);
    let share = usize::from(PASSED_OVER) + 1;
    for (at, id) in got.iter().enumerate() {
        let expected = if at % share == share - 1 { low[at / share].id } else { jobs[at - at / share].id };
        assert_eq!(*id, expected, "job {at}");
    }
}

async fn turns_are_kept_from_claim_to_claim(store: Store) {
    let q = &*store.queue;
    let jobs: Vec<_> = std::iter::repeat_with(plain).take(100).collect();
    q.push(&jobs).await.expect("pushes");
    let low = of(Priority::Low);
    q.push(std::slice::from_ref(&low)).await.expect("pushes");
    let me = worker(q).await;
    let mut before = 0;
    loop {
        let got = ids(&claim(q, me, 7).await);
        assert!(!got.is_empty());
        if let Some(at) = got.iter().position(|id| *id == low.id) {
            assert_eq!(before + at, usize::from(PASSED_OVER));
            return;
        }
        before += got.len();
    }
}

async fn jobs_handed_back_stand_where_they_stood(store: Store) {
    let q = &*store.queue;
    let jobs: Vec<_> = (0..6).map(|_| plain()).collect();
    q.push(&jobs).await.expect("pushes");
    let me = worker(q).await;
    let held = [claim(q, me, 2).await, claim(q, me, 2).await].concat();
    for at in [1, 3, 0, 2] {
        settle(q, &held[at], Verdict::HandBack).await;
    }
    let expected: Vec<_> = jobs.iter().map(|job| job.id).collect();
    let again = claim(q, me, 3).await;
    assert_eq!(ids(&again), expected[..3]);
    for at in [2, 0, 1] {
        settle(q, &again[at], Verdict::HandBack).await;
    }
    assert_eq!(ids(&claim(q, me, 9).await), expected);
}
