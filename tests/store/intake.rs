//! Requests for jobs that are under way at the same time.

use std::collections::BTreeSet;

use deskhand::audit;
use deskhand::base::{Error, TenantId};
use deskhand::db::Db;
use deskhand::dispatch::service::{NewJob, Service};
use deskhand::on;
use deskhand_jobs::JobId;
use futures_util::future::join_all;
use serde_json::value::RawValue;

use crate::fixtures::databases::on_both;
use crate::fixtures::jobs::registry;
use crate::fixtures::{TestQueue, by};

fn new(to: &str, key: Option<&str>) -> NewJob {
    NewJob {
        kind: "mail.send".to_owned(),
        args: RawValue::from_string(format!(r#"{{"to":"{to}"}}"#)).expect("valid JSON"),
        queue: None,
        priority: None,
        run_at: None,
        max_attempts: None,
        timeout_ms: None,
        unique: None,
        group: None,
        idempotency_key: key.map(str::to_owned),
    }
}

async fn service(db: &Db) -> (Service, TestQueue) {
    let test = TestQueue::new().await;
    (Service::new(db.clone(), test.queue.clone(), registry()), test)
}

/// Counts transactions by the instants that they gave their rows.
async fn commits(db: &Db) -> i64 {
    let mut tx = db.read().await.expect("begins");
    let sql = "SELECT count(DISTINCT created_at) FROM jobs";
    on!(tx, |c| sqlx::query_scalar(sql).fetch_one(c).await).expect("counts")
}

#[tokio::test]
async fn requests_at_the_same_time_share_a_commit_and_each_is_on_record() {
    on_both(async |fresh| {
        let db = &fresh.db;
        let (service, _test) = service(db).await;
        let other = TenantId::new("other").expect("a tenant");
        let first = TenantId::default();
        let actors: Vec<_> = (0..40).map(|n| by(if n % 4 == 0 { &other } else { &first })).collect();
        let asked = actors.iter().map(|actor| service.enqueue(actor, new("x", None)));
        let answers = join_all(asked).await.into_iter().collect::<Result<Vec<_>, _>>().expect("all are accepted");
        let ids: BTreeSet<JobId> = answers.iter().map(|answer| answer.entry.id).collect();
        assert_eq!((ids.len(), answers.iter().filter(|answer| answer.created).count()), (40, 40));
        assert_eq!(commits(db).await, 1);
        for (tenant, entries) in [(TenantId::default(), 30), (other, 10)] {
            let verdict = audit::service::verify(db, &tenant).await.expect("walks");
            assert_eq!((verdict.entries, verdict.broken), (entries, None), "{tenant}");
        }
        for (answer, actor) in answers.iter().zip(&actors) {
            let seen = service.get(&actor.tenant, answer.entry.id).await.expect("its own tenant has it").entry;
            let texts = [&seen, &answer.entry].map(|entry| serde_json::to_string(entry).expect("writes"));
            assert_eq!(texts[0], texts[1], "the answer is what is stored");
        }
    })
    .await;
}

#[tokio::test]
async fn a_key_means_one_job_also_among_requests_at_the_same_time() {
    on_both(async |fresh| {
        let (service, _test) = service(&fresh.db).await;
        let actor = by(&TenantId::default());
        let wanted =
            [new("a", Some("k")), new("a", None), new("a", Some("k")), new("b", Some("k")), new("b", Some("l"))];
        let answers = join_all(wanted.into_iter().map(|new| service.enqueue(&actor, new))).await;
        let created: Vec<Option<bool>> = answers.iter().map(|answer| answer.as_ref().ok().map(|a| a.created)).collect();
        assert_eq!(created, [Some(true), Some(true), Some(false), None, Some(true)]);
        let id = |n: usize| answers[n].as_ref().map(|answer| answer.entry.id).expect("accepted");
        assert_eq!(id(0), id(2));
        assert!(matches!(&answers[3], Err(Error::Conflict { code: "idempotency_key_reused", .. })));
        let verdict = audit::service::verify(&fresh.db, &TenantId::default()).await.expect("walks");
        assert_eq!(verdict.entries, 3, "what was not created is not on record");
    })
    .await;
}

#[tokio::test]
async fn when_the_database_is_away_everybody_is_told() {
    on_both(async |fresh| {
        let (service, _test) = service(&fresh.db).await;
        let actor = by(&TenantId::default());
        fresh.db.close().await;
        for answer in join_all((0..3).map(|_| service.enqueue(&actor, new("x", None)))).await {
            assert!(matches!(answer, Err(Error::Unavailable { .. })));
        }
    })
    .await;
}
