//! Jobs that share limits: how many run, how many start, who stands where meanwhile.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use deskhand_jobs::queue::{Cancelled, DeadReason, Endings, GroupInfo, Page, Settled, State, Verdict};
use deskhand_jobs::{Envelope, Group, GroupKey, JobId, Limits, Options, Priority, QueueName, Rate};

use super::{claim, ids, job, on_every_store, plain, settle, worker, worker_of};
use crate::fixtures::Store;

const ENDINGS: Endings = Endings::Drop;

on_every_store!(
    a_group_runs_so_many_and_others_pass,
    a_limited_job_keeps_its_place,
    who_passed_a_limited_job_and_is_handed_back_stands_behind_it_again,
    those_who_are_handed_back_together_stand_in_the_order_of_their_ids_whatever_limits_them,
    a_more_urgent_job_of_a_group_goes_first,
    every_end_of_an_attempt_frees_its_slot_once,
    slots_belong_to_leases,
    a_rate_lets_so_many_start,
    a_token_that_comes_wakes_who_waits,
    a_slot_that_becomes_free_wakes_who_waits,
    the_latest_limits_count_unless_an_operator_has_fixed_them,
    limits_that_come_together_count_as_if_they_came_one_after_another,
    idle_groups_are_forgotten_and_fixed_ones_are_not,
    a_bucket_is_not_forgotten_before_it_is_full,
    a_limited_job_can_be_cancelled,
    the_dead_of_a_group_come_back_under_its_limits,
    a_blocked_group_does_not_block_others,
    nonsense_is_taken_for_the_least,
    several_workers_share_limits_exactly,
);

fn key(text: &str) -> GroupKey {
    GroupKey::new(text).expect("valid")
}

fn in_group(group: Group) -> Envelope {
    job(Options { group: Some(group), ..Options::default() })
}

/// A job of a group of which only so many run.
fn few(name: &str, concurrency: u32) -> Envelope {
    in_group(Group::new(key(name)).concurrency(concurrency))
}

fn rated(name: &str, starts: u32, per_ms: u64, burst: u32) -> Envelope {
    in_group(Group::new(key(name)).rate(Rate { starts, per_ms, burst }))
}

async fn push(store: &Store, jobs: &[Envelope]) -> Vec<JobId> {
    store.queue.push(jobs).await.expect("pushes");
    jobs.iter().map(|job| job.id).collect()
}

async fn ready(store: &Store) -> Vec<JobId> {
    let listed = store.queue.list(&QueueName::default(), State::Ready, Page::first(100)).await.expect("lists");
    listed.jobs.iter().map(|job| job.id).collect()
}

async fn group(store: &Store, name: &str) -> Option<GroupInfo> {
    store.queue.group(&QueueName::default(), &key(name)).await.expect("reads")
}

async fn limits_that_come_together_count_as_if_they_came_one_after_another(store: Store) {
    let q = &*store.queue;
    // A bucket that grows is not filled by it.
    let all = push(&store, &[rated("a", 1, 60_000, 1), rated("a", 1, 60_000, 2), rated("a", 1, 60_000, 2)]).await;
    let me = worker(q).await;
    assert_eq!(ids(&claim(q, me, 9).await), [all[0]]);
    // Nor is one that shrinks and grows again.
    let all = [
        push(&store, &[rated("b", 1, 60_000, 2)]).await,
        push(&store, &[rated("b", 1, 60_000, 1), rated("b", 1, 60_000, 2)]).await,
    ];
    assert_eq!(ids(&claim(q, me, 9).await), [all[0][0]]);
}

async fn who_passed_a_limited_job_and_is_handed_back_stands_behind_it_again(store: Store) {
    let q = &*store.queue;
    let all = push(&store, &[plain(), few("a", 1), few("a", 1), plain(), plain()]).await;
    let me = worker(q).await;
    let taken = claim(q, me, 4).await;
    assert_eq!(ids(&taken), [all[0], all[1], all[3], all[4]]);
    for job in &taken[2..] {
        assert_eq!(settle(q, job, Verdict::HandBack).await, Settled::Applied);
    }
    assert_eq!(ready(&store).await, [all[2], all[3], all[4]]);
}

