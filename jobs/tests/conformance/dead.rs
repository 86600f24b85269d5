//! The dead letters as work: grouped, walked through, amended, and back at a pace.

use deskhand_jobs::fingerprint::Fingerprint;
use deskhand_jobs::queue::{
    Amended, Claimed, DEAD_STEP, DeadFilter, DeadReason, DeadStep, Endings, Pace, Page, Queue, State, Verdict,
};
use deskhand_jobs::{Envelope, JobId, Kind, Options, QueueName, Unique, UniqueUntil, WorkerId};
use serde_json::value::RawValue;

use super::{claim, ids, on_every_store, plain, settle, worker, worker_of};
use crate::fixtures::Store;

const ENDINGS: Endings = Endings::Keep;

on_every_store!(
    the_dead_are_grouped_by_what_they_do_and_died_of,
    groups_shrink_and_vanish,
    poison_and_the_undecodable_have_groups_too,
    the_dead_are_found_by_what_they_are,
    a_redrive_by_what_they_are_leaves_the_others,
    a_redrive_keeps_its_pace_over_all_steps,
    ids_come_back_at_a_pace_too,
    who_dies_again_during_a_redrive_stays_dead,
    a_walk_ends_where_it_began_whatever_dies_meanwhile,
    each_redrive_is_a_generation,
    the_dead_are_discarded_by_what_they_are,
    a_dead_job_runs_with_other_arguments,
    what_cannot_be_amended_says_why,
);

fn of_kind(kind: &str) -> Envelope {
    let args = RawValue::from_string("{}".to_owned()).expect("valid JSON");
    Envelope::raw(Kind::new(kind).expect("a valid kind"), args, Options::default()).expect("small")
}

fn all() -> DeadFilter {
    DeadFilter::all(QueueName::default())
}

fn died_of(error: &str) -> DeadFilter {
    DeadFilter { fingerprint: Some(Fingerprint::of(error)), ..all() }
}

fn dead(error: &str) -> Verdict {
    Verdict::Dead { reason: DeadReason::Failed, error: error.to_owned() }
}

/// Lets a job die; no two within one millisecond.
async fn die(store: &Store, me: WorkerId, job: &Envelope, error: &str) -> JobId {
    let q = &*store.queue;
    q.push(std::slice::from_ref(job)).await.expect("pushes");
    let taken = claim(q, me, 1).await;
    assert_eq!(ids(&taken), [job.id]);
    settle(q, &taken[0], dead(error)).await;
    store.pass(2).await;
    job.id
}

/// Lets many die at once.
async fn die_together(q: &dyn Queue, me: WorkerId, count: usize) -> Vec<JobId> {
    let jobs: Vec<_> = (0..count).map(|_| plain()).collect();
    q.push(&jobs).await.expect("pushes");
    let mut left = count;
    while left > 0 {
        let taken = claim(q, me, 500).await;
        let ends: Vec<_> = taken.iter().map(|job| super::settlement(job, dead("no"))).collect();
        q.settle(&ends).await.expect("settles");
        left -= taken.len();
    }
    jobs.iter().map(|job| job.id).collect()
}

fn sorted(mut ids: Vec<JobId>) -> Vec<JobId> {
    ids.sort_unstable();
    ids
}

async fn list(q: &dyn Queue, filter: &DeadFilter) -> Vec<JobId> {
    let (mut found, mut page) = (Vec::new(), Some(Page::first(2)));
    while let Some(asked) = page {
        let listing = q.dead(filter, asked).await.expect("lists");
        assert!(listing.jobs.len() <= 2 && listing.jobs.iter().all(|job| job.state == State::Dead));
        found.extend(listing.jobs.iter().map(|job| job.id));
        page = listing.next.map(|next| Page::after(next, 2));
    }
    found
}

