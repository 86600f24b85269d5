//! How long finished jobs stay without anybody fetching them.

use deskhand_jobs::queue::{
    Batch, Cancelled, Claimed, DeadReason, Endings, Page, Pushed, Queue, Retention, State, Verdict,
};
use deskhand_jobs::{Envelope, JobId, Options, Priority, QueueName, Unique, UniqueUntil};

use super::{claim, job, on_every_store, plain, settle, settlement, worker, worker_of};
use crate::fixtures::Store;

const MAX_COUNT: u64 = 5;
const MAX_AGE_MS: i64 = 600_000;
const ENDINGS: Endings = Endings::Retain(Retention { max_count: MAX_COUNT, max_age_ms: MAX_AGE_MS as u64 });

on_every_store!(
    a_finished_job_stays_with_its_payload_and_is_no_record_to_fetch,
    the_id_of_a_retained_job_is_taken,
    the_oldest_go_when_there_are_too_many,
    the_old_go_with_a_beat_of_an_idle_queue,
    a_flood_of_ends_leaves_no_more_than_allowed,
    much_that_grew_old_goes_in_bounded_steps,
    the_dead_stay_whatever_their_number_and_age,
    a_retained_job_holds_no_key,
    each_queue_retains_its_own,
    a_closing_job_that_ended_long_ago_is_not_made_again_by_the_end_that_forgets_it,
);

async fn list(q: &dyn Queue, state: State) -> Vec<JobId> {
    let page = Page::first(1_000);
    q.list(&QueueName::default(), state, page).await.expect("lists").jobs.iter().map(|job| job.id).collect()
}

/// Runs a job to this end; so long after the one before that the order of ends is plain.
async fn end(store: &Store, job: &Envelope, verdict: Verdict) -> Claimed {
    let q = &*store.queue;
    assert_eq!(q.push(std::slice::from_ref(job)).await.expect("pushes"), [Pushed::Created]);
    let me = worker(q).await;
    let running = claim(q, me, 1).await.pop().expect("the job");
    store.pass(5).await;
    settle(q, &running, verdict).await;
    running
}

async fn a_finished_job_stays_with_its_payload_and_is_no_record_to_fetch(store: Store) {
    let q = &*store.queue;
    let urgent = job(Options { priority: Priority::High, ..Options::default() });
    end(&store, &urgent, Verdict::SucceededWith { result: 7.into() }).await;
    let waiting = plain();
    q.push(std::slice::from_ref(&waiting)).await.expect("pushes");
    q.cancel(waiting.id).await.expect("cancels");
    let seen = q.job(urgent.id).await.expect("reads").expect("it stays");
    assert_eq!((seen.state, seen.priority, seen.result), (State::Succeeded, Priority::High, Some(7.into())));
    assert_eq!(seen.payload.as_deref(), Some(&urgent.encode()[..]));
    assert!(seen.ended_at_ms.is_some());
    let seen = q.job(waiting.id).await.expect("reads").expect("it stays");
    assert_eq!((seen.state, seen.payload.as_deref()), (State::Cancelled, Some(&waiting.encode()[..])));
    assert!(q.endings(9).await.expect("reads").is_empty());
    assert_eq!(list(q, State::Succeeded).await, [urgent.id]);
    assert_eq!(list(q, State::Cancelled).await, [waiting.id]);
    let info = &q.queues().await.expect("reads")[0];
    assert_eq!((info.ready, info.running, info.scheduled, info.succeeded_total), (0, 0, 0, 1));
}

async fn the_id_of_a_retained_job_is_taken(store: Store) {
    let q = &*store.queue;
    let one = plain();
    end(&store, &one, Verdict::Succeeded).await;
    assert_eq!(q.push(std::slice::from_ref(&one)).await.expect("pushes"), [Pushed::Duplicate]);
    assert_eq!(q.known(&[one.id]).await.expect("reads"), [one.id]);
    assert_eq!(q.cancel(one.id).await.expect("answers"), Cancelled::AlreadyEnded);
    assert!(!q.retry_now(one.id).await.expect("answers"));
    assert!(q.redrive(&[one.id]).await.expect("answers").is_empty());
    store.pass(MAX_AGE_MS + 1).await;
    worker(q).await;
    assert!(q.known(&[one.id]).await.expect("reads").is_empty());
    assert_eq!(q.push(std::slice::from_ref(&one)).await.expect("pushes"), [Pushed::Created]);
}

async fn the_oldest_go_when_there_are_too_many(store: Store) {
    let q = &*store.queue;
    let mut all = Vec::new();
    for n in 0..9 {
        let one = plain();
        let cancelled = Verdict::Cancelled { reason: "not wanted".into() };
        end(&store, &one, if n % 3 == 0 { cancelled } else { Verdict::Succeeded }).await;
        all.push(one.id);
    }
    let mut stay: Vec<JobId> = all[9 - MAX_COUNT as usize..].to_vec();
    stay.sort();
    let mut there = [list(q, State::Succeeded).await, list(q, State::Cancelled).await].concat();
    there.sort();
    assert_eq!(there, stay);
    assert!(q.job(all[0]).await.expect("reads").is_none());
}