async fn those_who_are_handed_back_together_stand_in_the_order_of_their_ids_whatever_limits_them(store: Store) {
    let q = &*store.queue;
    let running = push(&store, &[few("a", 9), few("b", 9)]).await;
    let all = push(&store, &[few("a", 9), few("b", 9), few("a", 9), plain()]).await;
    let me = worker(q).await;
    assert_eq!(ids(&claim(q, me, 2).await), running);
    for job in claim(q, me, 4).await {
        assert_eq!(settle(q, &job, Verdict::HandBack).await, Settled::Applied);
    }
    let limit = async |group: &str, most| {
        let limits = Limits { concurrency: Some(most), rate: None };
        q.limit_group(&QueueName::default(), &key(group), Some(limits)).await.expect("limits");
    };
    limit("a", 1).await;
    limit("b", 1).await;
    assert_eq!(ids(&claim(q, me, 1).await), [all[3]], "the others are put aside");
    limit("b", 9).await;
    assert_eq!(ready(&store).await, [all[0], all[1], all[2]]);
    limit("a", 9).await;
    assert_eq!(ids(&claim(q, me, 9).await), [all[0], all[1], all[2]]);
}

async fn a_group_runs_so_many_and_others_pass(store: Store) {
    let q = &*store.queue;
    let all = push(&store, &[few("a", 2), few("a", 2), few("a", 2), plain(), few("b", 1), few("b", 1)]).await;
    let (me, other) = (worker(q).await, worker(q).await);
    let mine = claim(q, me, 3).await;
    assert_eq!(ids(&mine), [all[0], all[1], all[3]]);
    assert_eq!(ids(&claim(q, other, 9).await), [all[4]]);
    assert!(claim(q, other, 9).await.is_empty());
    assert_eq!(ready(&store).await, [all[2], all[5]]);
    let info = group(&store, "a").await.expect("it has jobs");
    assert_eq!((info.running, info.waiting, info.limits.concurrency, info.pinned), (2, 1, Some(2), false));
    let keys: Vec<_> =
        q.groups(&QueueName::default(), None, 100).await.expect("reads").into_iter().map(|g| g.key).collect();
    assert_eq!(keys, [key("a"), key("b")]);
    assert_eq!(q.job(all[2]).await.expect("reads").expect("is there").group, Some(key("a")));
    assert_eq!(q.queues().await.expect("reads")[0].ready, 2);
}

async fn a_limited_job_keeps_its_place(store: Store) {
    let q = &*store.queue;
    let first = push(&store, &[few("a", 1), few("b", 1), few("a", 1), few("b", 1), few("a", 1)]).await;
    let me = worker(q).await;
    let held = claim(q, me, 9).await;
    assert_eq!(ids(&held), first[..2]);
    let later = push(&store, &[plain(), few("b", 1)]).await;
    assert_eq!(ready(&store).await, [&first[2..], &later[..]].concat());
    settle(q, &held[1], Verdict::Succeeded).await;
    settle(q, &held[0], Verdict::HandBack).await;
    assert_eq!(ready(&store).await, [&[first[0]], &first[2..], &later[..]].concat());
    assert_eq!(ids(&claim(q, me, 9).await), [first[0], first[3], later[0]]);
}

async fn a_more_urgent_job_of_a_group_goes_first(store: Store) {
    let q = &*store.queue;
    let normal = push(&store, &[few("a", 1), few("a", 1)]).await;
    let me = worker(q).await;
    let held = claim(q, me, 9).await;
    let mut urgent = few("a", 1);
    urgent.options.priority = Priority::Critical;
    let urgent = push(&store, &[urgent]).await[0];
    assert!(claim(q, me, 9).await.is_empty());
    settle(q, &held[0], Verdict::Succeeded).await;
    let held = claim(q, me, 9).await;
    assert_eq!(ids(&held), [urgent]);
    settle(q, &held[0], Verdict::Succeeded).await;
    assert_eq!(ids(&claim(q, me, 9).await), normal[1..]);
}