async fn the_dead_are_grouped_by_what_they_do_and_died_of(store: Store) {
    let (q, me) = (&*store.queue, worker(&*store.queue).await);
    let first = die(&store, me, &of_kind("mail.send"), "order 1 not found").await;
    die(&store, me, &of_kind("mail.send"), "timed out").await;
    die(&store, me, &of_kind("mail.fetch"), "order 9 not found").await;
    let last = die(&store, me, &of_kind("mail.send"), "order 22 not found").await;
    let groups = q.dead_groups(&QueueName::default()).await.expect("reads");
    let told: Vec<_> = groups
        .iter()
        .map(|group| (group.kind.as_ref().expect("known").as_str(), group.count, group.error.as_str()))
        .collect();
    assert_eq!(
        told,
        [("mail.send", 2, "order 22 not found"), ("mail.fetch", 1, "order 9 not found"), ("mail.send", 1, "timed out")]
    );
    let died_at_ms = async |id| q.job(id).await.expect("reads").expect("is there").ended_at_ms.expect("dead");
    assert_eq!((groups[0].first_at_ms, groups[0].last_at_ms), (died_at_ms(first).await, died_at_ms(last).await));
    assert_eq!((groups[0].example, groups[0].reason), (last, DeadReason::Failed));
    assert_eq!(groups[0].fingerprint, Some(Fingerprint::of("order 3 not found")));
    assert!(q.dead_groups(&super::queue("other")).await.expect("reads").is_empty());
}

async fn groups_shrink_and_vanish(store: Store) {
    let (q, me) = (&*store.queue, worker(&*store.queue).await);
    let (one, two) = (die(&store, me, &plain(), "no").await, die(&store, me, &plain(), "no").await);
    let three = die(&store, me, &plain(), "no").await;
    let groups = async || q.dead_groups(&QueueName::default()).await.expect("reads");
    let before = groups().await;
    q.discard(&[three], "not wanted").await.expect("discards");
    let after = groups().await;
    assert_eq!((after[0].count, after[0].example), (2, two));
    assert!(after[0].last_at_ms < before[0].last_at_ms, "the last one that is left");
    q.redrive(&[one]).await.expect("redrives");
    assert_eq!((groups().await[0].count, groups().await[0].first_at_ms), (1, after[0].last_at_ms));
    q.redrive(&[two]).await.expect("redrives");
    assert!(groups().await.is_empty());
    let again = claim(q, me, 1).await;
    settle(q, &again[0], dead("no")).await;
    assert_eq!(groups().await[0].count, 1);
}

async fn poison_and_the_undecodable_have_groups_too(store: Store) {
    let q = &*store.queue;
    let me = worker(q).await;
    q.push(&[plain()]).await.expect("pushes");
    let taken = claim(q, me, 1).await;
    settle(q, &taken[0], Verdict::Dead { reason: DeadReason::Decode, error: "line 1: no".into() }).await;
    store.pass(2).await;
    q.push(&[of_kind("mail.send")]).await.expect("pushes");
    for _ in 0..=deskhand_jobs::queue::MAX_RECOVERIES {
        let victim = worker(q).await;
        claim(q, victim, 1).await;
        store.pass(13_000).await;
        worker(q).await;
    }
    let groups = q.dead_groups(&QueueName::default()).await.expect("reads");
    let told: Vec<_> =
        groups.iter().map(|group| (group.reason, group.kind.clone().map(String::from), group.error.as_str())).collect();
    assert_eq!(
        told,
        [
            (DeadReason::Poison, Some("mail.send".to_owned()), "4 workers died while running this job"),
            (DeadReason::Decode, Some("test.run".to_owned()), "line 1: no"),
        ]
    );
    assert_eq!(groups[0].fingerprint, Some(Fingerprint::of(&groups[0].error)), "everybody tells it alike");
}

