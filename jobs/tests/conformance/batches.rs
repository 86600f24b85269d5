//! Jobs that one job waits for.

use deskhand_jobs::queue::{
    Batch, BatchCancelled, BatchTotals, Cancelled, Claimed, DeadReason, Endings, LEASE, MAX_RECOVERIES, NotClosing,
    Opened, Pushed, Queue, Refusal, Sealed, State, Verdict,
};
use deskhand_jobs::{BatchId, Envelope, JobId, Options, Priority, QueueName, Unique, UniqueUntil};

use super::{claim, ids, job, on_every_store, plain, queue, settle, settlement, worker, worker_of};
use crate::fixtures::Store;

/// Nothing is kept, so a batch must know its members by itself.
const ENDINGS: Endings = Endings::Drop;

on_every_store!(
    the_closing_job_runs_once_when_all_have_ended,
    it_sees_how_each_member_ended,
    an_empty_batch_closes_with_its_seal,
    nothing_closes_before_the_seal,
    the_last_two_ends_at_one_moment_close_it_once,
    every_step_may_be_repeated_after_a_lost_answer,
    duplicates_and_conflicts_are_no_members,
    an_unknown_batch_takes_nobody,
    a_sealed_batch_takes_members_from_members_only,
    a_rescued_member_counts_once_and_poison_as_dead,
    a_dead_member_that_is_redriven_changes_nothing_any_more,
    a_retried_member_is_waited_for,
    cancelled_members_count,
    a_batch_is_cancelled_whole,
    an_open_batch_without_members_is_cancelled_at_once,
    the_closing_job_keeps_its_options_and_its_time,
    the_totals_outlive_retries_and_a_redrive,
    an_open_batch_is_seen_with_its_age,
    a_batch_lives_in_one_queue,
    many_members_are_counted_and_cancelled,
);

fn batch_of(then: &Envelope) -> Batch {
    Batch::new(then.clone()).expect("may close")
}

fn totals(total: u64, succeeded: u64, dead: u64, cancelled: u64) -> BatchTotals {
    BatchTotals { total, succeeded, dead, cancelled }
}

fn member(batch: &Batch) -> Envelope {
    Envelope { batch: Some(batch.id()), ..plain() }
}

fn failed() -> Verdict {
    Verdict::Dead { reason: DeadReason::Failed, error: "no".into() }
}

async fn push(q: &dyn Queue, job: &Envelope) -> Pushed {
    q.push(std::slice::from_ref(job)).await.expect("pushes")[0]
}

/// A sealed batch of so many plain members, all of them running.
async fn running(q: &dyn Queue, then: &Envelope, members: usize) -> (Batch, Vec<Claimed>) {
    let batch = batch_of(then);
    let answers = q.push_batch(&batch, (0..members).map(|_| plain()).collect()).await.expect("pushes");
    assert!(answers.iter().all(|answer| *answer == Pushed::Created));
    let me = worker(q).await;
    (batch, claim(q, me, members).await)
}

/// The closing job, if it is there.
async fn closing(q: &dyn Queue, then: &Envelope) -> Option<(State, Option<BatchTotals>)> {
    q.job(then.id).await.expect("reads").map(|record| (record.state, record.history.batch))
}

async fn the_closing_job_runs_once_when_all_have_ended(store: Store) {
    let q = &*store.queue;
    let then = plain();
    let (batch, members) = running(q, &then, 3).await;
    let me = worker(q).await;
    assert_eq!(q.job(members[0].id).await.expect("reads").expect("runs").batch, Some(batch.id()));
    for (at, member) in members.iter().enumerate() {
        assert_eq!(closing(q, &then).await, None, "after {at}");
        assert!(claim(q, me, 9).await.is_empty());
        let info = q.batch(batch.id()).await.expect("reads").expect("is open");
        assert_eq!((info.totals, info.totals.left()), (totals(3, at as u64, 0, 0), 3 - at as u64));
        settle(q, member, Verdict::Succeeded).await;
    }
    let closer = claim(q, me, 9).await;
    assert_eq!(ids(&closer), [then.id]);
    assert_eq!(closer[0].payload, then.encode());
    assert_eq!(closer[0].history.batch, Some(totals(3, 3, 0, 0)));
    assert!(q.batch(batch.id()).await.expect("reads").is_none(), "it is forgotten");
    settle(q, &closer[0], Verdict::Succeeded).await;
    assert!(claim(q, me, 9).await.is_empty());
    let info = &q.queues().await.expect("reads")[0];
    assert_eq!((info.pushed_total, info.succeeded_total, info.ready, info.running), (4, 4, 0, 0));
}

