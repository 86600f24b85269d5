//! Unique keys that hold for a time, and jobs that come in place of others.

use deskhand_jobs::queue::{Endings, Pushed, Queue, Settled, State, Verdict};
use deskhand_jobs::{Envelope, Options, Priority, Unique, UniqueUntil};

use super::{claim, ids, job, on_every_store, plain, settle, with_args, worker};
use crate::fixtures::Store;

const ENDINGS: Endings = Endings::Keep;

on_every_store!(
    a_key_holds_no_longer_than_its_time,
    the_time_counts_from_the_push_and_not_from_a_retry,
    who_lost_the_key_does_not_free_it_for_others,
    a_key_with_a_time_is_free_at_the_end_of_its_job_all_the_same,
    a_key_with_a_time_until_started_is_free_at_the_claim,
    a_redriven_job_takes_its_key_back_only_within_its_time,
    a_waiting_job_is_replaced,
    a_running_job_is_not_replaced,
    a_job_replaces_one_of_the_same_push,
    the_same_job_again_replaces_nothing,
    who_replaces_may_be_replaced,
);

fn keyed(unique: Unique) -> Envelope {
    job(Options { unique: Some(unique), ..Options::default() })
}

fn key() -> Unique {
    Unique::new("system:1\nwith: a colon", UniqueUntil::Finished)
}

async fn push(q: &dyn Queue, job: &Envelope) -> Pushed {
    q.push(std::slice::from_ref(job)).await.expect("pushes")[0]
}

async fn a_key_holds_no_longer_than_its_time(store: Store) {
    let q = &*store.queue;
    let (first, second, third) = (keyed(key().for_ms(60_000)), keyed(key().for_ms(60_000)), keyed(key()));
    assert_eq!(push(q, &first).await, Pushed::Created);
    store.pass(50_000).await;
    assert_eq!(push(q, &second).await, Pushed::Conflict { holder: first.id });
    store.pass(11_000).await;
    assert_eq!(push(q, &second).await, Pushed::Created);
    assert_eq!(push(q, &third).await, Pushed::Conflict { holder: second.id });
    let me = worker(q).await;
    assert_eq!(ids(&claim(q, me, 9).await), [first.id, second.id], "the first goes on without the key");
}

async fn the_time_counts_from_the_push_and_not_from_a_retry(store: Store) {
    let q = &*store.queue;
    let (first, second) = (keyed(key().for_ms(60_000)), keyed(key()));
    push(q, &first).await;
    store.pass(50_000).await;
    let me = worker(q).await;
    settle(q, &claim(q, me, 1).await[0], Verdict::Retry { delay_ms: 100_000, error: "no".into() }).await;
    assert_eq!(push(q, &second).await, Pushed::Conflict { holder: first.id });
    store.pass(11_000).await;
    assert_eq!(push(q, &second).await, Pushed::Created);
}

async fn who_lost_the_key_does_not_free_it_for_others(store: Store) {
    let q = &*store.queue;
    let me = worker(q).await;
    for size in [10, 5_000] {
        let (first, second, third) = (keyed(key().for_ms(1_000)), keyed(key()), keyed(key()));
        push(q, &with_args(first, size)).await;
        let running = claim(q, me, 1).await;
        store.pass(2_000).await;
        assert_eq!(push(q, &second).await, Pushed::Created);
        assert_eq!(settle(q, &running[0], Verdict::Succeeded).await, Settled::Applied);
        assert_eq!(push(q, &third).await, Pushed::Conflict { holder: second.id });
        settle(q, &claim(q, me, 1).await[0], Verdict::Succeeded).await;
    }
}

async fn a_key_with_a_time_is_free_at_the_end_of_its_job_all_the_same(store: Store) {
    let q = &*store.queue;
    push(q, &keyed(key().for_ms(60_000))).await;
    let me = worker(q).await;
    settle(q, &claim(q, me, 1).await[0], Verdict::Succeeded).await;
    assert_eq!(push(q, &keyed(key())).await, Pushed::Created);
}

async fn a_key_with_a_time_until_started_is_free_at_the_claim(store: Store) {
    let q = &*store.queue;
    let started = || Unique::new("k", UniqueUntil::Started);
    let (first, second) = (keyed(started().for_ms(60_000)), keyed(started().for_ms(60_000)));
    push(q, &first).await;
    assert_eq!(push(q, &second).await, Pushed::Conflict { holder: first.id });
    let me = worker(q).await;
    assert_eq!(ids(&claim(q, me, 9).await), [first.id]);
    assert_eq!(push(q, &second).await, Pushed::Created);
}