async fn the_dead_are_found_by_what_they_are(store: Store) {
    let (q, me) = (&*store.queue, worker(&*store.queue).await);
    let mut dead = Vec::new();
    for n in 0..8 {
        let kind = if n % 2 == 0 { "mail.send" } else { "mail.fetch" };
        let error = if n < 4 { "timed out" } else { "not found" };
        dead.push(die(&store, me, &of_kind(kind), error).await);
    }
    let pick = |places: &[usize]| places.iter().map(|place| dead[*place]).collect::<Vec<_>>();
    let send = || Some(Kind::new("mail.send").expect("valid"));
    assert_eq!(list(q, &all()).await, pick(&[7, 6, 5, 4, 3, 2, 1, 0]));
    assert_eq!(list(q, &DeadFilter { kind: send(), ..all() }).await, pick(&[6, 4, 2, 0]));
    assert_eq!(list(q, &died_of("timed out")).await, pick(&[3, 2, 1, 0]));
    assert_eq!(list(q, &DeadFilter { kind: send(), ..died_of("not found") }).await, pick(&[6, 4]));
    let at_ms = q.job(dead[3]).await.expect("reads").expect("is there").ended_at_ms;
    assert_eq!(list(q, &DeadFilter { died_after_ms: at_ms, ..all() }).await, pick(&[7, 6, 5, 4, 3]));
    assert_eq!(list(q, &DeadFilter { died_before_ms: at_ms, ..all() }).await, pick(&[2, 1, 0]));
    let until_ms = at_ms.map(|at_ms| at_ms + 1);
    let one = DeadFilter { died_after_ms: at_ms, died_before_ms: until_ms, ..died_of("timed out") };
    assert_eq!(list(q, &one).await, pick(&[3]));
    assert!(list(q, &died_of("never heard of")).await.is_empty());
    assert!(list(q, &DeadFilter::all(super::queue("other"))).await.is_empty());
    assert!(q.dead(&all(), Page::first(0)).await.expect("lists").jobs.is_empty());
}

async fn a_redrive_by_what_they_are_leaves_the_others(store: Store) {
    let (q, me) = (&*store.queue, worker(&*store.queue).await);
    let wanted = [die(&store, me, &of_kind("mail.send"), "timed out").await];
    let other_error = die(&store, me, &of_kind("mail.send"), "not found").await;
    let other_kind = die(&store, me, &of_kind("mail.fetch"), "timed out").await;
    let kind = Some(Kind::new("mail.send").expect("valid"));
    let step = DeadStep::first(DeadFilter { kind, ..died_of("timed out") });
    let moved = q.redrive_step(&step, Pace::NOW).await.expect("redrives");
    assert_eq!((moved.ids, moved.next), (wanted.to_vec(), None));
    assert_eq!(ids(&claim(q, me, 9).await), wanted);
    assert_eq!(list(q, &all()).await, [other_kind, other_error]);
    let info = &q.queues().await.expect("reads")[0];
    assert_eq!((info.dead, info.running), (2, 1));
    let early = DeadFilter { died_before_ms: Some(1), ..all() };
    assert_eq!(q.redrive_all(early, Pace::NOW).await.expect("redrives"), 0);
}

async fn a_redrive_keeps_its_pace_over_all_steps(store: Store) {
    let (q, me) = (&*store.queue, worker(&*store.queue).await);
    let count = DEAD_STEP * 2 + 100;
    let dead = die_together(q, me, count).await;
    let mut next = Some(DeadStep::first(all()));
    let (mut pace, mut moved, mut steps) = (Pace::per_second(10), Vec::new(), 0);
    while let Some(step) = next {
        let done = q.redrive_step(&step, pace).await.expect("redrives");
        assert!(done.ids.len() <= DEAD_STEP);
        pace = pace.then(done.ids.len());
        moved.extend(done.ids);
        next = done.next;
        steps += 1;
    }
    assert_eq!(steps, 3);
    assert_eq!(sorted(moved.clone()), sorted(dead));
    let info = &q.queues().await.expect("reads")[0];
    assert_eq!((info.ready, info.scheduled, info.dead), (1, count as u64 - 1, 0), "the first at once");
    let due_ms = async |place: usize| {
        let record = q.job(moved[place]).await.expect("reads").expect("is there");
        assert_eq!(record.history.generation, 1);
        record.run_at_ms.expect("scheduled")
    };
    let first = due_ms(1).await;
    for place in [2, 11, DEAD_STEP - 1, DEAD_STEP, count - 1] {
        let after = due_ms(place).await - first;
        let expected = (place as i64 - 1) * 100;
        // A later step is a little later, never earlier.
        assert!((expected..expected + 10_000).contains(&after), "{place}: {after} instead of {expected}");
    }
    store.pass(5_050).await;
    let back = claim(q, me, 500).await.len();
    assert!((45..=60).contains(&back), "{back} after 5 s at 10 a second");
}

