//! From the database into the queue and back.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use deskhand::base::{Clock, PageRequest, TenantId};
use deskhand::db::Db;
use deskhand::dispatch::ledger::{self, Filter};
use deskhand::dispatch::{Enqueue, Entry, Keeper, LedgerState, Reconciler, Relay, Sweep};
use deskhand::on;
use deskhand_jobs::queue::{DeadReason, State, Verdict};
use deskhand_jobs::{Envelope, JobId, Unique};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::fixtures::TestQueue;
use crate::fixtures::databases::{on_both, on_postgres};
use crate::fixtures::jobs::{mail, mail_once};

pub(super) async fn enqueue(db: &Db, jobs: &[Envelope]) {
    let mut tx = db.begin().await.expect("begins");
    for job in jobs {
        tx.enqueue(job).await.expect("enqueues");
    }
    tx.commit().await.expect("commits");
}

pub(super) async fn entry(db: &Db, id: JobId) -> Entry {
    let mut tx = db.read().await.expect("begins");
    ledger::get(&mut tx, &TenantId::default(), id).await.expect("reads").expect("is there")
}

/// Polls a condition, for what happens in other tasks.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while !holds().await {
        assert!(tokio::time::Instant::now() < deadline, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_job_goes_through_the_queue_and_its_end_comes_back() {
    on_both(async |fresh| {
        let (db, test) = (&fresh.db, TestQueue::new().await);
        let (relay, keeper) = (Relay::new(db.clone(), test.queue.clone()), Keeper::new(db.clone(), test.queue.clone()));
        let (good, bad) = (mail("good"), mail("bad"));
        enqueue(db, std::slice::from_ref(&good)).await;
        assert_eq!(relay.push_due().await.expect("pushes"), 1);
        assert_eq!(relay.push_due().await.expect("pushes"), 0);
        assert_eq!(entry(db, good.id).await.state, LedgerState::Pushed);
        assert_eq!(test.work(&Verdict::Succeeded).await, [good.id]);
        enqueue(db, std::slice::from_ref(&bad)).await;
        relay.push_due().await.expect("pushes");
        let error = "no such box\0".to_owned();
        test.work(&Verdict::Dead { reason: DeadReason::Failed, error }).await;
        assert_eq!(keeper.write_endings().await.expect("writes"), 2);
        assert_eq!(keeper.write_endings().await.expect("writes"), 0);

        let good = entry(db, good.id).await;
        assert_eq!((good.state, good.failures), (LedgerState::Succeeded, 0));
        assert!(good.ended_at >= good.started_at && good.worker.is_some() && good.duration_ms.is_some());
        let bad = entry(db, bad.id).await;
        assert_eq!((bad.state, bad.dead_reason, bad.failures), (LedgerState::Dead, Some(DeadReason::Failed), 1));
        assert_eq!(bad.last_error.as_deref(), Some("no such box\u{fffd}"));
    })
    .await;
}

#[tokio::test]
async fn a_burst_is_read_batch_by_batch() {
    on_postgres(async |fresh| {
        fresh.db.migrate().await.expect("migrates");
        enqueue(&fresh.db, &[mail("x")]).await;
        let mut tx = fresh.db.begin().await.expect("begins");
        // The server has no statistics of them, as always in the minute after a burst.
        let sql = "INSERT INTO jobs (id, tenant_id, kind, queue, priority, args, options, headers, run_at, state, created_at) \
                   SELECT gen_random_uuid(), tenant_id, kind, queue, priority, args, options, headers, run_at, state, created_at \
                   FROM jobs, generate_series(1, 5000)";
        on!(tx, |c| sqlx::query(sql).execute(c).await.map(|_| ())).expect("copies the job");
        tx.commit().await.expect("commits");

        let (other, test) = (fresh.again().await, TestQueue::new().await);
        assert_eq!(Relay::new(other.clone(), test.queue.clone()).push_due().await.expect("pushes"), 500);
        // A connection tells what it has read at its end.
        other.close().await;
        let read = async || {
            let mut tx = fresh.db.read().await.expect("begins");
            let sql = "SELECT CAST(idx_tup_read AS BIGINT) FROM pg_stat_user_indexes WHERE indexrelname = 'jobs_pending'";
            on!(tx, |c| sqlx::query_scalar::<_, i64>(sql).fetch_one(c).await).expect("reads")
        };
        until("what was read is told", async || read().await > 0).await;
        assert!(read().await < 1_000, "{} of 5,001 entries were read for 500 jobs", read().await);
    })
    .await;
}

#[tokio::test]
async fn what_is_pushed_twice_is_one_job() {
    on_both(async |fresh| {
        let (db, test) = (&fresh.db, TestQueue::new().await);
        let relay = Relay::new(db.clone(), test.queue.clone());
        let job = mail("x");
        enqueue(db, std::slice::from_ref(&job)).await;
        relay.push_due().await.expect("pushes");
        // As if the relay had died between the push and its commit.
        let mut tx = db.begin().await.expect("begins");
        on!(tx, |c| sqlx::query("UPDATE jobs SET state = 'pending'").execute(c).await.map(|_| ())).expect("updates");
        tx.commit().await.expect("commits");
        assert_eq!(relay.push_due().await.expect("pushes"), 1);
        assert_eq!(test.work(&Verdict::Succeeded).await, [job.id]);
        assert_eq!(test.work(&Verdict::Succeeded).await, []);
    })
    .await;
}

#[tokio::test]
async fn two_relays_share_the_work() {
    on_both(async |fresh| {
        let (db, test) = (&fresh.db, TestQueue::new().await);
        let jobs: Vec<Envelope> = (0..1200).map(|n| mail(&n.to_string())).collect();
        enqueue(db, &jobs).await;
        let other = fresh.again().await;
        let drain = async |relay: Relay| while relay.push_due().await.expect("pushes") > 0 {};
        tokio::join!(drain(Relay::new(db.clone(), test.queue.clone())), drain(Relay::new(other, test.queue.clone())));
        assert_eq!(test.queue.queues().await.expect("counts")[0].pushed_total, 1200);
        let mut tx = db.read().await.expect("begins");
        assert_eq!(ledger::backlog(&mut tx).await.expect("counts").pending, 0);
    })
    .await;
}

#[tokio::test]
async fn a_late_job_waits_in_the_database() {
    on_both(async |fresh| {
        let clock = Clock::manual(Utc::now());
        let (db, test) = (fresh.db.with_clock(clock.clone()), TestQueue::new().await);
        let relay = Relay::new(db.clone(), test.queue.clone());
        let mut job = mail("later");
        job.run_at_ms = Some((clock.now() + TimeDelta::minutes(10)).timestamp_millis());
        enqueue(&db, std::slice::from_ref(&job)).await;
        assert_eq!(relay.push_due().await.expect("pushes"), 0);
        clock.advance(Duration::from_mins(9));
        assert_eq!(relay.push_due().await.expect("pushes"), 1, "a minute ahead it goes to the queue");
        let record = test.queue.job(job.id).await.expect("reads").expect("is there");
        assert_eq!((record.state, record.run_at_ms), (State::Scheduled, job.run_at_ms));
    })
    .await;
}

#[tokio::test]
async fn a_second_holder_of_a_unique_key_stands_back() {
    on_both(async |fresh| {
        let (db, test) = (&fresh.db, TestQueue::new().await);
        let (first, second) = (mail_once("x"), mail_once("x"));
        enqueue(db, &[first.clone(), second.clone()]).await;
        Relay::new(db.clone(), test.queue.clone()).push_due().await.expect("pushes");
        assert_eq!(entry(db, first.id).await.state, LedgerState::Pushed);
        let second = entry(db, second.id).await;
        assert_eq!(second.state, LedgerState::Cancelled);
        assert!(second.last_error.expect("has a reason").contains(&first.id.to_string()));
    })
    .await;
}

#[tokio::test]
async fn who_is_replaced_in_the_queue_is_cancelled_in_the_ledger() {
    on_both(async |fresh| {
        let (db, test) = (&fresh.db, TestQueue::new().await);
        let (old, mut new) = (mail_once("x"), mail_once("x"));
        new.options.unique = new.options.unique.map(Unique::replace);
        enqueue(db, &[old.clone(), new.clone()]).await;
        Relay::new(db.clone(), test.queue.clone()).push_due().await.expect("pushes");
        assert_eq!(entry(db, new.id).await.state, LedgerState::Pushed);
        Keeper::new(db.clone(), test.queue.clone()).write_endings().await.expect("writes");
        let old = entry(db, old.id).await;
        assert_eq!(old.state, LedgerState::Cancelled);
        assert_eq!(old.last_error, Some(format!("replaced by job {}", new.id)));
        assert_eq!(test.work(&Verdict::Succeeded).await, [new.id]);
    })
    .await;
}

#[tokio::test]
async fn tenants_do_not_take_each_others_unique_keys() {
    on_both(async |fresh| {
        let (db, test) = (&fresh.db, TestQueue::new().await);
        let (ours, mut theirs) = (mail_once("x"), mail_once("x"));
        theirs.tenant = Some("acme".to_owned());
        enqueue(db, &[ours.clone(), theirs.clone()]).await;
        Relay::new(db.clone(), test.queue.clone()).push_due().await.expect("pushes");
        assert_eq!(test.work(&Verdict::Succeeded).await, [ours.id, theirs.id]);
    })
    .await;
}

#[tokio::test]
async fn large_jobs_go_in_small_batches() {
    on_both(async |fresh| {
        let (db, test) = (&fresh.db, TestQueue::new().await);
        let jobs: Vec<Envelope> = (0..50).map(|_| mail(&"x".repeat(250_000))).collect();
        enqueue(db, &jobs).await;
        let relay = Relay::new(db.clone(), test.queue.clone());
        let first = relay.push_due().await.expect("pushes");
        assert!((1..50).contains(&first), "12 MB in one call keep the rows locked for long: {first}");
        let mut total = first;
        while total < 50 {
            let more = relay.push_due().await.expect("pushes");
            assert!(more > 0, "it stopped at {total}");
            total += more;
        }
    })
    .await;
}

#[tokio::test]
async fn an_end_is_written_also_by_a_clock_that_runs_behind() {
    on_both(async |fresh| {
        let (db, test) = (&fresh.db, TestQueue::new().await);
        let job = mail("x");
        enqueue(db, std::slice::from_ref(&job)).await;
        Relay::new(db.clone(), test.queue.clone()).push_due().await.expect("pushes");
        // As if it had died before, on a queue whose clock was ahead, and had been redriven.
        let mut tx = db.begin().await.expect("begins");
        let ahead = Utc::now() + TimeDelta::hours(1);
        let sql = "UPDATE jobs SET ended_through = $1";
        on!(tx, |c| sqlx::query(sql).bind(ahead).execute(c).await.map(|_| ())).expect("updates");
        tx.commit().await.expect("commits");
        test.work(&Verdict::Succeeded).await;
        Keeper::new(db.clone(), test.queue.clone()).write_endings().await.expect("writes");
        assert_eq!(entry(db, job.id).await.state, LedgerState::Succeeded, "else it would be sent again for ever");
    })
    .await;
}

#[tokio::test]
async fn a_row_that_cannot_be_read_harms_no_other() {
    on_both(async |fresh| {
        let (db, test) = (&fresh.db, TestQueue::new().await);
        let (broken, whole) = (mail("broken"), mail("whole"));
        enqueue(db, &[broken.clone(), whole.clone()]).await;
        let mut tx = db.begin().await.expect("begins");
        let sql = "UPDATE jobs SET options = '{' WHERE id = $1";
        on!(tx, |c| sqlx::query(sql).bind(broken.id.to_string()).execute(c).await.map(|_| ())).expect("updates");
        tx.commit().await.expect("commits");
        assert_eq!(Relay::new(db.clone(), test.queue.clone()).push_due().await.expect("pushes"), 2);
        assert_eq!(test.work(&Verdict::Succeeded).await, [whole.id]);
    })
    .await;
}

#[tokio::test]
async fn what_the_queue_lost_is_sent_again_and_what_ended_is_not() {
    on_both(async |fresh| {
        let clock = Clock::manual(Utc::now());
        let db = &fresh.db.with_clock(clock.clone());
        let (before, after) = (TestQueue::new().await, TestQueue::new().await);
        let (done, lost) = (mail("done"), mail("lost"));
        enqueue(db, std::slice::from_ref(&done)).await;
        Relay::new(db.clone(), before.queue.clone()).push_due().await.expect("pushes");
        before.work(&Verdict::Succeeded).await;
        Keeper::new(db.clone(), before.queue.clone()).write_endings().await.expect("writes");
        enqueue(db, std::slice::from_ref(&lost)).await;
        Relay::new(db.clone(), before.queue.clone()).push_due().await.expect("pushes");

        let healthy = Reconciler::new(db.clone(), before.queue.clone());
        let emptied = Reconciler::new(db.clone(), after.queue.clone());
        assert_eq!(emptied.recover_lost().await.expect("compares"), 0, "it is too early to tell");
        clock.advance(Duration::from_mins(2));
        assert_eq!(healthy.recover_lost().await.expect("compares"), 0, "the queue knows it");
        assert_eq!(emptied.recover_lost().await.expect("compares"), 1);
        let relay = Relay::new(db.clone(), after.queue.clone());
        assert_eq!(relay.push_due().await.expect("pushes"), 1);
        assert_eq!(after.work(&Verdict::Succeeded).await, [lost.id]);
    })
    .await;
}

#[tokio::test]
async fn a_round_of_comparing_is_bounded_and_the_rounds_reach_everything() {
    on_both(async |fresh| {
        let clock = Clock::manual(Utc::now());
        let db = &fresh.db.with_clock(clock.clone());
        let (whole, elsewhere) = (TestQueue::new().await, TestQueue::new().await);
        let push = async |to: &TestQueue, count: usize| {
            let jobs: Vec<Envelope> = (0..count).map(|n| mail(&n.to_string())).collect();
            enqueue(db, &jobs).await;
            Relay::new(db.clone(), to.queue.clone()).push_due().await.expect("pushes");
            clock.advance(Duration::from_secs(1));
        };
        push(&whole, 5).await;
        push(&elsewhere, 1).await;
        clock.advance(Duration::from_mins(2));
        let (reconciler, mut sweep) = (Reconciler::new(db.clone(), whole.queue.clone()).per_round(2), Sweep::default());
        let mut found = Vec::new();
        for _ in 0..3 {
            found.push(reconciler.recover_some(&mut sweep).await.expect("compares"));
        }
        assert_eq!(found, [0, 0, 1], "two rows a round");
        Relay::new(db.clone(), whole.queue.clone()).push_due().await.expect("pushes");

        // What a failover lost is young: it does not wait until the rounds come by.
        push(&whole, 5).await;
        push(&elsewhere, 1).await;
        clock.advance(Duration::from_mins(2));
        assert_eq!(reconciler.recover_some(&mut sweep).await.expect("compares"), 1);
        Relay::new(db.clone(), whole.queue.clone()).push_due().await.expect("pushes");

        clock.advance(Duration::from_mins(2));
        let empty = TestQueue::new().await;
        let emptied = Reconciler::new(db.clone(), empty.queue.clone()).per_round(2);
        assert_eq!(emptied.recover_some(&mut Sweep::default()).await.expect("compares"), 12, "everything is lost");
    })
    .await;
}

#[tokio::test]
async fn running_loops_carry_a_job_through_and_stop() {
    on_both(async |fresh| {
        let test = Arc::new(TestQueue::new().await);
        // Another process enqueues: only Postgres tells at once, beside SQLite the tick finds it.
        let (db, other) = (fresh.db.clone(), fresh.again().await);
        let (stop, wake) = (CancellationToken::new(), Arc::new(Notify::new()));
        let loops = [
            tokio::spawn({
                let (relay, stop) = (Relay::new(db.clone(), test.queue.clone()), stop.clone());
                async move { relay.run(stop).await }
            }),
            tokio::spawn({
                let (keeper, stop) = (Keeper::new(db.clone(), test.queue.clone()), stop.clone());
                let wake = wake.clone();
                async move { keeper.run(stop, wake).await }
            }),
        ];
        for db in [&db, &other] {
            let job = mail("x");
            enqueue(db, std::slice::from_ref(&job)).await;
            until("the job is pushed", async || entry(db, job.id).await.state == LedgerState::Pushed).await;
            test.work(&Verdict::Succeeded).await;
            wake.notify_one();
            until("its end is written", async || entry(db, job.id).await.state == LedgerState::Succeeded).await;
        }
        stop.cancel();
        for one in loops {
            tokio::time::timeout(Duration::from_secs(10), one).await.expect("stops in time").expect("does not panic");
        }
    })
    .await;
}

#[tokio::test]
async fn lists_are_filtered_paged_and_of_one_tenant() {
    on_both(async |fresh| {
        let db = &fresh.db;
        let jobs: Vec<Envelope> = (0..25).map(|n| mail(&n.to_string())).collect();
        enqueue(db, &jobs).await;
        let mut foreign = mail("foreign");
        foreign.tenant = Some("acme".to_owned());
        enqueue(db, std::slice::from_ref(&foreign)).await;
        let mut tx = db.read().await.expect("begins");
        let tenant = TenantId::default();
        let page = PageRequest::new(Some(2), Some(10)).expect("in range");
        let list = ledger::list(&mut tx, &tenant, &Filter::default(), page).await.expect("lists");
        assert_eq!((list.total, list.items.len(), list.next), (25, 10, Some(3)));
        assert_eq!(list.items[0].id, jobs[14].id, "latest first");
        let none = Filter { state: Some(LedgerState::Dead), ..Filter::default() };
        assert_eq!(ledger::list(&mut tx, &tenant, &none, page).await.expect("lists").total, 0);
        let all = Filter {
            state: Some(LedgerState::Pending),
            kind: Some(jobs[0].kind.clone()),
            queue: Some(jobs[0].options.queue.clone()),
            ..Filter::default()
        };
        assert_eq!(ledger::list(&mut tx, &tenant, &all, page).await.expect("lists").total, 25);
        assert!(ledger::get(&mut tx, &tenant, foreign.id).await.expect("reads").is_none());
    })
    .await;
}

#[tokio::test]
async fn ended_jobs_are_pruned_and_dead_ones_stay() {
    on_both(async |fresh| {
        let (db, test) = (&fresh.db, TestQueue::new().await);
        let relay = Relay::new(db.clone(), test.queue.clone());
        enqueue(db, &[mail("done")]).await;
        relay.push_due().await.expect("pushes");
        test.work(&Verdict::Succeeded).await;
        let dead = mail("dead");
        enqueue(db, std::slice::from_ref(&dead)).await;
        relay.push_due().await.expect("pushes");
        test.work(&Verdict::Dead { reason: DeadReason::Failed, error: String::new() }).await;
        Keeper::new(db.clone(), test.queue.clone()).write_endings().await.expect("writes");
        let mut tx = db.begin().await.expect("begins");
        assert_eq!(ledger::prune(&mut tx, DateTime::UNIX_EPOCH, 100).await.expect("prunes"), 0);
        assert_eq!(ledger::prune(&mut tx, Utc::now() + TimeDelta::hours(1), 100).await.expect("prunes"), 1);
        tx.commit().await.expect("commits");
        assert_eq!(entry(db, dead.id).await.state, LedgerState::Dead);
    })
    .await;
}
