//! What people do to jobs and queues.

use deskhand_jobs::queue::{Cancelled, DeadReason, Endings, Pushed, State, Verdict};
use deskhand_jobs::{JobId, Options, Priority, QueueName, Unique, UniqueUntil};

use super::{claim, ids, job, on_every_store, plain, queue, settle, worker, worker_of};
use crate::fixtures::Store;

const ENDINGS: Endings = Endings::Keep;

on_every_store!(
    a_waiting_job_is_cancelled_at_once,
    a_running_job_is_asked_to_stop,
    a_job_asked_to_stop_is_not_run_again,
    a_job_asked_to_stop_may_still_succeed,
    what_has_ended_cannot_be_cancelled,
    a_scheduled_job_can_be_made_ready,
    the_dead_are_redriven_with_fresh_counters,
    a_redriven_job_takes_its_key_back_if_it_is_free,
    the_dead_are_discarded,
    a_paused_queue_hands_out_nothing,
    a_queue_can_be_paused_before_its_first_job,
    what_ends_while_nobody_runs_it_names_no_worker,
    a_redriven_job_does_not_take_back_a_key_that_held_until_its_start,
);

async fn a_waiting_job_is_cancelled_at_once(store: Store) {
    let q = &*store.queue;
    let unique = Some(Unique::new("k", UniqueUntil::Finished));
    let ready = job(Options { priority: Priority::High, unique: unique.clone(), ..Options::default() });
    let mut scheduled = plain();
    scheduled.run_at_ms = Some(chrono::Utc::now().timestamp_millis() + 100_000);
    q.push(&[ready.clone(), scheduled.clone(), plain()]).await.expect("pushes");
    for id in [ready.id, scheduled.id] {
        assert_eq!(q.cancel(id).await.expect("cancels"), Cancelled::Ended);
        assert_eq!(q.job(id).await.expect("reads").expect("its record").state, State::Cancelled);
    }
    let info = &q.queues().await.expect("reads")[0];
    assert_eq!((info.ready, info.scheduled), (1, 0));
    let again = job(Options { unique, ..Options::default() });
    assert_eq!(q.push(&[again]).await.expect("pushes"), [Pushed::Created], "the key is free");
    let me = worker(q).await;
    assert!(!ids(&claim(q, me, 9).await).contains(&ready.id));
    assert_eq!(q.cancel(JobId::new()).await.expect("answers"), Cancelled::Unknown);
}

async fn a_running_job_is_asked_to_stop(store: Store) {
    let q = &*store.queue;
    q.push(&[plain(), plain()]).await.expect("pushes");
    let me = worker_of(q, &[QueueName::default()]).await;
    let other = worker_of(q, &[QueueName::default()]).await;
    let mine = claim(q, me.id, 2).await;
    assert!(q.stops(me.id, &me.queues).await.expect("reads").is_empty());
    assert_eq!(q.cancel(mine[0].id).await.expect("cancels"), Cancelled::Asked);
    assert_eq!(q.stops(me.id, &me.queues).await.expect("reads"), [mine[0].id]);
    assert!(q.stops(other.id, &other.queues).await.expect("reads").is_empty(), "not the other's job");
    settle(q, &mine[0], Verdict::Cancelled { reason: "stopped".into() }).await;
    assert!(q.stops(me.id, &me.queues).await.expect("reads").is_empty());
}

async fn a_job_asked_to_stop_is_not_run_again(store: Store) {
    let q = &*store.queue;
    q.push(&[plain(), plain()]).await.expect("pushes");
    let me = worker(q).await;
    let mine = claim(q, me, 2).await;
    for job in &mine {
        q.cancel(job.id).await.expect("cancels");
    }
    settle(q, &mine[0], Verdict::Retry { delay_ms: 0, error: "interrupted".into() }).await;
    settle(q, &mine[1], Verdict::HandBack).await;
    store.pass(1_000).await;
    assert!(claim(q, me, 2).await.is_empty());
    for job in &mine {
        assert_eq!(q.job(job.id).await.expect("reads").expect("its record").state, State::Cancelled);
    }
}

async fn a_job_asked_to_stop_may_still_succeed(store: Store) {
    let q = &*store.queue;
    q.push(&[plain()]).await.expect("pushes");
    let me = worker(q).await;
    let mine = claim(q, me, 1).await;
    q.cancel(mine[0].id).await.expect("cancels");
    settle(q, &mine[0], Verdict::Succeeded).await;
    assert_eq!(q.job(mine[0].id).await.expect("reads").expect("its record").state, State::Succeeded);
}

async fn what_has_ended_cannot_be_cancelled(store: Store) {
    let q = &*store.queue;
    q.push(&[plain(), plain()]).await.expect("pushes");
    let me = worker(q).await;
    let mine = claim(q, me, 2).await;
    settle(q, &mine[0], Verdict::Succeeded).await;
    settle(q, &mine[1], Verdict::Dead { reason: DeadReason::Failed, error: "no".into() }).await;
    for job in &mine {
        assert_eq!(q.cancel(job.id).await.expect("answers"), Cancelled::AlreadyEnded);
    }
}

async fn a_scheduled_job_can_be_made_ready(store: Store) {
    let q = &*store.queue;
    let mut later = plain();
    later.run_at_ms = Some(chrono::Utc::now().timestamp_millis() + 100_000);
    q.push(std::slice::from_ref(&later)).await.expect("pushes");
    assert!(q.retry_now(later.id).await.expect("answers"));
    assert!(!q.retry_now(later.id).await.expect("answers"), "it is ready already");
    let me = worker(q).await;
    assert_eq!(ids(&claim(q, me, 1).await), [later.id]);
}