async fn ids_come_back_at_a_pace_too(store: Store) {
    let (q, me) = (&*store.queue, worker(&*store.queue).await);
    let dead = [
        die(&store, me, &plain(), "a").await,
        die(&store, me, &plain(), "b").await,
        die(&store, me, &plain(), "c").await,
    ];
    let asked = [dead[2], JobId::new(), dead[0], dead[1]];
    let moved = q.redrive_paced(&asked, Pace::every(60_000).then(1)).await.expect("redrives");
    assert_eq!(moved, [dead[2], dead[0], dead[1]]);
    let mut due = Vec::new();
    for id in moved {
        due.push(q.job(id).await.expect("reads").expect("is there").run_at_ms.expect("scheduled"));
    }
    assert!((60_000..70_000).contains(&(due[1] - due[0])) && (60_000..70_000).contains(&(due[2] - due[1])), "{due:?}");
    assert!(claim(q, me, 9).await.is_empty(), "60 s from now is the first");
    store.pass(60_000).await;
    assert_eq!(ids(&claim(q, worker(q).await, 9).await), [dead[2]]);
}

async fn who_dies_again_during_a_redrive_stays_dead(store: Store) {
    let (q, me) = (&*store.queue, worker(&*store.queue).await);
    let count = DEAD_STEP + 20;
    die_together(q, me, count).await;
    store.pass(2).await;
    let first = q.redrive_step(&DeadStep::first(all()), Pace::NOW).await.expect("redrives");
    assert_eq!(first.ids.len(), DEAD_STEP);
    store.pass(2).await;
    // They die of the same, at once, before the walk goes on.
    for again in claim(q, me, 500).await {
        settle(q, &again, dead("no")).await;
    }
    let second = q.redrive_step(&first.next.expect("there are more"), Pace::NOW).await.expect("redrives");
    assert_eq!((second.ids.len(), second.next), (20, None));
    let info = &q.queues().await.expect("reads")[0];
    assert_eq!((info.ready, info.dead), (20, DEAD_STEP as u64));
}

async fn a_walk_ends_where_it_began_whatever_dies_meanwhile(store: Store) {
    let (q, me) = (&*store.queue, worker(&*store.queue).await);
    // All in few milliseconds, so that the place between equals counts.
    let dead = die_together(q, me, DEAD_STEP * 2 + 7).await;
    store.pass(2).await;
    let (mut gone, mut next) = (Vec::new(), Some(DeadStep::first(all())));
    while let Some(step) = next {
        let done = q.discard_step(&step, "not wanted").await.expect("discards");
        gone.extend(done.ids);
        next = done.next;
        die(&store, me, &plain(), "no").await;
    }
    assert_eq!(sorted(gone), sorted(dead));
    assert_eq!(q.queues().await.expect("reads")[0].dead, 3);
}