async fn a_redriven_job_takes_its_key_back_only_within_its_time(store: Store) {
    let q = &*store.queue;
    let me = worker(q).await;
    let first = keyed(key().for_ms(60_000));
    push(q, &first).await;
    let dead = || Verdict::Dead { reason: deskhand_jobs::queue::DeadReason::Failed, error: "no".into() };
    settle(q, &claim(q, me, 1).await[0], dead()).await;
    q.redrive(&[first.id]).await.expect("redrives");
    let second = keyed(key());
    assert_eq!(push(q, &second).await, Pushed::Conflict { holder: first.id });
    settle(q, &claim(q, me, 1).await[0], dead()).await;
    store.pass(61_000).await;
    q.redrive(&[first.id]).await.expect("redrives");
    assert_eq!(push(q, &second).await, Pushed::Created);
}

async fn a_waiting_job_is_replaced(store: Store) {
    let q = &*store.queue;
    let me = worker(q).await;
    let ready = || job(Options { priority: Priority::Low, unique: Some(key().replace()), ..Options::default() });
    let mut later = ready();
    later.run_at_ms = Some(chrono::Utc::now().timestamp_millis() + 100_000);
    let retried = ready();
    push(q, &retried).await;
    settle(q, &claim(q, me, 1).await[0], Verdict::Retry { delay_ms: 100_000, error: "no".into() }).await;
    let last = ready();
    let mut before = retried.id;
    for new in [ready(), later, last.clone()] {
        assert_eq!(push(q, &new).await, Pushed::Replaced { old: before });
        let old = q.job(before).await.expect("reads").expect("its record");
        assert_eq!((old.state, old.priority), (State::Cancelled, Priority::Low));
        assert_eq!(old.history.last_error, Some(format!("replaced by job {}", new.id)));
        before = new.id;
    }
    let endings = q.endings(9).await.expect("reads");
    assert!(endings.len() == 3 && endings.iter().all(|end| end.running.is_none()), "{endings:?}");
    let info = &q.queues().await.expect("reads")[0];
    assert_eq!((info.ready, info.scheduled, info.pushed_total), (1, 0, 4));
    assert_eq!(ids(&claim(q, me, 9).await), [last.id]);
}

async fn a_running_job_is_not_replaced(store: Store) {
    let q = &*store.queue;
    let (first, second) = (keyed(key()), keyed(key().replace()));
    push(q, &first).await;
    let me = worker(q).await;
    let running = claim(q, me, 1).await;
    assert_eq!(push(q, &second).await, Pushed::Conflict { holder: first.id });
    assert!(q.job(second.id).await.expect("reads").is_none());
    assert_eq!(settle(q, &running[0], Verdict::Succeeded).await, Settled::Applied);
}

async fn a_job_replaces_one_of_the_same_push(store: Store) {
    let q = &*store.queue;
    let jobs = [plain(), keyed(key()), plain(), keyed(key().replace()), keyed(key()), plain()];
    let answers = q.push(&jobs).await.expect("pushes");
    let (created, old, holder) = (Pushed::Created, jobs[1].id, jobs[3].id);
    assert_eq!(answers, [created, created, created, Pushed::Replaced { old }, Pushed::Conflict { holder }, created]);
    let me = worker(q).await;
    assert_eq!(ids(&claim(q, me, 9).await), [jobs[0].id, jobs[2].id, jobs[3].id, jobs[5].id]);
    assert_eq!(q.queues().await.expect("reads")[0].pushed_total, 5);
}

async fn the_same_job_again_replaces_nothing(store: Store) {
    let q = &*store.queue;
    let (first, second) = (keyed(key().replace()), keyed(key().replace()));
    push(q, &first).await;
    assert_eq!(push(q, &first).await, Pushed::Duplicate);
    assert_eq!(push(q, &second).await, Pushed::Replaced { old: first.id });
    assert_eq!(push(q, &first).await, Pushed::Duplicate, "its record is there");
    assert_eq!(q.job(second.id).await.expect("reads").expect("is there").state, State::Ready);
}

async fn who_replaces_may_be_replaced(store: Store) {
    let q = &*store.queue;
    let jobs: Vec<_> = (0..60).map(|_| keyed(key().replace())).collect();
    let answers = q.push(&jobs).await.expect("pushes");
    assert_eq!(answers[0], Pushed::Created);
    for (pair, answer) in jobs.windows(2).zip(&answers[1..]) {
        assert_eq!(*answer, Pushed::Replaced { old: pair[0].id });
    }
    let me = worker(q).await;
    assert_eq!(ids(&claim(q, me, 9).await), [jobs[59].id]);
}
