//! What can be looked at.

use deskhand_jobs::queue::{DeadReason, Endings, Page, State, Verdict};
use deskhand_jobs::{Options, Priority, QueueName};

use super::{claim, forget_all, job, on_every_store, plain, settle, worker, worker_of};
use crate::fixtures::Store;

const ENDINGS: Endings = Endings::Keep;

on_every_store!(
    every_state_is_listed,
    the_ended_are_listed_latest_first,
    counts_follow_a_mixed_life,
    a_store_is_fit_for_use,
    dropped_endings_leave_no_trace_even_when_mixed,
);

async fn every_state_is_listed(store: Store) {
    let q = &*store.queue;
    let me = worker(q).await;
    let fates = [
        Some(Verdict::Succeeded),
        Some(Verdict::Cancelled { reason: "no".into() }),
        Some(Verdict::Dead { reason: DeadReason::Decode, error: "no".into() }),
        Some(Verdict::Retry { delay_ms: 60_000, error: "no".into() }),
        None,
    ];
    for fate in fates {
        q.push(&[plain()]).await.expect("pushes");
        let taken = claim(q, me, 1).await;
        if let Some(fate) = fate {
            settle(q, &taken[0], fate).await;
        }
    }
    q.push(&[plain()]).await.expect("pushes");
    for state in State::ALL {
        let listed = q.list(&QueueName::default(), state, Page::first(100)).await.expect("lists").jobs;
        assert_eq!(listed.len(), 1, "{state}");
        assert_eq!(listed[0].state, state);
        let read = q.job(listed[0].id).await.expect("reads").expect("is there");
        assert_eq!((read.state, read.history.clone()), (state, listed[0].history.clone()));
        assert_eq!(listed[0].lease, read.lease);
        assert_eq!(read.lease.is_some(), state == State::Running, "{state}");
    }
}

async fn the_ended_are_listed_latest_first(store: Store) {
    let q = &*store.queue;
    let me = worker_of(q, &[QueueName::default()]).await;
    let jobs: Vec<_> = (0..6).map(|_| plain()).collect();
    q.push(&jobs).await.expect("pushes");
    let mut taken = claim(q, me.id, 6).await;
    // Neither the order of the ids nor its reverse.
    taken.swap(1, 4);
    let mut expected = [Vec::new(), Vec::new(), Vec::new()];
    for (n, job) in taken.iter().enumerate() {
        let verdict = match n % 3 {
            0 => Verdict::Succeeded,
            1 => Verdict::Cancelled { reason: "no".into() },
            _ => Verdict::Dead { reason: DeadReason::Failed, error: "no".into() },
        };
        settle(q, job, verdict).await;
        store.pass(10).await;
        expected[n % 3].insert(0, job.id);
    }
    for (state, expected) in [State::Succeeded, State::Cancelled, State::Dead].into_iter().zip(expected) {
        let mut listed = Vec::new();
        let mut page = Some(Page::first(1));
        while let Some(asked) = page {
            let found = q.list(&QueueName::default(), state, asked).await.expect("lists");
            listed.extend(found.jobs);
            page = found.next.map(|next| Page::after(next, 1));
        }
        assert_eq!(listed.iter().map(|job| job.id).collect::<Vec<_>>(), expected, "{state}");
    }
}

async fn counts_follow_a_mixed_life(store: Store) {
    let q = &*store.queue;
    let me = worker(q).await;
    q.push(&(0..6).map(|_| plain()).collect::<Vec<_>>()).await.expect("pushes");
    let taken = claim(q, me, 5).await;
    settle(q, &taken[0], Verdict::Succeeded).await;
    settle(q, &taken[1], Verdict::Retry { delay_ms: 60_000, error: "no".into() }).await;
    settle(q, &taken[2], Verdict::Dead { reason: DeadReason::Failed, error: "no".into() }).await;
    settle(q, &taken[3], Verdict::HandBack).await;
    let info = q.queues().await.expect("reads").pop().expect("a queue");
    assert_eq!((info.ready, info.running, info.scheduled, info.dead), (2, 1, 1, 1));
    assert_eq!((info.pushed_total, info.succeeded_total, info.failed_total), (6, 1, 2));
}

async fn a_store_is_fit_for_use(store: Store) {
    let health = store.queue.check().await.expect("answers");
    assert!(!health.version.is_empty() && !health.durability.is_empty());
}

/// The fast path for plain successes and the careful one for the rest must agree.
async fn dropped_endings_leave_no_trace_even_when_mixed(store: Store) {
    let q = &*store.queue;
    let me = worker(q).await;
    q.push(&[plain(), job(Options { priority: Priority::High, ..Options::default() })]).await.expect("pushes");
    for taken in claim(q, me, 2).await {
        settle(q, &taken, Verdict::Succeeded).await;
        forget_all(q).await;
        assert!(q.job(taken.id).await.expect("reads").is_none());
    }
    assert!(q.endings(9).await.expect("reads").is_empty());
}
