//! Batches: the closing job runs once, when no member is left.

use std::collections::BTreeSet;
use std::time::Duration;

use deskhand::base::{PageRequest, TenantId};
use deskhand::db::Db;
use deskhand::dispatch::ledger::{self, Filter};
use deskhand::dispatch::retention::{Keep, Removed, clean};
use deskhand::dispatch::service::Service;
use deskhand::dispatch::{Enqueue, Keeper, LedgerState, Reconciler, Relay, batches};
use deskhand::on;
use deskhand_jobs::queue::{BatchTotals, DeadReason, Verdict};
use deskhand_jobs::{BatchId, Envelope, JobId};
use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use super::relay::entry;
use crate::fixtures::TestQueue;
use crate::fixtures::by;
use crate::fixtures::databases::on_both;
use crate::fixtures::jobs::{mail, mail_once, registry};

fn tenant() -> TenantId {
    TenantId::default()
}

fn service(db: &Db, test: &TestQueue) -> Service {
    Service::new(db.clone(), test.queue.clone(), registry())
}

async fn open(db: &Db, then: &Envelope, members: &[Envelope]) -> BatchId {
    let mut tx = db.begin().await.expect("begins");
    let batch = tx.enqueue_batch(then, members.to_vec()).await.expect("writes");
    tx.commit().await.expect("commits");
    batch
}

async fn state(db: &Db, job: &Envelope) -> LedgerState {
    entry(db, job.id).await.state
}

async fn totals(db: &Db, closing: &Envelope) -> BatchTotals {
    batches::totals(&entry(db, closing.id).await.headers).expect("it was told how the batch went")
}

async fn change(db: &Db, sql: &'static str, id: JobId) {
    let mut tx = db.begin().await.expect("begins");
    on!(tx, |c| sqlx::query(sql).bind(id.to_string()).execute(c).await.map(|_| ())).expect("updates");
    tx.commit().await.expect("commits");
}

fn counted(succeeded: u64, dead: u64, cancelled: u64) -> BatchTotals {
    BatchTotals { total: succeeded + dead + cancelled, succeeded, dead, cancelled }
}

#[tokio::test]
async fn however_members_end_the_closing_job_is_sent_once_and_told() {
    on_both(async |fresh| {
        let (db, test) = (&fresh.db, TestQueue::new().await);
        let (relay, keeper) = (Relay::new(db.clone(), test.queue.clone()), Keeper::new(db.clone(), test.queue.clone()));
        let (then, good, bad, unwanted) = (mail("then"), mail("good"), mail("bad"), mail("unwanted"));
        let batch = open(db, &then, &[good.clone(), bad.clone(), unwanted.clone()]).await;
        assert_eq!(batch, batches::closed_by(then.id));
        let service = service(db, &test);
        service.cancel(&by(&tenant()), unwanted.id, "no").await.expect("cancels");
        change(db, "UPDATE jobs SET run_at = '2999-01-01T00:00:00+00:00' WHERE id = $1", bad.id).await;
        assert_eq!(relay.push_due().await.expect("pushes"), 1);
        test.work(&Verdict::Succeeded).await;
        keeper.write_endings().await.expect("writes");
        let reasons = service.explain(&tenant(), then.id).await.expect("explains");
        assert_eq!(reasons[0].code, "waits_for_batch");
        assert!(reasons[0].text.contains("1 of its 3 members"), "{}", reasons[0].text);
        let refused = service.retry(&by(&tenant()), then.id).await.expect_err("its batch is open");
        assert!(refused.to_string().contains("members of its batch"), "{refused}");
        let reasons = service.explain(&tenant(), bad.id).await.expect("explains");
        assert_eq!(reasons.last().map(|reason| reason.code.as_str()), Some("in_batch"));

        service.retry(&by(&tenant()), bad.id).await.expect("hurries");
        relay.push_due().await.expect("pushes");
        test.work(&Verdict::Dead { reason: DeadReason::Failed, error: "no".into() }).await;
        let enqueued = db.enqueued();
        let (one, two) = tokio::join!(keeper.write_endings(), keeper.write_endings());
        assert!(one.expect("writes") + two.expect("writes") >= 1);
        assert!(enqueued.has_changed().expect("the database is open"), "the relay is woken");
        assert_eq!((state(db, &then).await, totals(db, &then).await), (LedgerState::Pending, counted(1, 1, 1)));
        relay.push_due().await.expect("pushes");
        assert_eq!(test.work(&Verdict::Succeeded).await, [then.id]);
        keeper.write_endings().await.expect("writes");
        assert_eq!(state(db, &then).await, LedgerState::Succeeded);
        assert_eq!(relay.push_due().await.expect("pushes"), 0);

        let mut tx = db.read().await.expect("begins");
        let filter = Filter { batch: Some(batch), kind: Some(then.kind.clone()), ..Filter::default() };
        let page = PageRequest::new(None, None).expect("the first");
        let list = ledger::list(&mut tx, &tenant(), &filter, page).await.expect("lists");
        let ids: Vec<JobId> = list.items.iter().map(|entry| entry.id).collect();
        assert_eq!(ids, [unwanted.id, bad.id, good.id]);
        assert!(list.items.iter().all(|entry| entry.batch == Some(batch)));
    })
    .await;
}

