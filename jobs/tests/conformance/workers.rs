//! Workers that live, die and leave.

use std::time::{Duration, Instant};

use deskhand_jobs::queue::{Endings, LEASE, MAX_RECOVERIES, Settled, State, Verdict};
use deskhand_jobs::{Options, Priority, QueueName};

use super::{claim, ids, job, on_every_store, plain, queue, settle, worker, worker_of};
use crate::fixtures::Store;

const ENDINGS: Endings = Endings::Keep;

on_every_store!(
    the_jobs_of_a_dead_worker_come_back,
    a_beating_worker_keeps_its_jobs,
    a_worker_that_missed_its_lease_is_told_so,
    poison_dies_after_too_many_recoveries,
    a_leaving_worker_hands_back_what_it_has,
    a_worker_hands_back_what_it_does_not_know,
    many_jobs_of_a_dead_worker_all_come_back,
    a_worker_is_rescued_in_all_its_queues,
    workers_are_listed_while_they_live,
    a_beat_tells_when_another_worker_would_be_dead,
    a_wake_up_that_died_with_its_hearer_comes_back_with_a_beat,
    a_wait_ends_when_a_job_is_pushed,
    a_wake_up_that_its_hearer_cannot_use_reaches_another,
    a_wait_ends_by_itself,
    a_wait_for_no_queue_ends_by_itself,
    a_push_between_claim_and_wait_is_not_missed,
);

fn lease_ms() -> i64 {
    LEASE.as_millis() as i64
}

async fn the_jobs_of_a_dead_worker_come_back(store: Store) {
    let q = &*store.queue;
    let jobs = [job(Options { priority: Priority::Low, ..Options::default() }), plain()];
    q.push(&jobs).await.expect("pushes");
    let dead = worker(q).await;
    let taken = claim(q, dead, 2).await;
    store.pass(lease_ms() + 1).await;
    let live = worker_of(q, &[QueueName::default()]).await;
    // Registering or beating, whichever comes first, takes them back.
    q.beat(&live, false).await.expect("beats");
    let again = claim(q, live.id, 9).await;
    assert_eq!(ids(&again), [jobs[1].id, jobs[0].id], "each with its priority");
    let history = &again[0].history;
    assert_eq!((history.failures, history.recoveries, history.hand_backs), (0, 1, 0));
    // The zombie wakes up and changes nothing.
    assert_eq!(settle(q, &taken[0], Verdict::Succeeded).await, Settled::Stale);
    assert!(q.claim(dead, &[QueueName::default()], 1).await.expect("claims").lost);
    assert_eq!(settle(q, &again[0], Verdict::Succeeded).await, Settled::Applied);
    assert_eq!(q.queues().await.expect("reads")[0].recovered_total, 2);
}

async fn a_beating_worker_keeps_its_jobs(store: Store) {
    let q = &*store.queue;
    q.push(&[plain()]).await.expect("pushes");
    let me = worker_of(q, &[QueueName::default()]).await;
    let other = worker_of(q, &[QueueName::default()]).await;
    let mine = claim(q, me.id, 1).await;
    for _ in 0..5 {
        store.pass(lease_ms() / 2).await;
        for info in [&me, &other] {
            let beat = q.beat(info, false).await.expect("beats");
            assert_eq!((beat.lost, beat.rescued), (false, 0));
        }
    }
    assert_eq!(settle(q, &mine[0], Verdict::Succeeded).await, Settled::Applied);
}

async fn a_worker_that_missed_its_lease_is_told_so(store: Store) {
    let q = &*store.queue;
    let me = worker_of(q, &[QueueName::default()]).await;
    store.pass(lease_ms() + 1).await;
    assert!(q.beat(&me, false).await.expect("beats").lost);
    assert!(q.claim(me.id, &me.queues, 1).await.expect("claims").lost);
}

async fn poison_dies_after_too_many_recoveries(store: Store) {
    let q = &*store.queue;
    let one = plain();
    q.push(std::slice::from_ref(&one)).await.expect("pushes");
    for _ in 0..=MAX_RECOVERIES {
        let victim = worker(q).await;
        assert_eq!(claim(q, victim, 1).await.len(), 1);
        store.pass(lease_ms() + 1).await;
        let other = worker_of(q, &[QueueName::default()]).await;
        q.beat(&other, false).await.expect("beats");
    }
    let seen = q.job(one.id).await.expect("reads").expect("is there");
    assert_eq!(seen.state, State::Dead);
    assert_eq!(seen.dead_reason, Some(deskhand_jobs::queue::DeadReason::Poison));
    assert_eq!((seen.history.failures, seen.history.recoveries), (0, MAX_RECOVERIES + 1));
    assert_eq!(seen.payload.as_deref(), Some(&one.encode()[..]), "the raw payload is kept");
}

