//! Whoever changes several jobs locks them in one order.

use std::time::Duration;

use deskhand::db::{Backend, Db};
use deskhand::dispatch::{Keeper, LedgerState, Relay};
use deskhand::on;
use deskhand_jobs::queue::Verdict;
use deskhand_jobs::{Envelope, JobId};

use super::relay::{enqueue, entry};
use crate::fixtures::TestQueue;
use crate::fixtures::databases::{on_both, on_postgres};
use crate::fixtures::jobs::mail;

/// Jobs that have ended in the queue, and the database does not know it. Their rows lie in the file in the reverse order of their ids.
async fn ended(db: &Db, test: &TestQueue, count: usize) -> Vec<JobId> {
    let jobs: Vec<Envelope> = (0..count).map(|n| mail(&n.to_string())).collect();
    let reversed: Vec<Envelope> = jobs.iter().rev().cloned().collect();
    enqueue(db, &reversed).await;
    Relay::new(db.clone(), test.queue.clone()).push_due().await.expect("pushes");
    assert_eq!(test.work(&Verdict::Succeeded).await.len(), count);
    let mut ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
    ids.sort();
    ids
}

async fn is_waiting_for_a_lock(db: &Db) -> bool {
    let mut tx = db.read().await.expect("begins");
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    let waiting: i64 = on!(tx, |c| sqlx::query_scalar(sql).fetch_one(c).await).expect("counts");
    waiting > 0
}

#[tokio::test]
async fn a_keeper_waits_for_the_first_row_without_holding_the_last() {
    on_postgres(async |fresh| {
        fresh.db.migrate().await.expect("migrates");
        let (db, test) = (&fresh.db, TestQueue::new().await);
        assert_eq!(db.backend(), Backend::Postgres);
        let ids = ended(db, &test, 20).await;
        let lock = "SELECT id FROM jobs WHERE id = $1 FOR UPDATE";
        let mut other = db.begin().await.expect("begins");
        let first = ids[0].to_string();
        on!(other, |c| sqlx::query(lock).bind(first).execute(c).await.map(|_| ())).expect("locks");
        let keeper = Keeper::new(db.clone(), test.queue.clone());
        let writing = tokio::spawn(async move { keeper.write_endings().await });
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        while !is_waiting_for_a_lock(db).await {
            assert!(tokio::time::Instant::now() < deadline, "the keeper never came to the locked row");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let last = ids[19].to_string();
        let free = "SELECT id FROM jobs WHERE id = $1 FOR UPDATE NOWAIT";
        on!(other, |c| sqlx::query(free).bind(last).execute(c).await.map(|_| ()))
            .expect("who waits for the first row holds no later one");
        other.commit().await.expect("commits");
        assert_eq!(writing.await.expect("does not panic").expect("writes"), 20);
    })
    .await;
}

#[tokio::test]
async fn two_keepers_write_the_same_endings() {
    on_both(async |fresh| {
        let (db, test) = (&fresh.db, TestQueue::new().await);
        for _ in 0..3 {
            let ids = ended(db, &test, 400).await;
            let (one, two) = (fresh.again().await, fresh.again().await);
            let write = async |db: Db| Keeper::new(db, test.queue.clone()).write_endings().await;
            let (one, two) = tokio::join!(write(one), write(two));
            one.expect("no deadlock");
            two.expect("no deadlock");
            for id in [ids[0], ids[199], ids[399]] {
                assert_eq!(entry(db, id).await.state, LedgerState::Succeeded);
            }
        }
    })
    .await;
}
