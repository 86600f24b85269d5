//! How attempts end: verdicts, the fence, the records of endings.

use deskhand_jobs::Options;
use deskhand_jobs::queue::{DeadReason, Endings, Pushed, Settled, State, Verdict};

use super::{claim, forget_all, ids, job, on_every_store, plain, queue, settle, settlement, worker, worker_of};
use crate::fixtures::Store;

const ENDINGS: Endings = Endings::Keep;

on_every_store!(
    a_success_leaves_only_its_record,
    a_failure_is_scheduled_again_and_counted,
    a_snooze_counts_nothing,
    a_hand_back_is_ready_at_once_and_before_others,
    what_is_set_aside_keeps_its_first_date,
    a_dead_job_keeps_its_payload,
    a_cancelled_verdict_ends_with_its_reason,
    a_stale_answer_changes_nothing_and_harms_no_neighbour,
    the_same_answer_twice_counts_once,
    an_old_lease_is_stale_after_the_next_claim,
    a_recorded_job_is_a_duplicate_until_forgotten,
    errors_keep_their_text,
    no_queue_hides_the_endings_of_another,
    a_newer_ending_is_not_forgotten_with_the_older,
    a_failure_or_a_snooze_ends_being_set_aside,
);

async fn a_success_leaves_only_its_record(store: Store) {
    let q = &*store.queue;
    let one = plain();
    q.push(std::slice::from_ref(&one)).await.expect("pushes");
    let me = worker(q).await;
    let running = claim(q, me, 1).await;
    let seen = q.job(one.id).await.expect("reads").expect("is there");
    assert_eq!(seen.state, State::Running);
    assert_eq!(seen.running, Some((me, running[0].claimed_at_ms)));
    assert_eq!(settle(q, &running[0], Verdict::Succeeded).await, Settled::Applied);
    let seen = q.job(one.id).await.expect("reads").expect("its record");
    assert_eq!(seen.state, State::Succeeded);
    let endings = q.endings(10).await.expect("reads");
    assert_eq!(endings.len(), 1);
    assert_eq!((endings[0].id, endings[0].state), (one.id, State::Succeeded));
    assert_eq!(endings[0].running, Some((me, running[0].claimed_at_ms)));
    assert!(endings[0].ended_at_ms >= running[0].claimed_at_ms);
    forget_all(q).await;
    assert!(q.job(one.id).await.expect("reads").is_none());
    assert!(q.endings(10).await.expect("reads").is_empty());
    let info = &q.queues().await.expect("reads")[0];
    assert_eq!((info.ready, info.running, info.pushed_total, info.succeeded_total), (0, 0, 1, 1));
}

async fn a_failure_is_scheduled_again_and_counted(store: Store) {
    let q = &*store.queue;
    q.push(&[plain()]).await.expect("pushes");
    let me = worker(q).await;
    for failures in 1..=3 {
        let running = claim(q, me, 1).await;
        assert_eq!(running[0].history.failures, failures - 1);
        settle(q, &running[0], Verdict::Retry { delay_ms: 5_000, error: format!("failure {failures}") }).await;
        assert!(claim(q, me, 1).await.is_empty(), "not before its time");
        let seen = q.job(running[0].id).await.expect("reads").expect("is there");
        assert_eq!((seen.state, seen.history.failures), (State::Scheduled, failures));
        assert_eq!(seen.history.last_error, Some(format!("failure {failures}")));
        assert!(seen.run_at_ms.expect("due") >= running[0].claimed_at_ms + 5_000);
        store.pass(5_000).await;
    }
    assert_eq!(q.queues().await.expect("reads")[0].failed_total, 3);
}

async fn a_snooze_counts_nothing(store: Store) {
    let q = &*store.queue;
    q.push(&[plain()]).await.expect("pushes");
    let me = worker(q).await;
    let running = claim(q, me, 1).await;
    settle(q, &running[0], Verdict::Snooze { delay_ms: 5_000 }).await;
    store.pass(5_000).await;
    let again = claim(q, me, 1).await;
    assert_eq!(ids(&again), ids(&running));
    assert_eq!(again[0].history, running[0].history);
}

async fn a_hand_back_is_ready_at_once_and_before_others(store: Store) {
    let q = &*store.queue;
    let jobs = [plain(), plain()];
    q.push(&jobs).await.expect("pushes");
    let me = worker(q).await;
    let running = claim(q, me, 1).await;
    settle(q, &running[0], Verdict::HandBack).await;
    let again = claim(q, me, 2).await;
    assert_eq!(ids(&again), [jobs[0].id, jobs[1].id]);
    let history = &again[0].history;
    assert_eq!((history.failures, history.recoveries, history.hand_backs), (0, 0, 1));
}

