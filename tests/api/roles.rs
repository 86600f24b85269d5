//! The roles of a process at work: what is enqueued is run, and its end is written back.

use std::time::Duration;

use deskhand::app::{Role, Running};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::fixtures::TestApp;
use crate::fixtures::databases::on_postgres;

const DEADLINE: Duration = Duration::from_secs(20);

/// Enqueues a job over the API and waits until it has succeeded.
async fn runs_a_job(test: &TestApp) {
    let made = test.post("/api/v1/jobs", json!({"kind": "work_orders.sync"})).await.json();
    let path = format!("/api/v1/jobs/{}", made["data"]["id"].as_str().expect("a job"));
    let succeeded = async {
        while test.get(&path).await.json()["data"]["state"] != "succeeded" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, succeeded).await.expect("succeeds in time");
}

async fn serves(test: &TestApp) {
    let stop = CancellationToken::new();
    let running = Running::start(&test.app, &Role::ALL, &stop).await.expect("starts");
    assert!(running.address().is_some());
    runs_a_job(test).await;
    let workers = test.get("/api/v1/workers").await.json();
    assert_eq!(workers["total"], 1, "{workers}");
    let ready = test.get("/ready").await;
    assert_eq!(ready.json()["data"]["checks"][2]["name"], "worker", "{}", ready.text);
    stop.cancel();
    tokio::time::timeout(DEADLINE, running.finished()).await.expect("stops in time");
    assert_eq!(test.get("/api/v1/workers").await.json()["total"], 0);
}

#[tokio::test]
async fn one_process_does_everything_on_embedded_storage() {
    serves(&TestApp::new().await).await;
}

#[tokio::test]
async fn one_process_does_everything_on_servers() {
    let Ok(redis) = std::env::var("DESKHAND_TEST_REDIS_URL") else { return };
    on_postgres(async |fresh| {
        // A database of its own within the server: the tests of others must not meet these jobs.
        let settings = [("DESKHAND_DATABASE__URL", fresh.url.as_str()), ("DESKHAND_QUEUE__URL", &format!("{redis}/7"))];
        serves(&TestApp::with(&settings).await).await;
    })
    .await;
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let test = TestApp::with(&[("DESKHAND_SERVER__LISTEN", &address)]).await;
    let started = Running::start(&test.app, &[Role::Api], &CancellationToken::new()).await;
    let error = started.err().expect("refused").to_string();
    assert!(error.contains(&address) && error.contains("server.listen"), "{error}");
}