async fn it_sees_how_each_member_ended(store: Store) {
    let q = &*store.queue;
    let then = plain();
    let (_, members) = running(q, &then, 5).await;
    settle(q, &members[0], Verdict::Succeeded).await;
    settle(q, &members[1], Verdict::SucceededWith { result: 1.into() }).await;
    settle(q, &members[2], failed()).await;
    settle(q, &members[3], Verdict::Cancelled { reason: "not wanted".into() }).await;
    assert_eq!(closing(q, &then).await, None);
    assert_eq!(q.cancel(members[4].id).await.expect("cancels"), Cancelled::Asked);
    settle(q, &members[4], Verdict::HandBack).await;
    assert_eq!(closing(q, &then).await, Some((State::Ready, Some(totals(5, 2, 1, 2)))));
}

async fn an_empty_batch_closes_with_its_seal(store: Store) {
    let q = &*store.queue;
    let then = plain();
    assert!(q.push_batch(&batch_of(&then), Vec::new()).await.expect("pushes").is_empty());
    assert_eq!(closing(q, &then).await, Some((State::Ready, Some(totals(0, 0, 0, 0)))));
}

async fn nothing_closes_before_the_seal(store: Store) {
    let q = &*store.queue;
    let then = plain();
    let batch = batch_of(&then);
    assert_eq!(q.open_batch(&batch).await.expect("opens"), Opened::Created);
    assert_eq!(push(q, &member(&batch)).await, Pushed::Created);
    let me = worker(q).await;
    let one = claim(q, me, 1).await;
    settle(q, &one[0], Verdict::Succeeded).await;
    assert_eq!(closing(q, &then).await, None);
    assert_eq!(push(q, &member(&batch)).await, Pushed::Created, "it is open all the same");
    assert_eq!(q.seal_batch(batch.queue(), batch.id()).await.expect("seals"), Sealed::Waiting { left: 1 });
    let two = claim(q, me, 1).await;
    settle(q, &two[0], Verdict::Succeeded).await;
    assert_eq!(closing(q, &then).await, Some((State::Ready, Some(totals(2, 2, 0, 0)))));
    assert_eq!(q.seal_batch(batch.queue(), batch.id()).await.expect("seals"), Sealed::Unknown);
}

async fn the_last_two_ends_at_one_moment_close_it_once(store: Store) {
    let q = &*store.queue;
    for _ in 0..20 {
        let then = plain();
        let (_, members) = running(q, &then, 4).await;
        let end = |member: &Claimed, verdict| {
            let (queue, settlement) = (store.queue.clone(), settlement(member, verdict));
            tokio::spawn(async move { queue.settle(&[settlement]).await.expect("settles") })
        };
        let ends: Vec<_> = members
            .iter()
            .enumerate()
            .map(|(at, member)| end(member, if at % 2 == 0 { Verdict::Succeeded } else { failed() }))
            .collect();
        for end in ends {
            end.await.expect("ends");
        }
        let me = worker(q).await;
        let closer = claim(q, me, 9).await;
        assert_eq!(ids(&closer), [then.id]);
        assert_eq!(closer[0].history.batch, Some(totals(4, 2, 2, 0)));
        settle(q, &closer[0], Verdict::Succeeded).await;
    }
    // And in one answer.
    let then = plain();
    let (_, members) = running(q, &then, 3).await;
    let all: Vec<_> = members.iter().map(|member| settlement(member, Verdict::Succeeded)).collect();
    q.settle(&all).await.expect("settles");
    assert_eq!(closing(q, &then).await, Some((State::Ready, Some(totals(3, 3, 0, 0)))));
}