async fn every_end_of_an_attempt_frees_its_slot_once(store: Store) {
    let q = &*store.queue;
    let me = worker(q).await;
    let error = || "no".to_owned();
    let verdicts = [
        Verdict::Succeeded,
        Verdict::Retry { delay_ms: 900_000, error: error() },
        Verdict::Snooze { delay_ms: 900_000 },
        Verdict::SetAside { delay_ms: 900_000 },
        Verdict::Cancelled { reason: error() },
        Verdict::Dead { reason: DeadReason::Failed, error: error() },
        Verdict::HandBack,
    ];
    for (nth, verdict) in verdicts.into_iter().enumerate() {
        let name = format!("g{nth}");
        push(&store, &[few(&name, 1), few(&name, 1), few(&name, 1)]).await;
        let held = claim(q, me, 9).await;
        assert_eq!(held.len(), 1);
        assert_eq!(settle(q, &held[0], verdict.clone()).await, Settled::Applied);
        assert_eq!(settle(q, &held[0], verdict.clone()).await, Settled::Stale);
        let next = claim(q, me, 9).await;
        assert_eq!(next.len(), 1, "{verdict:?}");
        assert_eq!(group(&store, &name).await.expect("it has jobs").running, 1, "{verdict:?}");
        assert!(claim(q, me, 9).await.is_empty(), "{verdict:?}");
    }
}

async fn slots_belong_to_leases(store: Store) {
    let q = &*store.queue;
    let all = push(&store, &[few("a", 2), few("a", 2), few("a", 2)]).await;
    let names = [QueueName::default()];
    let dead = worker(q).await;
    let late = claim(q, dead, 9).await;
    assert_eq!(ids(&late), all[..2]);
    store.pass(13_000).await;
    let me = worker_of(q, &names).await;
    let held = claim(q, me.id, 9).await;
    assert_eq!(ids(&held), all[..2], "rescued to where they stood");
    for job in &late {
        assert_eq!(settle(q, job, Verdict::Succeeded).await, Settled::Stale);
    }
    assert!(claim(q, me.id, 9).await.is_empty(), "an answer that came too late frees nothing");
    q.hand_back_others(me.id, &names, &[all[0]]).await.expect("hands back");
    assert_eq!(ids(&claim(q, me.id, 9).await), [all[1]]);
    q.leave(me.id, &names).await.expect("leaves");
    let next = worker(q).await;
    assert_eq!(ids(&claim(q, next, 9).await), all[..2]);
    assert_eq!(group(&store, "a").await.expect("it has jobs").running, 2);
}

async fn a_rate_lets_so_many_start(store: Store) {
    let q = &*store.queue;
    let jobs: Vec<_> = (0..12).map(|_| rated("a", 1, 20_000, 3)).collect();
    let all = push(&store, &jobs).await;
    let me = worker_of(q, &[QueueName::default()]).await;
    let mut started = 0;
    for (pass_ms, expected) in
        [(0, 3), (0, 0), (10_000, 0), (10_000, 1), (20_000, 1), (5_000, 0), (15_000, 1), (200_000, 3), (19_000, 0)]
    {
        store.pass(pass_ms).await;
        q.beat(&me, true).await.expect("beats");
        let claimed = q.claim(me.id, &me.queues, 9).await.expect("claims");
        assert_eq!(ids(&claimed.jobs), all[started..started + expected], "after {started}");
        started += expected;
        if expected == 0 {
            let due_ms = claimed.next_due_ms.expect("a token comes");
            assert!((1..=20_000).contains(&due_ms), "{due_ms}");
        }
        for job in &claimed.jobs {
            settle(q, job, Verdict::Succeeded).await;
        }
    }
}