async fn each_redrive_is_a_generation(store: Store) {
    let (q, me) = (&*store.queue, worker(&*store.queue).await);
    let id = die(&store, me, &plain(), "no").await;
    for generation in 1..=3 {
        q.redrive(&[id]).await.expect("redrives");
        assert_eq!(q.job(id).await.expect("reads").expect("is there").history.generation, generation);
        let again: Vec<Claimed> = claim(q, me, 1).await;
        assert_eq!((again[0].history.generation, again[0].history.failures), (generation, 0));
        settle(q, &again[0], Verdict::Retry { delay_ms: 0, error: "not yet".into() }).await;
        store.pass(10).await;
        let again = claim(q, me, 1).await;
        assert_eq!((again[0].history.generation, again[0].history.failures), (generation, 1));
        settle(q, &again[0], dead("no")).await;
        let ending = q.endings(9).await.expect("reads").pop().expect("a record");
        assert_eq!((ending.history.generation, ending.history.failures), (generation, 2));
    }
}

async fn the_dead_are_discarded_by_what_they_are(store: Store) {
    let (q, me) = (&*store.queue, worker(&*store.queue).await);
    let other = die(&store, me, &of_kind("mail.send"), "not found").await;
    let gone = [die(&store, me, &plain(), "timed out").await, die(&store, me, &plain(), "timed out").await];
    let done = q.discard_step(&DeadStep::first(died_of("timed out")), "an old outage").await.expect("discards");
    assert_eq!((done.ids, done.next), (gone.to_vec(), None));
    for id in gone {
        let record = q.job(id).await.expect("reads").expect("its record");
        assert_eq!((record.state, record.history.last_error.as_deref()), (State::Cancelled, Some("an old outage")));
    }
    assert_eq!(list(q, &all()).await, [other]);
    assert_eq!(q.dead_groups(&QueueName::default()).await.expect("reads").len(), 1);
}

async fn a_dead_job_runs_with_other_arguments(store: Store) {
    let q = &*store.queue;
    let me = worker_of(q, &[QueueName::default()]).await.id;
    let unique = Some(Unique::new("k", UniqueUntil::Finished));
    let mut job = super::job(Options { max_attempts: 3, unique, ..Options::default() });
    job.tenant = Some("acme".to_owned());
    die(&store, me, &job, "no such order").await;
    let args = RawValue::from_string(r#"{"n": 2}"#.to_owned()).expect("valid JSON");
    assert_eq!(q.amend(job.id, &args).await.expect("answers"), Amended::Done);
    q.redrive(&[job.id]).await.expect("redrives");
    let again = claim(q, me, 1).await.pop().expect("is back");
    job.args = args.clone();
    assert_eq!(String::from_utf8_lossy(&again.payload), String::from_utf8_lossy(&job.encode()));
    assert_eq!(q.amend(job.id, &args).await.expect("answers"), Amended::NotDead, "it runs");
    assert_eq!(q.amend(JobId::new(), &args).await.expect("answers"), Amended::NotDead);
}

async fn what_cannot_be_amended_says_why(store: Store) {
    let (q, me) = (&*store.queue, worker(&*store.queue).await);
    let job = plain();
    let id = die(&store, me, &job, "no").await;
    let large = RawValue::from_string(format!("\"{}\"", "x".repeat(300_000))).expect("valid JSON");
    let refused = q.amend(id, &large).await.expect("answers");
    assert!(matches!(&refused, Amended::Refused(why) if why.contains("pass a reference")), "{refused:?}");
    let old = job.encode();
    let swap =
        async |old: &[u8], new: &[u8]| q.swap_payload(&QueueName::default(), id, old, new).await.expect("answers");
    assert!(!swap(b"what it never was", b"x").await, "somebody else was faster");
    assert!(swap(&old, b"\xff not a job").await);
    let args = RawValue::from_string("{}".to_owned()).expect("valid JSON");
    let refused = q.amend(id, &args).await.expect("answers");
    assert!(matches!(&refused, Amended::Refused(why) if why.contains("discard job")), "{refused:?}");
    assert_eq!(q.job(id).await.expect("reads").expect("is there").payload.as_deref(), Some(&b"\xff not a job"[..]));
}