async fn every_step_may_be_repeated_after_a_lost_answer(store: Store) {
    let q = &*store.queue;
    let then = plain();
    let (batch, members) = (batch_of(&then), vec![plain(), plain(), plain()]);
    assert_eq!(q.open_batch(&batch).await.expect("opens"), Opened::Created);
    // Who opens and pushes dies here; another one begins anew, and dies before the seal.
    assert_eq!(q.open_batch(&batch).await.expect("opens"), Opened::Already);
    let stamped: Vec<Envelope> =
        members.iter().map(|job| Envelope { batch: Some(batch.id()), ..job.clone() }).collect();
    assert_eq!(q.push(&stamped[..2]).await.expect("pushes"), [Pushed::Created; 2]);
    let answers = q.push_batch(&batch, members.clone()).await.expect("pushes");
    assert_eq!(answers, [Pushed::Duplicate, Pushed::Duplicate, Pushed::Created]);
    assert_eq!(q.push_batch(&batch, members.clone()).await.expect("pushes"), [Pushed::Duplicate; 3]);
    assert_eq!(q.batch(batch.id()).await.expect("reads").expect("is open").totals, totals(3, 0, 0, 0));
    assert_eq!(q.seal_batch(batch.queue(), batch.id()).await.expect("seals"), Sealed::Waiting { left: 3 });
    let me = worker(q).await;
    for job in claim(q, me, 9).await {
        settle(q, &job, Verdict::Succeeded).await;
    }
    // It has closed: nothing begins again.
    assert_eq!(q.open_batch(&batch).await.expect("opens"), Opened::Closed);
    assert_eq!(q.push_batch(&batch, members).await.expect("pushes"), [Pushed::Duplicate; 3]);
    assert_eq!(ids(&claim(q, me, 9).await), [then.id]);
}

async fn duplicates_and_conflicts_are_no_members(store: Store) {
    let q = &*store.queue;
    let then = plain();
    let keyed = || job(Options { unique: Some(Unique::new("k", UniqueUntil::Finished)), ..Options::default() });
    let (holder, stranger, twice) = (keyed(), plain(), plain());
    q.push(&[holder.clone(), stranger.clone()]).await.expect("pushes");
    let jobs = vec![keyed(), stranger, twice.clone(), twice];
    let answers = q.push_batch(&batch_of(&then), jobs).await.expect("pushes");
    let conflict = Pushed::Conflict { holder: holder.id };
    assert_eq!(answers, [conflict, Pushed::Duplicate, Pushed::Created, Pushed::Duplicate]);
    let me = worker(q).await;
    let all = claim(q, me, 9).await;
    settle(q, &all[2], Verdict::Succeeded).await;
    assert_eq!(closing(q, &then).await, Some((State::Ready, Some(totals(1, 1, 0, 0)))));
}

async fn an_unknown_batch_takes_nobody(store: Store) {
    let q = &*store.queue;
    let lost = Envelope { batch: Some(BatchId::new()), ..plain() };
    let fine = plain();
    let unique = Some(Unique::new("k", UniqueUntil::Finished));
    let keyed = Envelope { batch: lost.batch, ..job(Options { unique: unique.clone(), ..Options::default() }) };
    let answers = q.push(&[lost.clone(), fine.clone(), keyed]).await.expect("pushes");
    let refused = Pushed::Refused(Refusal::UnknownBatch);
    assert_eq!(answers, [refused, Pushed::Created, refused]);
    assert!(q.job(lost.id).await.expect("reads").is_none());
    assert_eq!(push(q, &job(Options { unique, ..Options::default() })).await, Pushed::Created, "the key is free");
    // What is there is there, whatever it says now.
    assert_eq!(push(q, &Envelope { batch: lost.batch, ..fine }).await, Pushed::Duplicate);
    assert!(Refusal::UnknownBatch.to_string().contains("open it first"));
    assert_eq!(q.seal_batch(&QueueName::default(), BatchId::new()).await.expect("answers"), Sealed::Unknown);
    assert_eq!(q.cancel_batch(BatchId::new()).await.expect("answers"), None);
}