async fn a_token_that_comes_wakes_who_waits(store: Store) {
    let q = &*store.queue;
    let all = push(&store, &[rated("a", 1, 400, 1), rated("a", 1, 400, 1)]).await;
    let me = worker(q).await;
    let names = [QueueName::default()];
    let started = Instant::now();
    assert_eq!(ids(&claim(q, me, 9).await), all[..1]);
    loop {
        let claimed = q.claim(me, &names, 9).await.expect("claims");
        if !claimed.jobs.is_empty() {
            assert_eq!(ids(&claimed.jobs), all[1..]);
            break;
        }
        let due = Duration::from_millis(claimed.next_due_ms.expect("a token comes"));
        q.wait(&names, due.max(Duration::from_millis(1))).await.expect("waits");
    }
    let took = started.elapsed();
    assert!((Duration::from_millis(399)..Duration::from_secs(5)).contains(&took), "{took:?}");
}

async fn a_slot_that_becomes_free_wakes_who_waits(store: Store) {
    let q = &*store.queue;
    push(&store, &[few("a", 1), few("a", 1)]).await;
    let me = worker(q).await;
    let held = claim(q, me, 9).await;
    assert!(claim(q, me, 9).await.is_empty());
    let names = [QueueName::default()];
    for _ in 0..3 {
        q.wait(&names, Duration::from_millis(20)).await.expect("waits");
    }
    let started = Instant::now();
    let (waited, _) = tokio::join!(q.wait(&names, Duration::from_secs(20)), settle(q, &held[0], Verdict::Succeeded));
    waited.expect("waits");
    assert!(started.elapsed() < Duration::from_secs(10));
    assert_eq!(claim(q, me, 9).await.len(), 1);
}

async fn the_latest_limits_count_unless_an_operator_has_fixed_them(store: Store) {
    let q = &*store.queue;
    let name = QueueName::default();
    let fixed = |jobs| Some(Limits { concurrency: Some(jobs), rate: None });
    push(&store, &[few("a", 1), few("a", 2), in_group(Group::new(key("a"))), in_group(Group::new(key("a")))]).await;
    let me = worker(q).await;
    assert_eq!(claim(q, me, 9).await.len(), 2, "the latest of them, and none changes nothing");
    q.limit_group(&name, &key("a"), fixed(3)).await.expect("fixes");
    push(&store, &[few("a", 9)]).await;
    let info = group(&store, "a").await.expect("it has jobs");
    assert_eq!((info.limits, info.pinned), (fixed(3).expect("limits"), true));
    assert_eq!(claim(q, me, 9).await.len(), 1);
    q.limit_group(&name, &key("a"), None).await.expect("takes back");
    assert_eq!(group(&store, "a").await.expect("it has jobs").limits.concurrency, Some(9));
    assert_eq!(claim(q, me, 9).await.len(), 2);
}

async fn idle_groups_are_forgotten_and_fixed_ones_are_not(store: Store) {
    let q = &*store.queue;
    let name = QueueName::default();
    let limits = Limits { concurrency: Some(1), rate: None };
    q.limit_group(&name, &key("fixed"), Some(limits)).await.expect("fixes");
    push(&store, &[few("a", 1)]).await;
    let me = worker(q).await;
    let held = claim(q, me, 9).await;
    settle(q, &held[0], Verdict::Succeeded).await;
    let left = q.groups(&name, None, 100).await.expect("reads");
    assert_eq!(left.iter().map(|group| &group.key).collect::<Vec<_>>(), [&key("fixed")]);
    assert_eq!(left[0].limits, limits);
    assert!(group(&store, "a").await.is_none());
    push(&store, &[in_group(Group::new(key("a"))), in_group(Group::new(key("a")))]).await;
    assert_eq!(claim(q, me, 9).await.len(), 2, "its limits went with its last job");
    push(&store, &[in_group(Group::new(key("fixed"))), in_group(Group::new(key("fixed")))]).await;
    assert_eq!(claim(q, me, 9).await.len(), 1);
    q.limit_group(&name, &key("fixed"), None).await.expect("takes back");
    q.limit_group(&name, &key("never"), None).await.expect("is nothing");
    assert_eq!(q.groups(&name, None, 100).await.expect("reads").len(), 2);
    assert_eq!(q.groups(&name, Some(&key("a")), 1).await.expect("reads")[0].key, key("fixed"));
}