async fn a_leaving_worker_hands_back_what_it_has(store: Store) {
    let q = &*store.queue;
    q.push(&[plain(), plain()]).await.expect("pushes");
    let me = worker_of(q, &[QueueName::default()]).await;
    let mine = claim(q, me.id, 2).await;
    q.leave(me.id, &me.queues).await.expect("leaves");
    assert!(q.workers().await.expect("reads").is_empty());
    let next = worker(q).await;
    let again = claim(q, next, 9).await;
    assert_eq!(again.len(), 2);
    assert!(again.iter().all(|job| (job.history.hand_backs, job.history.recoveries) == (1, 0)));
    assert_eq!(settle(q, &mine[0], Verdict::Succeeded).await, Settled::Stale);
}

async fn a_worker_hands_back_what_it_does_not_know(store: Store) {
    let q = &*store.queue;
    q.push(&[plain(), plain(), plain()]).await.expect("pushes");
    let (me, other) = (worker_of(q, &[QueueName::default()]).await, worker(q).await);
    let mine = claim(q, me.id, 2).await;
    let others = claim(q, other, 1).await;
    q.hand_back_others(me.id, &me.queues, &[mine[0].id, deskhand_jobs::JobId::new()]).await.expect("hands back");
    let again = claim(q, me.id, 9).await;
    assert_eq!(ids(&again), [mine[1].id], "neither what it knows nor what another has");
    assert_eq!((again[0].history.hand_backs, again[0].history.recoveries), (1, 0));
    assert_eq!(settle(q, &mine[1], Verdict::Succeeded).await, Settled::Stale);
    for job in [&mine[0], &others[0], &again[0]] {
        assert_eq!(settle(q, job, Verdict::Succeeded).await, Settled::Applied);
    }
    assert!(!q.beat(&me, false).await.expect("beats").lost, "it goes on living");
}

async fn many_jobs_of_a_dead_worker_all_come_back(store: Store) {
    let q = &*store.queue;
    let jobs: Vec<_> = (0..3_000).map(|_| plain()).collect();
    q.push(&jobs).await.expect("pushes");
    let dead = worker(q).await;
    let mut taken = 0;
    while taken < 3_000 {
        taken += claim(q, dead, 500).await.len();
    }
    store.pass(lease_ms() + 1).await;
    let live = worker_of(q, &[QueueName::default()]).await;
    for _ in 0..100 {
        if q.queues().await.expect("reads")[0].ready == 3_000 {
            break;
        }
        q.beat(&live, false).await.expect("beats");
    }
    let info = &q.queues().await.expect("reads")[0];
    assert_eq!((info.ready, info.running, info.recovered_total), (3_000, 0, 3_000));
}

async fn a_worker_is_rescued_in_all_its_queues(store: Store) {
    let q = &*store.queue;
    let both = [queue("one"), queue("two")];
    let jobs: Vec<_> = both.iter().map(|name| job(Options { queue: name.clone(), ..Options::default() })).collect();
    q.push(&jobs).await.expect("pushes");
    let dead = worker_of(q, &both).await;
    assert_eq!(q.claim(dead.id, &both, 9).await.expect("claims").jobs.len(), 2);
    store.pass(lease_ms() + 1).await;
    let live = worker_of(q, &both).await;
    q.beat(&live, false).await.expect("beats");
    assert_eq!(q.claim(live.id, &both, 9).await.expect("claims").jobs.len(), 2);
}

async fn workers_are_listed_while_they_live(store: Store) {
    let q = &*store.queue;
    let one = worker_of(q, &[queue("a"), queue("b")]).await;
    assert_eq!(q.workers().await.expect("reads"), [one]);
    store.pass(lease_ms() + 1).await;
    assert!(q.workers().await.expect("reads").is_empty(), "it is dead");
}

