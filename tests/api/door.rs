//! What stands in front of every route: rates, origins, compression, headers.

use axum::body::Body;
use axum::http::{Request, header};
use deskhand::base::Clock;
use serde_json::json;

use crate::fixtures::TestApp;
use crate::fixtures::app::{Reply, TOKEN};

async fn send(test: &TestApp, method: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    test.send(request.body(Body::empty()).expect("a request")).await
}

#[tokio::test]
async fn a_caller_that_sends_too_much_is_told_when_to_come_again() {
    let clock = Clock::manual(chrono::DateTime::UNIX_EPOCH + chrono::TimeDelta::days(20_000));
    let settings = [("DESKHAND_SERVER__REQUESTS_PER_SECOND", "2"), ("DESKHAND_SERVER__BURST", "3")];
    let test = TestApp::with_clock(&settings, clock.clone()).await;
    for _ in 0..3 {
        assert_eq!(test.get("/api/v1/jobs").await.status, 200);
    }
    let refused = test.get("/api/v1/jobs").await;
    refused.refused(429, "rate_limited");
    assert_eq!(refused.headers[header::RETRY_AFTER], "1");
    let theirs = test.token_of("acme").await;
    assert_eq!(test.call_with(&theirs, "GET", "/api/v1/jobs", None).await.status, 200, "each caller has its own");
    assert_eq!(send(&test, "GET", "/health", &[]).await.status, 200, "who is not known is not counted");
    clock.advance(std::time::Duration::from_millis(500));
    assert_eq!(test.get("/api/v1/jobs").await.status, 200);
}

#[tokio::test]
async fn only_pages_of_the_named_origins_may_call() {
    let test = TestApp::with(&[("DESKHAND_SERVER__CORS_ORIGINS", "https://desk.example.com")]).await;
    let preflight = async |origin: &str| {
        let headers = [("origin", origin), ("access-control-request-method", "POST")];
        send(&test, "OPTIONS", "/api/v1/jobs", &headers).await
    };
    let allowed = preflight("https://desk.example.com").await;
    assert_eq!(allowed.headers["access-control-allow-origin"], "https://desk.example.com");
    assert!(allowed.headers["access-control-allow-headers"].to_str().expect("text").contains("idempotency-key"));
    assert!(!preflight("https://evil.example.com").await.headers.contains_key("access-control-allow-origin"));
    let plain = TestApp::new().await;
    let headers = [("origin", "https://desk.example.com"), ("authorization", &format!("Bearer {TOKEN}"))];
    let reply = send(&plain, "GET", "/api/v1/jobs", &headers).await;
    assert!(!reply.headers.contains_key("access-control-allow-origin"), "none unless it is set");
}

#[tokio::test]
async fn answers_are_compressed_for_who_reads_that_and_kept_by_nobody() {
    let test = TestApp::new().await;
    for encoding in ["gzip", "zstd"] {
        let bearer = format!("Bearer {TOKEN}");
        let headers = [("accept-encoding", encoding)];
        let page = send(&test, "GET", "/docs/index.html", &headers).await;
        assert_eq!(page.headers[header::CONTENT_ENCODING], encoding);
        let plain = send(&test, "GET", "/api/v1/queues", &[("authorization", &bearer)]).await;
        assert!(!plain.headers.contains_key(header::CONTENT_ENCODING));
        assert_eq!(plain.headers[header::CACHE_CONTROL], "no-store");
        assert_eq!(plain.headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    }
    let refused = test.post("/api/v1/jobs", json!({"kind": 7})).await;
    assert_eq!(refused.headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
}