#[tokio::test]
async fn a_batch_is_written_once_or_not_at_all() {
    on_both(async |fresh| {
        let (db, test) = (&fresh.db, TestQueue::new().await);
        let (then, member) = (mail("then"), mail("member"));
        let mut tx = db.begin().await.expect("begins");
        tx.enqueue_batch(&then, vec![member.clone()]).await.expect("writes");
        drop(tx);
        for _ in 0..2 {
            open(db, &then, std::slice::from_ref(&member)).await;
        }
        service(db, &test).cancel(&by(&tenant()), member.id, "no").await.expect("cancels");
        assert_eq!(state(db, &then).await, LedgerState::Pending);
        // Whoever repeats it after an answer that got lost comes too late for another member, and harms nothing.
        open(db, &then, &[mail("another")]).await;
        assert_eq!(totals(db, &then).await, counted(0, 0, 1));
        let nothing = mail("nothing");
        open(db, &nothing, &[]).await;
        assert_eq!((state(db, &nothing).await, totals(db, &nothing).await), (LedgerState::Pending, counted(0, 0, 0)));
    })
    .await;
}

#[tokio::test]
async fn members_are_added_while_one_is_left_and_never_to_what_has_closed() {
    on_both(async |fresh| {
        let (db, test) = (&fresh.db, TestQueue::new().await);
        let (then, first, second) = (mail("then"), mail("first"), mail("second"));
        let batch = open(db, &then, std::slice::from_ref(&first)).await;
        let added = Envelope { batch: Some(batch), ..second.clone() };
        let mut tx = db.begin().await.expect("begins");
        tx.enqueue(&added).await.expect("the batch is open");
        // The last member ends before the new one is committed.
        let (service, id) = (service(db, &test), first.id);
        let mut ending = tokio::spawn(async move { service.cancel(&by(&tenant()), id, "no").await.map(drop) });
        let early = tokio::time::timeout(Duration::from_millis(200), &mut ending).await;
        assert!(early.is_err(), "it waits for the member that is on its way");
        tx.commit().await.expect("commits");
        ending.await.expect("does not panic").expect("cancels");
        assert_eq!(state(db, &then).await, LedgerState::Waiting);
        self::service(db, &test).cancel(&by(&tenant()), second.id, "no").await.expect("cancels");
        assert_eq!((state(db, &then).await, totals(db, &then).await), (LedgerState::Pending, counted(0, 0, 2)));

        let mut tx = db.begin().await.expect("begins");
        let late = Envelope { batch: Some(batch), ..mail("late") };
        let refused = tx.enqueue_many(&[mail("free"), late]).await.expect_err("it has closed");
        assert_eq!(refused.code(), "batch_closed");
        let foreign = Envelope { tenant: Some("other".into()), ..mail("foreign") };
        let third = mail("third");
        let open_batch = tx.enqueue_batch(&third, vec![mail("x")]).await.expect("writes");
        let refused = tx.enqueue(&Envelope { batch: Some(open_batch), ..foreign }).await.expect_err("not its tenant");
        assert_eq!(refused.code(), "batch_closed");
    })
    .await;
}

#[tokio::test]
async fn of_many_that_end_at_once_one_closes() {
    on_both(async |fresh| {
        let (db, test) = (&fresh.db, TestQueue::new().await);
        let (then, members) = (mail("then"), (0..24).map(|n| mail(&n.to_string())).collect::<Vec<_>>());
        open(db, &then, &members).await;
        let before = entry(db, then.id).await.version;
        let service = service(db, &test);
        let actor = by(&tenant());
        let ends = join_all(members.iter().map(|member| service.cancel(&actor, member.id, "no"))).await;
        assert!(ends.iter().all(Result::is_ok), "{ends:?}");
        assert_eq!((state(db, &then).await, totals(db, &then).await), (LedgerState::Pending, counted(0, 0, 24)));
        assert_eq!(entry(db, then.id).await.version, before + 1, "it was closed once");
    })
    .await;
}