async fn a_bucket_is_not_forgotten_before_it_is_full(store: Store) {
    let q = &*store.queue;
    let me = worker_of(q, &[QueueName::default()]).await;
    for (pass_ms, expected) in [(0, 1), (30_000, 0), (31_000, 1)] {
        push(&store, &[rated("a", 1, 60_000, 1)]).await;
        store.pass(pass_ms).await;
        q.beat(&me, true).await.expect("beats");
        let held = claim(q, me.id, 9).await;
        assert_eq!(held.len(), expected, "after {pass_ms} ms");
        for job in held {
            settle(q, &job, Verdict::Succeeded).await;
        }
        for id in ready(&store).await {
            q.cancel(id).await.expect("cancels");
        }
        assert!(group(&store, "a").await.is_none(), "it has no jobs");
    }
}

async fn a_limited_job_can_be_cancelled(store: Store) {
    let q = &*store.queue;
    let all = push(&store, &[few("a", 1), few("a", 1), few("a", 1), few("a", 1)]).await;
    let me = worker(q).await;
    let held = claim(q, me, 9).await;
    assert_eq!(q.cancel(all[2]).await.expect("cancels"), Cancelled::Ended);
    assert_eq!(ready(&store).await, [all[1], all[3]]);
    settle(q, &held[0], Verdict::Succeeded).await;
    // The next in line goes, after the slot has become free and before a claim.
    assert_eq!(q.cancel(all[1]).await.expect("cancels"), Cancelled::Ended);
    assert_eq!(ids(&claim(q, me, 9).await), [all[3]]);
    assert_eq!(q.queues().await.expect("reads")[0].ready, 0);
}

async fn the_dead_of_a_group_come_back_under_its_limits(store: Store) {
    let q = &*store.queue;
    let name = QueueName::default();
    let all = push(&store, &[few("a", 1), few("a", 1)]).await;
    let me = worker(q).await;
    for id in &all {
        let held = claim(q, me, 9).await;
        assert_eq!(ids(&held), [*id]);
        settle(q, &held[0], Verdict::Dead { reason: DeadReason::Failed, error: "no".into() }).await;
    }
    assert_eq!(q.redrive(&all).await.expect("redrives"), all);
    q.pause(&name).await.expect("pauses");
    assert!(claim(q, me, 9).await.is_empty());
    q.resume(&name).await.expect("resumes");
    let held = claim(q, me, 9).await;
    assert_eq!(ids(&held), all[..1]);
    settle(q, &held[0], Verdict::Dead { reason: DeadReason::Failed, error: "no".into() }).await;
    assert_eq!(q.discard(&all[..1], "no use").await.expect("discards"), all[..1]);
    assert_eq!(ids(&claim(q, me, 9).await), all[1..]);
}

async fn a_blocked_group_does_not_block_others(store: Store) {
    let q = &*store.queue;
    let blocked: Vec<_> = (0..3_000).map(|_| few("a", 1)).collect();
    let all = push(&store, &blocked).await;
    let free = push(&store, &[plain()]).await[0];
    let me = worker(q).await;
    let mut got = Vec::new();
    let mut claims = 0;
    while got.len() < 2 {
        got.extend(ids(&claim(q, me, 9).await));
        claims += 1;
        assert!(claims <= 3, "each job is passed over once");
    }
    assert_eq!(got, [all[0], free]);
    assert_eq!(q.queues().await.expect("reads")[0].ready, 2_999);
    let line = q.list(&QueueName::default(), State::Ready, Page::first(2_998)).await.expect("lists");
    let rest = Page::after(line.next.expect("there are more"), 9);
    let tail = q.list(&QueueName::default(), State::Ready, rest).await.expect("lists").jobs;
    assert_eq!(tail.iter().map(|job| job.id).collect::<Vec<_>>(), all[2_999..]);
}

