//! From push to claim: order, time, priority, uniqueness.

use std::collections::{BTreeSet, HashSet};

use deskhand_jobs::queue::{Cancelled, Endings, Page, Pushed, State, Verdict};
use deskhand_jobs::{Envelope, JobId, Options, Priority, QueueName, Unique, UniqueUntil};

use super::{claim, ids, job, on_every_store, plain, queue, settle, worker, worker_of};
use crate::fixtures::{Store, whole_id};

const ENDINGS: Endings = Endings::Drop;

on_every_store!(
    jobs_are_claimed_in_the_order_of_arrival,
    the_same_id_twice_is_one_job,
    the_urgent_come_first,
    a_scheduled_job_waits_for_its_time,
    many_due_jobs_are_promoted_in_bounded_steps,
    a_claim_says_when_the_next_job_is_due,
    the_first_queue_is_served_first,
    two_workers_never_get_the_same_job,
    a_unique_key_until_finished_holds_through_retries,
    a_unique_key_until_started_is_free_at_the_claim,
    conflicts_within_one_push_are_seen,
    payloads_arrive_as_they_were_sent,
    a_large_push_is_one_push,
    ids_of_every_kind_live_side_by_side,
);

async fn jobs_are_claimed_in_the_order_of_arrival(store: Store) {
    let q = &*store.queue;
    let jobs: Vec<_> = (0..5).map(|_| plain()).collect();
    assert_eq!(q.push(&jobs).await.expect("pushes"), vec![Pushed::Created; 5]);
    let me = worker(q).await;
    let first = claim(q, me, 3).await;
    let rest = claim(q, me, 3).await;
    let got: Vec<_> = [ids(&first), ids(&rest)].concat();
    assert_eq!(got, jobs.iter().map(|job| job.id).collect::<Vec<_>>());
    assert!(claim(q, me, 3).await.is_empty());
}

async fn the_same_id_twice_is_one_job(store: Store) {
    let q = &*store.queue;
    let one = plain();
    let both = q.push(&[one.clone(), one.clone()]).await.expect("pushes");
    assert_eq!(both, [Pushed::Created, Pushed::Duplicate]);
    let me = worker(q).await;
    let running = claim(q, me, 9).await;
    assert_eq!(running.len(), 1);
    assert_eq!(q.push(std::slice::from_ref(&one)).await.expect("pushes"), [Pushed::Duplicate], "while it runs");
    settle(q, &running[0], Verdict::Retry { delay_ms: 50_000, error: "no".into() }).await;
    assert_eq!(q.push(std::slice::from_ref(&one)).await.expect("pushes"), [Pushed::Duplicate], "while it is scheduled");
}

async fn the_urgent_come_first(store: Store) {
    let q = &*store.queue;
    let with = |priority| job(Options { priority, ..Options::default() });
    let jobs = [with(Priority::Low), with(Priority::Normal), with(Priority::Critical), with(Priority::High)];
    q.push(&jobs).await.expect("pushes");
    let me = worker(q).await;
    let got = ids(&claim(q, me, 10).await);
    assert_eq!(got, [jobs[2].id, jobs[3].id, jobs[1].id, jobs[0].id]);
}

async fn a_scheduled_job_waits_for_its_time(store: Store) {
    let q = &*store.queue;
    let me = worker(q).await;
    let now_ms = chrono::Utc::now().timestamp_millis();
    let mut later = job(Options { priority: Priority::High, ..Options::default() });
    later.run_at_ms = Some(now_ms + 8_000);
    let mut past = plain();
    past.run_at_ms = Some(now_ms - 60_000);
    q.push(&[later.clone(), past.clone()]).await.expect("pushes");
    assert_eq!(ids(&claim(q, me, 10).await), [past.id], "what is due in the past is ready");
    let seen = q.job(later.id).await.expect("reads").expect("is there");
    assert_eq!((seen.state, seen.run_at_ms), (State::Scheduled, later.run_at_ms));
    store.pass(8_001).await;
    assert_eq!(ids(&claim(q, me, 10).await), [later.id]);
}