async fn what_is_set_aside_keeps_its_first_date(store: Store) {
    let q = &*store.queue;
    q.push(&[plain()]).await.expect("pushes");
    let me = worker(q).await;
    let running = claim(q, me, 1).await;
    settle(q, &running[0], Verdict::SetAside { delay_ms: 1_000 }).await;
    store.pass(6_000).await;
    let again = claim(q, me, 1).await;
    let since = again[0].history.aside_since_ms.expect("noted");
    assert!((again[0].claimed_at_ms - since) >= 6_000, "{since}");
    settle(q, &again[0], Verdict::SetAside { delay_ms: 1_000 }).await;
    store.pass(1_000).await;
    assert_eq!(claim(q, me, 1).await[0].history.aside_since_ms, Some(since));
}

async fn a_dead_job_keeps_its_payload(store: Store) {
    let q = &*store.queue;
    let one = plain();
    q.push(std::slice::from_ref(&one)).await.expect("pushes");
    let me = worker(q).await;
    let running = claim(q, me, 1).await;
    settle(q, &running[0], Verdict::Dead { reason: DeadReason::Failed, error: "bad password".into() }).await;
    let endings = q.endings(10).await.expect("reads");
    assert_eq!((endings[0].state, endings[0].dead_reason), (State::Dead, Some(DeadReason::Failed)));
    assert_eq!(endings[0].history.last_error.as_deref(), Some("bad password"));
    forget_all(q).await;
    let seen = q.job(one.id).await.expect("reads").expect("dead does not disappear");
    assert_eq!((seen.state, seen.dead_reason), (State::Dead, Some(DeadReason::Failed)));
    assert_eq!(seen.history.failures, 1);
    assert_eq!(seen.payload.as_deref(), Some(&one.encode()[..]));
    assert_eq!(q.queues().await.expect("reads")[0].dead, 1);
}

async fn a_cancelled_verdict_ends_with_its_reason(store: Store) {
    let q = &*store.queue;
    q.push(&[plain()]).await.expect("pushes");
    let me = worker(q).await;
    let running = claim(q, me, 1).await;
    settle(q, &running[0], Verdict::Cancelled { reason: "no longer wanted".into() }).await;
    let endings = q.endings(10).await.expect("reads");
    assert_eq!(endings[0].state, State::Cancelled);
    assert_eq!(endings[0].history.last_error.as_deref(), Some("no longer wanted"));
}

async fn a_stale_answer_changes_nothing_and_harms_no_neighbour(store: Store) {
    let q = &*store.queue;
    q.push(&[plain(), plain(), plain()]).await.expect("pushes");
    let me = worker(q).await;
    let jobs = claim(q, me, 3).await;
    settle(q, &jobs[1], Verdict::Succeeded).await;
    let batch: Vec<_> = jobs.iter().map(|job| settlement(job, Verdict::Succeeded)).collect();
    let answers = q.settle(&batch).await.expect("settles");
    assert_eq!(answers, [Settled::Applied, Settled::Stale, Settled::Applied]);
    assert_eq!(q.queues().await.expect("reads")[0].succeeded_total, 3);
}

async fn the_same_answer_twice_counts_once(store: Store) {
    let q = &*store.queue;
    q.push(&[plain()]).await.expect("pushes");
    let me = worker(q).await;
    let one = claim(q, me, 1).await.pop().expect("a job");
    let retry = || settlement(&one, Verdict::Retry { delay_ms: 1_000, error: "no".into() });
    assert_eq!(q.settle(&[retry(), retry()]).await.expect("settles"), [Settled::Applied, Settled::Stale]);
    assert_eq!(q.job(one.id).await.expect("reads").expect("is there").history.failures, 1);
}

async fn an_old_lease_is_stale_after_the_next_claim(store: Store) {
    let q = &*store.queue;
    q.push(&[plain()]).await.expect("pushes");
    let me = worker(q).await;
    let old = claim(q, me, 1).await.pop().expect("a job");
    settle(q, &old, Verdict::HandBack).await;
    let new = claim(q, me, 1).await.pop().expect("a job");
    assert_eq!(settle(q, &old, Verdict::Succeeded).await, Settled::Stale);
    assert_eq!(settle(q, &new, Verdict::Succeeded).await, Settled::Applied);
}

