//! Redis dies under running processes, and comes back.

use axum::body::Body;
use axum::http::{Request, header};
use serde_json::{Value, json};

use super::process::{Process, until};
use crate::fixtures::TestApp;
use crate::fixtures::app::{Reply, TOKEN};
use crate::fixtures::databases::on_postgres;
use crate::fixtures::redis_server::RedisServer;

async fn enqueue(test: &TestApp, key: &str, run_at: Option<&str>) -> Reply {
    let body = json!({"kind": "work_orders.sync", "unique": {"key": key, "until": "finished"}, "run_at": run_at});
    let request = Request::post("/api/v1/jobs")
        .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
        .header(header::CONTENT_TYPE, "application/json")
        .header("idempotency-key", key)
        .body(Body::from(body.to_string()));
    test.send(request.expect("a request")).await
}

async fn state(test: &TestApp, made: &Reply) -> Value {
    let id = made.json()["data"]["id"].as_str().unwrap_or_else(|| panic!("a job: {}", made.text)).to_owned();
    let reply = test.get(&format!("/api/v1/jobs/{id}")).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.json()["data"]["state"].take()
}

async fn succeeds(test: &TestApp, made: &Reply) {
    until("the job succeeds", async || (state(test, made).await == "succeeded").then_some(())).await;
}

/// What a process says of itself.
async fn readiness(address: &str) -> Option<(u16, String)> {
    drop(rustls::crypto::ring::default_provider().install_default());
    let reply = reqwest::get(format!("http://{address}/ready")).await.ok()?;
    Some((reply.status().as_u16(), reply.text().await.ok()?))
}

#[tokio::test]
async fn everything_goes_on_by_itself_when_redis_is_back() {
    let Some(mut server) = RedisServer::start() else { return };
    on_postgres(async |fresh| {
        let files = tempfile::tempdir().expect("a temporary directory");
        let key_file = files.path().join("secret.key").display().to_string();
        let queue = server.url();
        let settings = [
            ("DESKHAND_DATABASE__URL", fresh.url.as_str()),
            ("DESKHAND_QUEUE__URL", queue.as_str()),
            ("DESKHAND_SECRETS__KEY_FILE", key_file.as_str()),
        ];
        deskhand::http::metrics::record().expect("records");
        let test = TestApp::with(&settings).await;
        let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port");
        let address = port.to_string();
        let told = [settings.as_slice(), &[("DESKHAND_SERVER__HEALTH_LISTEN", address.as_str())]].concat();
        let mut worker = Process::start(&["worker"], &told);
        let mut scheduler = Process::start(&["scheduler"], &settings);
        let is = async |status: u16| readiness(&address).await.filter(|told| told.0 == status).map(|told| told.1);
        until("the worker is ready", async || is(200).await).await;
        succeeds(&test, &enqueue(&test, "before", None).await).await;
        let soon = (chrono::Utc::now() + chrono::TimeDelta::seconds(20)).to_rfc3339();
        let waiting = enqueue(&test, "waiting", Some(&soon)).await;
        until("the job is in the queue", async || (state(&test, &waiting).await == "scheduled").then_some(())).await;

        server.kill();
        let why = until("the worker tells that it is not ready", async || is(503).await).await;
        assert!(
            why.contains(r#""name":"queue","ok":false"#) && why.contains(r#""name":"database","ok":true"#),
            "{why}"
        );
        // What is in the database is told from there, and new work is taken.
        assert_eq!(state(&test, &waiting).await, "pushed");
        assert_eq!(enqueue(&test, "waiting", Some(&soon)).await.text, waiting.text, "told as before");
        let during = enqueue(&test, "during", None).await;
        assert_eq!(during.status, 201, "{}", during.text);
        assert_eq!(test.get("/ready").await.status, 503);
        let figures = test.get("/metrics").await;
        assert!(figures.status == 200 && figures.text.contains("deskhand_queue_up 0"), "{}", figures.text);

        server.restart();
        succeeds(&test, &during).await;
        succeeds(&test, &waiting).await;
        until("the worker is ready again", async || is(200).await).await;
        assert_eq!(worker.stop().await, Some(0));
        assert_eq!(scheduler.stop().await, Some(0));
    })
    .await;
}