async fn the_dead_are_redriven_with_fresh_counters(store: Store) {
    let q = &*store.queue;
    q.push(&[plain(), plain()]).await.expect("pushes");
    let me = worker(q).await;
    let mine = claim(q, me, 2).await;
    settle(q, &mine[0], Verdict::Dead { reason: DeadReason::Exhausted, error: "no".into() }).await;
    let moved = q.redrive(&[mine[0].id, mine[1].id, JobId::new()]).await.expect("redrives");
    assert_eq!(moved, [mine[0].id], "only what is dead");
    assert!(q.endings(9).await.expect("reads").is_empty(), "it has not ended");
    let info = &q.queues().await.expect("reads")[0];
    assert_eq!((info.ready, info.running, info.dead), (1, 1, 0));
    let again = claim(q, me, 2).await;
    assert_eq!(ids(&again), [mine[0].id]);
    assert_eq!(again[0].history.failures, 0);
}

async fn a_redriven_job_takes_its_key_back_if_it_is_free(store: Store) {
    let q = &*store.queue;
    let with_key = || job(Options { unique: Some(Unique::new("k", UniqueUntil::Finished)), ..Options::default() });
    let (first, second) = (with_key(), with_key());
    let me = worker(q).await;
    q.push(std::slice::from_ref(&first)).await.expect("pushes");
    let mine = claim(q, me, 1).await;
    settle(q, &mine[0], Verdict::Dead { reason: DeadReason::Failed, error: "no".into() }).await;
    q.redrive(&[first.id]).await.expect("redrives");
    let push = || q.push(std::slice::from_ref(&second));
    assert_eq!(push().await.expect("pushes"), [Pushed::Conflict { holder: first.id }], "taken back");
    let mine = claim(q, me, 1).await;
    settle(q, &mine[0], Verdict::Dead { reason: DeadReason::Failed, error: "no".into() }).await;
    assert_eq!(push().await.expect("pushes"), [Pushed::Created], "free while it is dead");
    assert_eq!(q.redrive(&[first.id]).await.expect("redrives"), [first.id]);
    assert_eq!(claim(q, me, 9).await.len(), 2, "it runs without the key");
}

async fn the_dead_are_discarded(store: Store) {
    let q = &*store.queue;
    q.push(&[plain()]).await.expect("pushes");
    let me = worker(q).await;
    let mine = claim(q, me, 1).await;
    settle(q, &mine[0], Verdict::Dead { reason: DeadReason::Failed, error: "no".into() }).await;
    assert_eq!(q.discard(&[mine[0].id], "not worth it").await.expect("discards"), [mine[0].id]);
    let ending = q.endings(9).await.expect("reads").pop().expect("a record");
    assert_eq!((ending.state, ending.history.last_error.as_deref()), (State::Cancelled, Some("not worth it")));
    assert_eq!(q.queues().await.expect("reads")[0].dead, 0);
}

async fn a_paused_queue_hands_out_nothing(store: Store) {
    let q = &*store.queue;
    let (paused, open) = (queue("paused"), queue("open"));
    let jobs: Vec<_> = [&paused, &open].map(|name| job(Options { queue: name.clone(), ..Options::default() })).into();
    q.push(&jobs).await.expect("pushes");
    q.pause(&paused).await.expect("pauses");
    let both = [paused.clone(), open];
    let me = worker_of(q, &both).await.id;
    assert_eq!(ids(&q.claim(me, &both, 9).await.expect("claims").jobs), [jobs[1].id]);
    assert!(q.queues().await.expect("reads").iter().any(|info| info.name == paused && info.paused));
    q.resume(&paused).await.expect("resumes");
    q.wait(&both, std::time::Duration::from_secs(20)).await.expect("a resume wakes");
    assert_eq!(ids(&q.claim(me, &both, 9).await.expect("claims").jobs), [jobs[0].id]);
}

async fn a_queue_can_be_paused_before_its_first_job(store: Store) {
    let q = &*store.queue;
    q.pause(&queue("early")).await.expect("pauses");
    let infos = q.queues().await.expect("reads");
    assert!(infos.iter().any(|info| info.name == queue("early") && info.paused), "{infos:?}");
}

async fn what_ends_while_nobody_runs_it_names_no_worker(store: Store) {
    let q = &*store.queue;
    let me = worker(q).await;
    q.push(&[plain(), plain()]).await.expect("pushes");
    let mine = claim(q, me, 2).await;
    settle(q, &mine[0], Verdict::Dead { reason: DeadReason::Failed, error: "no".into() }).await;
    assert_eq!(
        q.endings(9).await.expect("reads")[0].running,
        Some((me, mine[0].claimed_at_ms)),
        "it died while it ran"
    );
    settle(q, &mine[1], Verdict::Retry { delay_ms: 60_000, error: "no".into() }).await;
    store.pass(10_000).await;
    q.discard(&[mine[0].id], "not worth it").await.expect("discards");
    q.cancel(mine[1].id).await.expect("cancels");
    let endings = q.endings(9).await.expect("reads");
    assert_eq!(endings.iter().map(|ending| ending.running).collect::<Vec<_>>(), [None, None]);
}

async fn a_redriven_job_does_not_take_back_a_key_that_held_until_its_start(store: Store) {
    let q = &*store.queue;
    let with_key = || job(Options { unique: Some(Unique::new("k", UniqueUntil::Started)), ..Options::default() });
    let me = worker(q).await;
    q.push(&[with_key()]).await.expect("pushes");
    let mine = claim(q, me, 1).await;
    settle(q, &mine[0], Verdict::Dead { reason: DeadReason::Failed, error: "no".into() }).await;
    q.redrive(&[mine[0].id]).await.expect("redrives");
    assert_eq!(q.push(&[with_key()]).await.expect("pushes"), [Pushed::Created], "an attempt had started");
    assert_eq!(claim(q, me, 9).await.len(), 2);
}