async fn a_sealed_batch_takes_members_from_members_only(store: Store) {
    let q = &*store.queue;
    let then = plain();
    let (batch, members) = running(q, &then, 2).await;
    let from = |parent: JobId| Envelope { parent: Some(parent), ..member(&batch) };
    let sealed = Pushed::Refused(Refusal::SealedBatch);
    assert_eq!(push(q, &member(&batch)).await, sealed);
    assert_eq!(push(q, &from(JobId::new())).await, sealed);
    assert_eq!(push(q, &from(members[0].id)).await, Pushed::Created);
    settle(q, &members[0], Verdict::Succeeded).await;
    assert_eq!(push(q, &from(members[0].id)).await, sealed, "it has ended");
    // A job that runs but is no member.
    let (stranger, me) = (job(Options { priority: Priority::High, ..Options::default() }), worker(q).await);
    push(q, &stranger).await;
    assert_eq!(ids(&claim(q, me, 1).await), [stranger.id]);
    assert_eq!(push(q, &from(stranger.id)).await, sealed);
    settle(q, &members[1], Verdict::Succeeded).await;
    assert_eq!(closing(q, &then).await, None, "the third is left");
    let third = claim(q, me, 1).await;
    settle(q, &third[0], Verdict::Succeeded).await;
    assert_eq!(closing(q, &then).await, Some((State::Ready, Some(totals(3, 3, 0, 0)))));
}

async fn a_rescued_member_counts_once_and_poison_as_dead(store: Store) {
    let q = &*store.queue;
    let then = plain();
    let (_, mut members) = running(q, &then, 1).await;
    for recoveries in 1..=MAX_RECOVERIES + 1 {
        assert_eq!(closing(q, &then).await, None, "before recovery {recoveries}");
        store.pass(LEASE.as_millis() as i64 + 1).await;
        let live = worker_of(q, &[QueueName::default()]).await;
        q.beat(&live, false).await.expect("beats");
        let again = claim(q, live.id, 9).await;
        // The zombie answers for what is not its own any more.
        settle(q, &members[0], Verdict::Succeeded).await;
        members = again;
    }
    // The claim that found no member any more has found the closing job.
    assert_eq!(ids(&members), [then.id]);
    assert_eq!(members[0].history.batch, Some(totals(1, 0, 1, 0)));
}

async fn a_dead_member_that_is_redriven_changes_nothing_any_more(store: Store) {
    let q = &*store.queue;
    let then = plain();
    let (batch, members) = running(q, &then, 2).await;
    settle(q, &members[0], failed()).await;
    let dead = members[0].id;
    assert_eq!(q.redrive(&[dead]).await.expect("redrives"), [dead]);
    assert_eq!(q.job(dead).await.expect("reads").expect("is there").batch, None);
    let me = worker(q).await;
    let again = claim(q, me, 9).await;
    assert_eq!(ids(&again), [dead]);
    assert_eq!(
        push(q, &Envelope { parent: Some(dead), ..member(&batch) }).await,
        Pushed::Refused(Refusal::SealedBatch)
    );
    settle(q, &again[0], Verdict::Succeeded).await;
    assert_eq!(q.batch(batch.id()).await.expect("reads").expect("is open").totals, totals(2, 0, 1, 0));
    settle(q, &members[1], Verdict::Succeeded).await;
    assert_eq!(closing(q, &then).await, Some((State::Ready, Some(totals(2, 1, 1, 0)))));
}

async fn a_retried_member_is_waited_for(store: Store) {
    let q = &*store.queue;
    let then = plain();
    let (_, members) = running(q, &then, 1).await;
    let me = worker(q).await;
    let mut one = members;
    for verdict in [
        Verdict::Retry { delay_ms: 10, error: "no".into() },
        Verdict::Snooze { delay_ms: 10 },
        Verdict::SetAside { delay_ms: 10 },
        Verdict::HandBack,
    ] {
        settle(q, &one[0], verdict).await;
        assert_eq!(closing(q, &then).await, None);
        store.pass(20).await;
        one = claim(q, me, 9).await;
    }
    settle(q, &one[0], Verdict::Succeeded).await;
    assert_eq!(closing(q, &then).await, Some((State::Ready, Some(totals(1, 1, 0, 0)))));
}

