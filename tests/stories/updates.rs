//! A change made here arrives in the ticket system, or its refusal where somebody sees it.

use chrono::{TimeDelta, Utc};
use deskhand::app::{Role, Running};
use deskhand::base::Clock;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::sync::{PATIENCE, file, until};
use crate::fixtures::Desk;
use crate::fixtures::databases::on_postgres;
use crate::fixtures::queues::redis_url;

/// Asks for an update and waits until the ticket tells its end.
async fn update(desk: &Desk, key: &str, body: Value) -> Value {
    let order = desk.order(key).await;
    let path = format!("/api/work-orders/{}/update_external/", order["id"].as_str().expect("an id"));
    let asked = desk.test.post(&path, body).await;
    assert_eq!(asked.status, 202, "{}", asked.text);
    let job = asked.json()["data"]["job_id"].take();
    until("the ticket tells how its update ended", async || {
        let order = desk.order(key).await;
        let told = &order["external_update"];
        (told["job_id"] == job && told["state"] != "waiting").then_some(order)
    })
    .await
}

async fn changes_arrive(database: &str, queue: &str) {
    // In the past, so that what the clock says is due is due for every store.
    let clock = Clock::manual(Utc::now() - TimeDelta::hours(2));
    let settings = [("DESKHAND_DATABASE__URL", database), ("DESKHAND_QUEUE__URL", queue)];
    let desk = Desk::at(&settings, 3, clock).await;
    let stop = CancellationToken::new();
    let running = Running::start(&desk.test.app, &Role::ALL, &stop).await.expect("starts");

    let order = update(&desk, "OPS-1", json!({"title": "printer off fire", "status": "resolved"})).await;
    assert_eq!(
        (&order["external_update"]["state"], &order["external_status"]),
        (&json!("done"), &json!("Done")),
        "{order}"
    );
    assert_eq!(order["pending"], json!([]));

    let order = update(&desk, "OPS-3", json!({"status": "closed"})).await;
    assert_eq!(order["external_update"]["state"], "refused", "{order}");
    let job = format!("/api/v1/jobs/{}", order["external_update"]["job_id"].as_str().expect("a job"));
    until("the job is a dead letter", async || {
        let job = desk.test.get(&job).await.json()["data"].take();
        (job["state"] == "dead").then_some(job)
    })
    .await;
    // The cure: what the refusal said that the system would take.
    let order = update(&desk, "OPS-3", json!({"status": "processing"})).await;
    assert_eq!(
        (&order["external_update"]["state"], &order["sync_status"]),
        (&json!("done"), &json!("success")),
        "{order}"
    );

    stop.cancel();
    tokio::time::timeout(PATIENCE, running.finished()).await.expect("stops in time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sqlite_and_sqlite() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    changes_arrive(&file(&directory, "deskhand.db"), &file(&directory, "queue.db")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_and_redis() {
    let Some(queue) = redis_url() else { return };
    on_postgres(async |fresh| changes_arrive(&fresh.url, &queue).await).await;
}