async fn a_wait_ends_when_a_job_is_pushed(store: Store) {
    let q = store.queue.clone();
    let me = worker(&*q).await;
    assert!(claim(&*q, me, 1).await.is_empty());
    let waiter = tokio::spawn({
        let q = q.clone();
        async move { q.wait(&[QueueName::default()], Duration::from_secs(20)).await }
    });
    let start = Instant::now();
    q.push(&[plain()]).await.expect("pushes");
    waiter.await.expect("no panic").expect("waits");
    assert!(start.elapsed() < Duration::from_secs(10), "woken, not timed out");
    assert_eq!(claim(&*q, me, 1).await.len(), 1);
}

async fn a_wake_up_that_its_hearer_cannot_use_reaches_another(store: Store) {
    let q = &*store.queue;
    let both = [queue("one"), queue("two")];
    let of = |name: &QueueName| job(Options { queue: name.clone(), ..Options::default() });
    let busy = worker_of(q, &both).await;
    q.push(&[of(&both[1])]).await.expect("pushes");
    q.wait(&both, Duration::from_secs(20)).await.expect("waits");
    // The hearer finds something better to do before it has looked there.
    q.push(&[of(&both[0])]).await.expect("pushes");
    assert_eq!(q.claim(busy.id, &both, 1).await.expect("claims").jobs[0].queue, both[0]);
    let start = Instant::now();
    q.wait(&both[1..], Duration::from_secs(20)).await.expect("waits");
    assert!(start.elapsed() < Duration::from_secs(10), "the wake-up was lost");
}

async fn a_wait_ends_by_itself(store: Store) {
    let q = &*store.queue;
    let me = worker(q).await;
    assert!(claim(q, me, 1).await.is_empty());
    // A marker may be left from before; at most one.
    for _ in 0..2 {
        q.wait(&[QueueName::default()], Duration::from_millis(20)).await.expect("waits");
    }
}

async fn a_push_between_claim_and_wait_is_not_missed(store: Store) {
    let q = &*store.queue;
    let me = worker(q).await;
    for _ in 0..20 {
        assert!(claim(q, me, 5).await.is_empty());
        q.push(&[plain()]).await.expect("pushes");
        let start = Instant::now();
        q.wait(&[QueueName::default()], Duration::from_secs(20)).await.expect("waits");
        assert!(start.elapsed() < Duration::from_secs(10), "the wake-up was missed");
        let jobs = claim(q, me, 5).await;
        assert_eq!(jobs.len(), 1);
        settle(q, &jobs[0], Verdict::Succeeded).await;
    }
}

async fn a_wait_for_no_queue_ends_by_itself(store: Store) {
    let start = Instant::now();
    store.queue.wait(&[], Duration::from_millis(50)).await.expect("waits");
    assert!(start.elapsed() >= Duration::from_millis(50), "who has no queue must not spin");
}

async fn a_beat_tells_when_another_worker_would_be_dead(store: Store) {
    let q = &*store.queue;
    let queues = [QueueName::default()];
    let me = worker_of(q, &queues).await;
    assert_eq!(q.beat(&me, false).await.expect("beats").next_expiry_ms, None, "alone");
    worker_of(q, &queues).await;
    store.pass(5_000).await;
    let other_ms = q.beat(&me, false).await.expect("beats").next_expiry_ms.expect("there is another");
    assert!((1..=LEASE.as_millis() as u64 - 5_000).contains(&other_ms), "{other_ms} ms");
    store.pass(other_ms as i64 + 1).await;
    // By then it is dead, and no longer one of the others.
    assert_eq!(q.beat(&me, false).await.expect("beats").next_expiry_ms, None);
}

async fn a_wake_up_that_died_with_its_hearer_comes_back_with_a_beat(store: Store) {
    let q = &*store.queue;
    let queues = [QueueName::default()];
    let me = worker_of(q, &queues).await;
    for later_ms in [0, 3_000] {
        let mut job = plain();
        job.run_at_ms = (later_ms > 0).then(|| job.id.created_at_ms() + later_ms);
        q.push(&[job]).await.expect("pushes");
        store.pass(later_ms + 1).await;
        // Somebody hears of it and looks no more.
        q.wait(&queues, Duration::from_millis(20)).await.expect("waits");
        q.beat(&me, false).await.expect("beats");
        let start = Instant::now();
        q.wait(&queues, Duration::from_secs(20)).await.expect("waits");
        assert!(start.elapsed() < Duration::from_secs(10), "nobody was woken");
        assert_eq!(claim(q, me.id, 5).await.len(), 1);
        q.wait(&queues, Duration::from_millis(20)).await.expect("takes what markers are left");
    }
}