async fn nonsense_is_taken_for_the_least(store: Store) {
    let q = &*store.queue;
    let rate = Rate { starts: 0, per_ms: 0, burst: 0 };
    push(&store, &[few("a", 0), few("a", 0), in_group(Group::new(key("b")).rate(rate))]).await;
    q.limit(&QueueName::default(), Some(0)).await.expect("limits");
    let me = worker(q).await;
    assert_eq!(claim(q, me, 9).await.len(), 1);
    q.limit(&QueueName::default(), None).await.expect("lifts");
    assert_eq!(claim(q, me, 9).await.len(), 1);
}

async fn several_workers_share_limits_exactly(store: Store) {
    const WORKERS: usize = 6;
    const MOST: usize = 5;
    let limits = HashMap::from([("a", 1), ("b", 2), ("c", 3)]);
    let jobs: Vec<_> =
        (0..50).flat_map(|_| limits.iter().map(|(name, most)| few(name, *most)).chain([plain()])).collect();
    let total = jobs.len();
    let group_of: Arc<HashMap<JobId, Option<GroupKey>>> =
        Arc::new(jobs.iter().map(|job| (job.id, job.options.group.as_ref().map(|group| group.key.clone()))).collect());
    store.queue.limit(&QueueName::default(), Some(MOST as u32)).await.expect("limits");
    push(&store, &jobs).await;
    let (done, running) =
        (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(HashMap::<Option<GroupKey>, u32>::new())));
    let deadline = Instant::now() + Duration::from_mins(1);
    let mut tasks = Vec::new();
    for nth in 0..WORKERS {
        let (q, done, running, group_of) = (store.queue.clone(), done.clone(), running.clone(), group_of.clone());
        let me = worker(&*q).await;
        tasks.push(tokio::spawn(async move {
            let names = [QueueName::default()];
            while done.load(Ordering::SeqCst) < total {
                assert!(Instant::now() < deadline, "{} of {total} have ended", done.load(Ordering::SeqCst));
                let held = claim(&*q, me, 1 + nth % 4).await;
                if held.is_empty() {
                    q.wait(&names, Duration::from_millis(50)).await.expect("waits");
                    continue;
                }
                {
                    let mut running = running.lock().expect("no panic");
                    for job in &held {
                        *running.entry(group_of[&job.id].clone()).or_default() += 1;
                    }
                    assert!(running.values().sum::<u32>() as usize <= MOST, "{running:?}");
                    for (name, most) in [("a", 1), ("b", 2), ("c", 3)] {
                        assert!(running.get(&Some(key(name))).is_none_or(|now| *now <= most), "{running:?}");
                    }
                }
                for (at, job) in held.iter().enumerate() {
                    tokio::task::yield_now().await;
                    // Counted out before the answer: from then on another may start.
                    *running.lock().expect("no panic").entry(group_of[&job.id].clone()).or_default() -= 1;
                    let again = at == 1 && job.history.hand_backs == 0;
                    let verdict = if again { Verdict::HandBack } else { Verdict::Succeeded };
                    assert_eq!(settle(&*q, job, verdict).await, Settled::Applied);
                    done.fetch_add(usize::from(!again), Ordering::SeqCst);
                }
            }
        }));
    }
    for task in tasks {
        task.await.expect("no limit was broken");
    }
    assert!(store.queue.groups(&QueueName::default(), None, 100).await.expect("reads").is_empty());
    assert!(store.queue.audit(&QueueName::default(), false).await.expect("audits").drift.is_empty());
}