async fn cancelled_members_count(store: Store) {
    let q = &*store.queue;
    let then = plain();
    let later = Envelope { run_at_ms: Some(i64::from(u32::MAX) * 1_000), ..plain() };
    let members = vec![plain(), later.clone()];
    q.push_batch(&batch_of(&then), members.clone()).await.expect("pushes");
    let woken = q.wait(&[queue("other")], std::time::Duration::from_millis(1)).await;
    woken.expect("waits");
    assert_eq!(q.cancel(members[0].id).await.expect("cancels"), Cancelled::Ended);
    assert_eq!(closing(q, &then).await, None);
    assert_eq!(q.cancel(later.id).await.expect("cancels"), Cancelled::Ended);
    assert_eq!(closing(q, &then).await, Some((State::Ready, Some(totals(2, 0, 0, 2)))));
}

async fn a_batch_is_cancelled_whole(store: Store) {
    let q = &*store.queue;
    let then = plain();
    let batch = batch_of(&then);
    q.open_batch(&batch).await.expect("opens");
    let bystander = job(Options { priority: Priority::Low, ..Options::default() });
    let members: Vec<Envelope> = (0..6).map(|_| member(&batch)).collect();
    q.push(&members).await.expect("pushes");
    push(q, &bystander).await;
    let me = worker(q).await;
    let held = claim(q, me, 2).await;
    let done = q.cancel_batch(batch.id()).await.expect("cancels").expect("is open");
    assert_eq!((done.ended, done.asked), (4, 2));
    let mut stops = q.stops(me, &[QueueName::default()]).await.expect("reads");
    stops.sort();
    let mut asked = ids(&held);
    asked.sort();
    assert_eq!(stops, asked);
    let info = q.batch(batch.id()).await.expect("reads").expect("waits for two");
    assert!(info.sealed && info.cancelled);
    let inside = Envelope { parent: Some(held[0].id), ..member(&batch) };
    assert_eq!(push(q, &inside).await, Pushed::Refused(Refusal::CancelledBatch));
    settle(q, &held[0], Verdict::Succeeded).await;
    settle(q, &held[1], Verdict::Cancelled { reason: "asked to stop".into() }).await;
    let rest = claim(q, me, 9).await;
    assert_eq!(ids(&rest), [then.id, bystander.id]);
    assert_eq!(rest[0].history.batch, Some(totals(6, 1, 0, 5)));
}

async fn an_open_batch_without_members_is_cancelled_at_once(store: Store) {
    let q = &*store.queue;
    let then = plain();
    let batch = batch_of(&then);
    q.open_batch(&batch).await.expect("opens");
    assert_eq!(q.cancel_batch(batch.id()).await.expect("cancels"), Some(BatchCancelled::default()));
    assert_eq!(closing(q, &then).await, Some((State::Ready, Some(totals(0, 0, 0, 0)))));
}

async fn the_closing_job_keeps_its_options_and_its_time(store: Store) {
    let q = &*store.queue;
    let options = Options { priority: Priority::Critical, max_attempts: 2, ..Options::default() };
    let then = job(options.clone());
    q.push(&[job(Options { priority: Priority::High, ..Options::default() })]).await.expect("pushes");
    q.push_batch(&batch_of(&then), Vec::new()).await.expect("pushes");
    let me = worker(q).await;
    let first = claim(q, me, 1).await;
    assert_eq!(ids(&first), [then.id], "the urgent go first");
    assert_eq!(q.job(then.id).await.expect("reads").expect("runs").priority, Priority::Critical);

    // As far away as no test takes, by the clock of this machine; the store's is no further off than that.
    let at_ms = first[0].claimed_at_ms + 3_600_000;
    let timed = Envelope { run_at_ms: Some(at_ms), ..job(options) };
    q.push_batch(&batch_of(&timed), Vec::new()).await.expect("pushes");
    let record = q.job(timed.id).await.expect("reads").expect("is made");
    assert_eq!((record.state, record.run_at_ms), (State::Scheduled, Some(at_ms)));

    let keyed = job(Options { unique: Some(Unique::new("k", UniqueUntil::Finished)), ..Options::default() });
    assert_eq!(Batch::new(keyed).expect_err("refused"), NotClosing::Unique);
}

