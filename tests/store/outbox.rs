//! A job exists if, and only if, its transaction committed.

use deskhand::db::{Db, Text};
use deskhand::dispatch::Enqueue;
use deskhand::on;
use deskhand_jobs::JobId;

use crate::fixtures::databases::on_both;
use crate::fixtures::jobs::mail;

async fn ids(db: &Db) -> Vec<JobId> {
    let mut tx = db.read().await.expect("begins");
    let rows: Vec<Text<JobId>> =
        on!(tx, |c| sqlx::query_scalar("SELECT id FROM jobs ORDER BY id").fetch_all(c).await).expect("reads");
    rows.into_iter().map(|id| id.0).collect()
}

#[tokio::test]
async fn a_rollback_takes_the_job_along() {
    on_both(async |fresh| {
        let enqueued = fresh.db.enqueued();
        let mut tx = fresh.db.begin().await.expect("begins");
        tx.enqueue(&mail("é")).await.expect("enqueues");
        drop(tx);
        assert_eq!(ids(&fresh.db).await, []);
        assert!(!enqueued.has_changed().expect("the database is open"));
    })
    .await;
}

#[tokio::test]
async fn a_commit_keeps_the_job_once_and_wakes_the_relay() {
    on_both(async |fresh| {
        let enqueued = fresh.db.enqueued();
        let job = mail("é");
        let mut tx = fresh.db.begin().await.expect("begins");
        tx.enqueue(&job).await.expect("enqueues");
        tx.enqueue(&job).await.expect("the same id is the same job");
        assert!(!enqueued.has_changed().expect("the database is open"));
        tx.commit().await.expect("commits");
        assert!(enqueued.has_changed().expect("the database is open"));
        assert_eq!(ids(&fresh.db).await, [job.id]);
    })
    .await;
}
