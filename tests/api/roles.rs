//! The roles of a process at work: what is enqueued is run, and its end is written back.

use std::time::Duration;

use deskhand::app::{Role, Running};
use deskhand::dispatch::Relay;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::fixtures::TestApp;
use crate::fixtures::app::TOKEN;
use crate::fixtures::databases::on_postgres;

const DEADLINE: Duration = Duration::from_secs(20);

fn client() -> reqwest::Client {
    // As the program does; who comes first does not matter.
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::new()
}

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
async fn a_process_without_the_api_tells_how_it_is() {
    let test = TestApp::with(&[("DESKHAND_SERVER__HEALTH_LISTEN", "127.0.0.1:0")]).await;
    let stop = CancellationToken::new();
    let running = Running::start(&test.app, &[Role::Worker], &stop).await.expect("starts");
    assert!(running.address().is_none());
    let address = running.health_address().expect("listens");
    let ask = async |path: &str, token: &str| {
        let url = format!("http://{address}{path}");
        let reply = client().get(url).bearer_auth(token).send().await.expect("answers");
        (reply.status().as_u16(), reply.text().await.expect("text"))
    };
    assert_eq!(ask("/health", "").await.0, 200);
    let ready = async {
        while !ask("/ready", "").await.1.contains(r#""ready":true"#) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, ready).await.expect("gets ready");
    let ready = ask("/ready", "").await.1;
    for name in ["worker", "relay", "keeper"] {
        assert!(ready.contains(&format!(r#""name":"{name}","ok":true"#)), "{ready}");
    }
    assert_eq!(ask("/metrics", "").await.0, 401);
    let figures = ask("/metrics", TOKEN).await;
    assert_eq!(figures.0, 200);
    for name in
        ["deskhand_worker_slots ", "deskhand_worker_slots_busy ", r#"deskhand_store_call_seconds_count{call="claim"}"#]
    {
        assert!(figures.1.contains(name), "{name} is not in {}", figures.1);
    }
    assert_eq!(ask("/api/v1/jobs", TOKEN).await.0, 404);
    stop.cancel();
    tokio::time::timeout(DEADLINE, running.finished()).await.expect("stops in time");
}

#[tokio::test]
async fn a_request_that_never_ends_does_not_hold_up_the_stop() {
    let test = TestApp::new().await;
    let stop = CancellationToken::new();
    let running = Running::start(&test.app, &[Role::Api], &stop).await.expect("starts");
    let mut half = tokio::net::TcpStream::connect(running.address().expect("serves")).await.expect("connects");
    tokio::io::AsyncWriteExt::write_all(&mut half, b"GET /health HTT").await.expect("writes");
    let url = format!("http://{}/health", running.address().expect("serves"));
    // The server has taken the first connection once it answers on a later one.
    assert_eq!(client().get(url).send().await.expect("answers").status(), 200);
    stop.cancel();
    tokio::time::timeout(DEADLINE, running.finished()).await.expect("stops in time");
}

#[tokio::test]
async fn two_installations_share_one_redis() {
    let Ok(redis) = std::env::var("DESKHAND_TEST_REDIS_URL") else { return };
    let prefixes: [String; 2] = std::array::from_fn(|_| format!("test-{:016x}", rand::random::<u64>()));
    let open = async |prefix: &str| {
        TestApp::with(&[("DESKHAND_QUEUE__URL", &format!("{redis}/7")), ("DESKHAND_QUEUE__PREFIX", prefix)]).await
    };
    let (ours, theirs) = (open(&prefixes[0]).await, open(&prefixes[1]).await);
    ours.post("/api/v1/jobs", json!({"kind": "work_orders.sync"})).await;
    Relay::new(ours.app.db.clone(), ours.app.queue.clone()).push_due().await.expect("pushes");
    assert_eq!(ours.get("/api/v1/queues/default").await.json()["data"]["ready"], 1);
    assert_eq!(theirs.get("/api/v1/queues").await.json()["data"], json!([]));
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

/// Asks until the process says so of itself.
async fn ready_says(test: &TestApp, part: &str) {
    let asked = async {
        while !test.get("/ready").await.text.contains(part) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, asked).await.unwrap_or_else(|_| panic!("/ready never says {part}"));
}

#[tokio::test]
async fn loops_without_their_database_say_so_and_since_when() {
    let test = TestApp::new().await;
    let stop = CancellationToken::new();
    let running = Running::start(&test.app, &[Role::Scheduler, Role::Worker], &stop).await.expect("starts");
    for name in ["keeper", "reconciler", "relay", "scheduler"] {
        ready_says(&test, &format!(r#""name":"{name}","ok":true"#)).await;
    }
    test.app.db.close().await;
    ready_says(&test, "; fails since 20").await;
    let ready = test.get("/ready").await;
    assert_eq!(ready.status, 503, "{}", ready.text);
    let relay = async {
        let is_hindered = |check: &serde_json::Value| {
            check["name"] == "relay" && check["detail"].as_str().is_some_and(|text| text.contains("fails since"))
        };
        while !test.get("/ready").await.json()["data"]["checks"].as_array().expect("checks").iter().any(is_hindered) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, relay).await.expect("the relay says what hinders it");
    stop.cancel();
    tokio::time::timeout(DEADLINE, running.finished()).await.expect("stops in time");
}

#[tokio::test]
async fn a_scheduler_is_ready_by_its_rounds() {
    let test = TestApp::new().await;
    let stop = CancellationToken::new();
    assert!(!test.get("/ready").await.text.contains("scheduler"), "none runs here yet");
    let running = Running::start(&test.app, &[Role::Scheduler], &stop).await.expect("starts");
    for name in ["relay", "scheduler", "reconciler", "auditor"] {
        ready_says(&test, &format!(r#""name":"{name}","ok":true"#)).await;
    }
    assert!(!test.get("/ready").await.text.contains("keeper"), "it belongs to workers");
    stop.cancel();
    tokio::time::timeout(DEADLINE, running.finished()).await.expect("stops in time");
}