async fn the_old_go_with_a_beat_of_an_idle_queue(store: Store) {
    let q = &*store.queue;
    for _ in 0..3 {
        end(&store, &plain(), Verdict::Succeeded).await;
    }
    store.pass(MAX_AGE_MS - 60_000).await;
    let me = worker_of(q, &[QueueName::default()]).await;
    assert_eq!(list(q, State::Succeeded).await.len(), 3, "not before their time");
    store.pass(61_000).await;
    // Its lease has run out: it registers as at its start.
    q.beat(&me, true).await.expect("beats");
    assert!(list(q, State::Succeeded).await.is_empty());
}

async fn a_flood_of_ends_leaves_no_more_than_allowed(store: Store) {
    let q = &*store.queue;
    let jobs: Vec<Envelope> = (0..400).map(|_| plain()).collect();
    q.push(&jobs).await.expect("pushes");
    let me = worker(q).await;
    let running = claim(q, me, 400).await;
    let ends: Vec<_> = running.iter().map(|job| settlement(job, Verdict::Succeeded)).collect();
    q.settle(&ends).await.expect("settles");
    assert_eq!(list(q, State::Succeeded).await.len() as u64, MAX_COUNT);
}

async fn much_that_grew_old_goes_in_bounded_steps(store: Store) {
    let q = &*store.queue;
    for _ in 0..MAX_COUNT {
        end(&store, &plain(), Verdict::Succeeded).await;
    }
    store.pass(MAX_AGE_MS + 1).await;
    let last = plain();
    q.push(std::slice::from_ref(&last)).await.expect("pushes");
    q.cancel(last.id).await.expect("cancels");
    assert_eq!(list(q, State::Succeeded).await.len() as u64, MAX_COUNT - 2, "two for each end");
    worker(q).await;
    assert!(list(q, State::Succeeded).await.is_empty());
    assert_eq!(list(q, State::Cancelled).await, [last.id]);
}

async fn the_dead_stay_whatever_their_number_and_age(store: Store) {
    let q = &*store.queue;
    let dead = || Verdict::Dead { reason: DeadReason::Failed, error: "no".into() };
    let mut all = Vec::new();
    for _ in 0..MAX_COUNT + 3 {
        let one = plain();
        end(&store, &one, dead()).await;
        all.push(one.id);
    }
    store.pass(MAX_AGE_MS + 1).await;
    end(&store, &plain(), Verdict::Succeeded).await;
    assert_eq!(list(q, State::Dead).await.len(), all.len());
    // What is discarded is finished from then on.
    q.discard(&all[..1], "of no use").await.expect("discards");
    assert_eq!(list(q, State::Cancelled).await, all[..1]);
    q.redrive(&all[1..]).await.expect("redrives");
    assert_eq!(list(q, State::Ready).await.len(), all.len() - 1);
}

async fn a_retained_job_holds_no_key(store: Store) {
    let q = &*store.queue;
    let keyed = || job(Options { unique: Some(Unique::new("k", UniqueUntil::Finished)), ..Options::default() });
    end(&store, &keyed(), Verdict::Succeeded).await;
    assert_eq!(q.push(&[keyed()]).await.expect("pushes"), [Pushed::Created]);
}

async fn each_queue_retains_its_own(store: Store) {
    let q = &*store.queue;
    let other = super::queue("other");
    let elsewhere: Vec<Envelope> =
        (0..8).map(|_| job(Options { queue: other.clone(), ..Options::default() })).collect();
    q.push(&elsewhere).await.expect("pushes");
    for job in &elsewhere {
        store.pass(5).await;
        q.cancel(job.id).await.expect("cancels");
    }
    end(&store, &plain(), Verdict::Succeeded).await;
    let page = Page::first(99);
    assert_eq!(q.list(&other, State::Cancelled, page).await.expect("lists").jobs.len() as u64, MAX_COUNT);
    assert_eq!(list(q, State::Succeeded).await.len(), 1);
}

async fn a_closing_job_that_ended_long_ago_is_not_made_again_by_the_end_that_forgets_it(store: Store) {
    let q = &*store.queue;
    let batch = Batch::new(plain()).expect("may close");
    let then = batch.then().clone();
    q.open_batch(&batch).await.expect("opens");
    q.push(&[then.clone(), Envelope { batch: Some(batch.id()), ..plain() }]).await.expect("pushes");
    assert_eq!(q.cancel(then.id).await.expect("cancels"), Cancelled::Ended);
    store.pass(MAX_AGE_MS + 1_000).await;
    q.cancel_batch(batch.id()).await.expect("cancels");
    assert_eq!(list(q, State::Ready).await, []);
    assert_eq!(q.queues().await.expect("reads")[0].pushed_total, 2);
}