async fn a_recorded_job_is_a_duplicate_until_forgotten(store: Store) {
    let q = &*store.queue;
    let one = plain();
    let push = || q.push(std::slice::from_ref(&one));
    push().await.expect("pushes");
    let me = worker(q).await;
    let running = claim(q, me, 1).await;
    settle(q, &running[0], Verdict::Succeeded).await;
    assert_eq!(push().await.expect("pushes"), [Pushed::Duplicate]);
    assert_eq!(q.known(&[one.id, plain().id]).await.expect("reads"), [one.id]);
    forget_all(q).await;
    assert!(q.known(&[one.id]).await.expect("reads").is_empty());
    assert_eq!(push().await.expect("pushes"), [Pushed::Created]);
}

async fn errors_keep_their_text(store: Store) {
    let q = &*store.queue;
    let text = "line one\nline \"two\": ümlaut, 中文 \\ : end";
    q.push(&[job(Options::default())]).await.expect("pushes");
    let me = worker(q).await;
    let running = claim(q, me, 1).await;
    settle(q, &running[0], Verdict::Retry { delay_ms: 0, error: text.into() }).await;
    store.pass(10).await;
    let running = claim(q, me, 1).await;
    assert_eq!(running[0].history.last_error.as_deref(), Some(text));
    settle(q, &running[0], Verdict::Dead { reason: DeadReason::Exhausted, error: text.into() }).await;
    let seen = q.job(running[0].id).await.expect("reads").expect("is there");
    assert_eq!(seen.history.last_error.as_deref(), Some(text));
}

async fn a_newer_ending_is_not_forgotten_with_the_older(store: Store) {
    let q = &*store.queue;
    q.push(&[plain()]).await.expect("pushes");
    let me = worker(q).await;
    let first = claim(q, me, 1).await;
    settle(q, &first[0], Verdict::Dead { reason: DeadReason::Failed, error: "no".into() }).await;
    let older = q.endings(9).await.expect("reads");
    q.redrive(&[first[0].id]).await.expect("redrives");
    store.pass(5).await;
    let second = claim(q, me, 1).await;
    settle(q, &second[0], Verdict::Succeeded).await;
    q.forget_endings(&older).await.expect("forgets");
    let newer = q.endings(9).await.expect("reads");
    assert_eq!(newer.iter().map(|end| end.state).collect::<Vec<_>>(), [State::Succeeded]);
}

async fn a_failure_or_a_snooze_ends_being_set_aside(store: Store) {
    let q = &*store.queue;
    let me = worker(q).await;
    for verdict in [Verdict::Snooze { delay_ms: 0 }, Verdict::Retry { delay_ms: 0, error: "no".into() }] {
        q.push(&[plain()]).await.expect("pushes");
        let taken = claim(q, me, 1).await;
        settle(q, &taken[0], Verdict::SetAside { delay_ms: 0 }).await;
        store.pass(10).await;
        let taken = claim(q, me, 1).await;
        assert!(taken[0].history.aside_since_ms.is_some());
        settle(q, &taken[0], verdict).await;
        store.pass(10).await;
        let taken = claim(q, me, 1).await;
        assert_eq!(taken[0].history.aside_since_ms, None);
        settle(q, &taken[0], Verdict::Succeeded).await;
    }
}

async fn no_queue_hides_the_endings_of_another(store: Store) {
    let q = &*store.queue;
    let both = [queue("busy"), queue("calm")];
    let me = worker_of(q, &both).await;
    let mut seen = std::collections::HashSet::new();
    q.push(&[job(Options { queue: both[1].clone(), ..Options::default() })]).await.expect("pushes");
    for _ in 0..4 {
        // Each fetch takes one; the busy queue always has a new one.
        q.push(&[job(Options { queue: both[0].clone(), ..Options::default() })]).await.expect("pushes");
        for taken in q.claim(me.id, &both, 9).await.expect("claims").jobs {
            settle(q, &taken, Verdict::Succeeded).await;
        }
        store.pass(5).await;
        let fetched = q.endings(1).await.expect("reads");
        seen.extend(fetched.iter().map(|end| end.queue.clone()));
        q.forget_endings(&fetched).await.expect("forgets");
    }
    assert!(seen.contains(&both[1]), "the calm queue is heard: {seen:?}");
}