async fn the_totals_outlive_retries_and_a_redrive(store: Store) {
    let q = &*store.queue;
    let then = plain();
    let (_, members) = running(q, &then, 1).await;
    settle(q, &members[0], Verdict::Succeeded).await;
    let me = worker(q).await;
    let seen = Some(totals(1, 1, 0, 0));
    let first = claim(q, me, 1).await;
    settle(q, &first[0], Verdict::Retry { delay_ms: 5, error: "no".into() }).await;
    store.pass(10).await;
    let second = claim(q, me, 1).await;
    assert_eq!((second[0].history.batch, second[0].history.failures), (seen, 1));
    settle(q, &second[0], failed()).await;
    assert_eq!(closing(q, &then).await, Some((State::Dead, seen)));
    q.redrive(&[then.id]).await.expect("redrives");
    let third = claim(q, me, 1).await;
    assert_eq!((third[0].history.batch, third[0].history.failures), (seen, 0));
}

async fn an_open_batch_is_seen_with_its_age(store: Store) {
    let q = &*store.queue;
    let (old, new) = (batch_of(&plain()), batch_of(&plain()));
    q.open_batch(&old).await.expect("opens");
    store.pass(60_000).await;
    q.open_batch(&new).await.expect("opens");
    push(q, &member(&new)).await;
    let page = |after, size| q.batches(new.queue(), after, size);
    let seen = page(None, 9).await.expect("reads");
    assert_eq!(seen.iter().map(|info| info.id).collect::<Vec<_>>(), [old.id(), new.id()], "the oldest first");
    assert!(seen[1].opened_at_ms - seen[0].opened_at_ms >= 60_000);
    assert!(seen.iter().all(|info| !info.sealed && !info.cancelled && info.queue == QueueName::default()));
    assert_eq!((seen[1].totals, seen[1].then), (totals(1, 0, 0, 0), new.then().id));
    assert_eq!(page(None, 1).await.expect("reads"), seen[..1]);
    assert_eq!(page(Some(old.id()), 1).await.expect("reads"), seen[1..]);
    assert_eq!(q.batches(&queue("other"), None, 9).await.expect("reads"), []);
    assert_eq!(q.batch(new.id()).await.expect("reads").as_ref(), Some(&seen[1]));
}

async fn a_batch_lives_in_one_queue(store: Store) {
    let q = &*store.queue;
    let batch = batch_of(&plain());
    let elsewhere = job(Options { queue: queue("other"), ..Options::default() });
    let error = q.push_batch(&batch, vec![plain(), elsewhere.clone()]).await.expect_err("refused").to_string();
    assert!(error.contains("the same queue") && error.contains("other"), "{error}");
    assert_eq!(q.batch(batch.id()).await.expect("reads"), None, "nothing was done");
    q.open_batch(&batch).await.expect("opens");
    let lost = Envelope { batch: Some(batch.id()), ..elsewhere };
    assert_eq!(push(q, &lost).await, Pushed::Refused(Refusal::UnknownBatch));
}

async fn many_members_are_counted_and_cancelled(store: Store) {
    let q = &*store.queue;
    let (then, other) = (plain(), plain());
    let batch = batch_of(&then);
    q.push_batch(&batch, (0..1_200).map(|_| plain()).collect()).await.expect("pushes");
    q.push_batch(&batch_of(&other), (0..10).map(|_| plain()).collect()).await.expect("pushes");
    let me = worker(q).await;
    let held = claim(q, me, 300).await;
    let ends: Vec<_> = held[..200].iter().map(|job| settlement(job, Verdict::Succeeded)).collect();
    q.settle(&ends).await.expect("settles");
    let done = q.cancel_batch(batch.id()).await.expect("cancels").expect("is open");
    assert_eq!((done.ended, done.asked), (900, 100));
    let ends: Vec<_> = held[200..].iter().map(|job| settlement(job, Verdict::HandBack)).collect();
    q.settle(&ends).await.expect("settles");
    assert_eq!(closing(q, &then).await, Some((State::Ready, Some(totals(1_200, 200, 0, 1_000)))));
    assert_eq!(q.queues().await.expect("reads")[0].ready, 11, "the other batch is untouched");
    assert_eq!(closing(q, &other).await, None);
}