async fn many_due_jobs_are_promoted_in_bounded_steps(store: Store) {
    let q = &*store.queue;
    let now_ms = chrono::Utc::now().timestamp_millis();
    let jobs: Vec<_> = (0..9_000)
        .map(|_| {
            let mut job = plain();
            job.run_at_ms = Some(now_ms + 1_000_000);
            job
        })
        .collect();
    q.push(&jobs).await.expect("pushes");
    store.pass(1_000_001).await;
    let me = worker(q).await;
    let mut got = HashSet::new();
    for _ in 0..40 {
        got.extend(ids(&claim(q, me, 400).await));
    }
    assert_eq!(got.len(), 9_000);
}

async fn a_claim_says_when_the_next_job_is_due(store: Store) {
    let q = &*store.queue;
    let me = worker(q).await;
    let nothing = q.claim(me, &[QueueName::default()], 1).await.expect("claims");
    assert_eq!(nothing.next_due_ms, None);
    let mut later = plain();
    later.run_at_ms = Some(chrono::Utc::now().timestamp_millis() + 60_000);
    q.push(&[later]).await.expect("pushes");
    let due = q.claim(me, &[QueueName::default()], 1).await.expect("claims").next_due_ms.expect("one is due");
    assert!((50_000..=60_000).contains(&due), "{due}");
}

async fn the_first_queue_is_served_first(store: Store) {
    let q = &*store.queue;
    let (fast, slow) = (queue("fast"), queue("slow"));
    let in_queue = |queue: &QueueName| job(Options { queue: queue.clone(), ..Options::default() });
    let jobs = [in_queue(&slow), in_queue(&fast), in_queue(&slow), in_queue(&fast)];
    q.push(&jobs).await.expect("pushes");
    let order = [fast, slow];
    let me = worker_of(q, &order).await.id;
    let got = q.claim(me, &order, 3).await.expect("claims").jobs;
    assert_eq!(ids(&got), [jobs[1].id, jobs[3].id, jobs[0].id]);
    assert_eq!(got[2].queue, order[1]);
}

async fn two_workers_never_get_the_same_job(store: Store) {
    let q = &*store.queue;
    let jobs: Vec<_> = (0..600).map(|_| plain()).collect();
    q.push(&jobs).await.expect("pushes");
    let (one, two) = (worker(q).await, worker(q).await);
    let mut seen = HashSet::new();
    for _ in 0..40 {
        let (a, b) = tokio::join!(claim(q, one, 10), claim(q, two, 10));
        for id in ids(&a).into_iter().chain(ids(&b)) {
            assert!(seen.insert(id), "{id} was claimed twice");
        }
    }
    assert_eq!(seen.len(), 600);
}

fn unique(until: UniqueUntil) -> Options {
    Options { unique: Some(Unique::new("system:1", until)), ..Options::default() }
}

async fn a_unique_key_until_finished_holds_through_retries(store: Store) {
    let q = &*store.queue;
    let (first, second) = (job(unique(UniqueUntil::Finished)), job(unique(UniqueUntil::Finished)));
    let conflict = [Pushed::Conflict { holder: first.id }];
    q.push(std::slice::from_ref(&first)).await.expect("pushes");
    let try_second = || q.push(std::slice::from_ref(&second));
    assert_eq!(try_second().await.expect("pushes"), conflict, "while it waits");
    assert!(q.job(second.id).await.expect("reads").is_none());
    let me = worker(q).await;
    let running = claim(q, me, 9).await;
    assert_eq!(try_second().await.expect("pushes"), conflict, "while it runs");
    settle(q, &running[0], Verdict::Retry { delay_ms: 10, error: "no".into() }).await;
    assert_eq!(try_second().await.expect("pushes"), conflict, "while it is retried");
    store.pass(1_000).await;
    let running = claim(q, me, 9).await;
    settle(q, &running[0], Verdict::Succeeded).await;
    assert_eq!(try_second().await.expect("pushes"), [Pushed::Created], "when it has ended");
}