#[tokio::test]
async fn what_the_queue_does_not_take_has_ended_too() {
    on_both(async |fresh| {
        let (db, test) = (&fresh.db, TestQueue::new().await);
        let relay = Relay::new(db.clone(), test.queue.clone());
        let (one, other, garbled) = (mail_once("x"), mail_once("x"), mail("garbled"));
        let (of_other, of_garbled) = (mail("then"), mail("then"));
        let mut tx = db.begin().await.expect("begins");
        tx.enqueue(&one).await.expect("writes");
        tx.commit().await.expect("commits");
        open(db, &of_other, std::slice::from_ref(&other)).await;
        open(db, &of_garbled, std::slice::from_ref(&garbled)).await;
        change(db, "UPDATE jobs SET args = '{' WHERE id = $1", garbled.id).await;
        while relay.push_due().await.expect("pushes") > 0 {}
        assert_eq!(totals(db, &of_other).await, counted(0, 0, 1));
        assert_eq!(totals(db, &of_garbled).await, counted(0, 1, 0));
        let sent: BTreeSet<JobId> = test.work(&Verdict::Succeeded).await.into_iter().collect();
        assert_eq!(sent, BTreeSet::from([one.id, of_other.id, of_garbled.id]));
    })
    .await;
}

#[tokio::test]
async fn a_closing_job_may_be_a_member_and_a_dead_member_that_comes_back_is_waited_for() {
    on_both(async |fresh| {
        let (db, test) = (&fresh.db, TestQueue::new().await);
        let (outer, inner, one, two) = (mail("outer"), mail("inner"), mail("one"), mail("two"));
        let outer_batch = open(db, &outer, std::slice::from_ref(&one)).await;
        let inner = Envelope { batch: Some(outer_batch), ..inner };
        open(db, &inner, std::slice::from_ref(&two)).await;
        change(db, "UPDATE jobs SET state = 'dead' WHERE id = $1", one.id).await;
        let service = service(db, &test);
        service.redrive(&by(&tenant()), &[one.id]).await.expect("redrives");
        service.cancel(&by(&tenant()), two.id, "no").await.expect("cancels");
        assert_eq!((state(db, &outer).await, state(db, &inner).await), (LedgerState::Waiting, LedgerState::Pending));
        service.cancel(&by(&tenant()), one.id, "no").await.expect("cancels");
        assert_eq!(state(db, &outer).await, LedgerState::Waiting, "the inner batch is still to be closed");
        service.cancel(&by(&tenant()), inner.id, "no").await.expect("cancels");
        assert_eq!(totals(db, &outer).await, counted(0, 0, 2));
    })
    .await;
}

#[tokio::test]
async fn a_closing_job_that_is_cancelled_does_not_run() {
    on_both(async |fresh| {
        let (db, test) = (&fresh.db, TestQueue::new().await);
        let (then, member) = (mail("then"), mail("member"));
        open(db, &then, std::slice::from_ref(&member)).await;
        let service = service(db, &test);
        service.cancel(&by(&tenant()), then.id, "no").await.expect("cancels");
        service.cancel(&by(&tenant()), member.id, "no").await.expect("cancels");
        assert_eq!(state(db, &then).await, LedgerState::Cancelled);
        assert_eq!(Relay::new(db.clone(), test.queue.clone()).push_due().await.expect("looks"), 0);
    })
    .await;
}

#[tokio::test]
async fn ends_that_an_older_program_wrote_close_their_batch_within_a_minute() {
    on_both(async |fresh| {
        let (db, test) = (&fresh.db, TestQueue::new().await);
        let (then, other, member) = (mail("then"), mail("other"), mail("member"));
        open(db, &then, std::slice::from_ref(&member)).await;
        open(db, &other, &[mail("left")]).await;
        change(db, "UPDATE jobs SET state = 'succeeded' WHERE id = $1", member.id).await;
        let reconciler = Reconciler::new(db.clone(), test.queue.clone());
        assert_eq!(reconciler.recover_lost().await.expect("compares"), 0);
        assert_eq!((state(db, &then).await, totals(db, &then).await), (LedgerState::Pending, counted(1, 0, 0)));
        assert_eq!(state(db, &other).await, LedgerState::Waiting);
    })
    .await;
}

#[tokio::test]
async fn members_stay_until_their_batch_has_counted_them() {
    on_both(async |fresh| {
        let (db, test) = (&fresh.db, TestQueue::new().await);
        let (then, old, left) = (mail("then"), mail("old"), mail("left"));
        open(db, &then, &[old.clone(), left.clone()]).await;
        let sql = "UPDATE jobs SET state = 'succeeded', ended_at = '2020-01-01T00:00:00+00:00' WHERE id = $1";
        change(db, sql, old.id).await;
        let cleaned = async || clean(db, Keep::default(), &CancellationToken::new()).await.expect("cleans");
        assert_eq!(cleaned().await, Removed::default());
        service(db, &test).cancel(&by(&tenant()), left.id, "no").await.expect("cancels");
        assert_eq!(totals(db, &then).await, counted(1, 0, 1));
        assert_eq!(cleaned().await, Removed { jobs: 1, slots: 0 });
    })
    .await;
}