async fn a_unique_key_until_started_is_free_at_the_claim(store: Store) {
    let q = &*store.queue;
    let jobs: Vec<_> = (0..3).map(|_| job(unique(UniqueUntil::Started))).collect();
    q.push(&jobs[..1]).await.expect("pushes");
    let me = worker(q).await;
    let first = claim(q, me, 9).await;
    assert_eq!(q.push(&jobs[1..2]).await.expect("pushes"), [Pushed::Created]);
    // The first one comes back and ends without taking the key from the second.
    settle(q, &first[0], Verdict::Retry { delay_ms: 0, error: "no".into() }).await;
    assert_eq!(q.push(&jobs[2..]).await.expect("pushes"), [Pushed::Conflict { holder: jobs[1].id }]);
}

async fn conflicts_within_one_push_are_seen(store: Store) {
    let q = &*store.queue;
    let jobs: Vec<_> = (0..2).map(|_| job(unique(UniqueUntil::Finished))).collect();
    let answers = q.push(&jobs).await.expect("pushes");
    assert_eq!(answers, [Pushed::Created, Pushed::Conflict { holder: jobs[0].id }]);
}

async fn payloads_arrive_as_they_were_sent(store: Store) {
    let q = &*store.queue;
    let sent = job(Options { max_attempts: 3, timeout_ms: 9, ..Options::default() });
    q.push(std::slice::from_ref(&sent)).await.expect("pushes");
    let me = worker(q).await;
    let got = claim(q, me, 1).await.pop().expect("one job");
    assert_eq!(got.payload, sent.encode());
    assert_eq!(got.history, deskhand_jobs::queue::History::default());
    assert!((got.claimed_at_ms - chrono::Utc::now().timestamp_millis()).abs() < 60_000);
}

async fn a_large_push_is_one_push(store: Store) {
    let q = &*store.queue;
    let jobs: Vec<_> = (0..2_345).map(|_| plain()).collect();
    let answers = q.push(&jobs).await.expect("pushes");
    assert_eq!(answers.len(), jobs.len());
    assert!(answers.iter().all(|answer| *answer == Pushed::Created));
    assert_eq!(q.queues().await.expect("reads")[0].ready, 2_345);
}

async fn ids_of_every_kind_live_side_by_side(store: Store) {
    let q = &*store.queue;
    let later = |job: Envelope| Envelope { run_at_ms: Some(JobId::new().created_at_ms() + 60_000), ..job };
    let mut jobs: Vec<Envelope> = (0..3).flat_map(|_| [plain(), Envelope { id: whole_id(), ..plain() }]).collect();
    jobs.push(Envelope { id: "00000000-0000-0000-0000-000000000007".parse().expect("a UUID"), ..plain() });
    let due: Vec<Envelope> =
        (0..2).flat_map(|_| [later(plain()), later(Envelope { id: whole_id(), ..plain() })]).collect();
    q.push(&[&jobs[..], &due[..]].concat()).await.expect("pushes");
    let again = q.push(&jobs).await.expect("answers");
    assert!(again.iter().all(|answer| *answer == Pushed::Duplicate), "{again:?}");

    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = Page { after: after.take(), size: 1 };
        let part = q.list(&QueueName::default(), State::Scheduled, page).await.expect("lists");
        seen.extend(part.jobs.iter().map(|job| job.id));
        after = part.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen.iter().collect::<BTreeSet<_>>(), due.iter().map(|job| &job.id).collect());
    assert_eq!(seen.len(), due.len(), "each once");

    let me = worker(q).await;
    let running = claim(q, me, 9).await;
    assert_eq!(ids(&running), jobs.iter().map(|job| job.id).collect::<Vec<_>>());
    for job in &running {
        settle(q, job, Verdict::Succeeded).await;
    }
    for job in &due {
        assert_eq!(q.cancel(job.id).await.expect("cancels"), Cancelled::Ended);
    }
    let info = &q.queues().await.expect("reads")[0];
    assert_eq!((info.ready, info.running, info.scheduled, info.succeeded_total), (0, 0, 0, jobs.len() as u64));
}
