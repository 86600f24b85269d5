//! Bad requests are answered, never swallowed, and all refusals have one shape.

use axum::body::Body;
use axum::http::{Request, header};
use serde_json::json;

use crate::fixtures::TestApp;
use crate::fixtures::app::TOKEN;

fn request(method: &str, path: &str) -> axum::http::request::Builder {
    Request::builder().method(method).uri(path)
}

#[tokio::test]
async fn without_a_token_only_health_is_told() {
    let test = TestApp::new().await;
    for path in ["/health", "/ready"] {
        let reply = test.send(request("GET", path).body(Body::empty()).expect("a request")).await;
        assert!(reply.status == 200 || path == "/ready", "{path}: {}", reply.text);
    }
    for path in ["/api/v1/jobs", "/api/v1/queues", "/metrics", "/nowhere", "/api/work-orders/"] {
        let reply = test.send(request("GET", path).body(Body::empty()).expect("a request")).await;
        reply.refused(401, "unauthorized");
        assert_eq!(reply.headers[header::WWW_AUTHENTICATE], "Bearer");
    }
    for wrong in ["Bearer nonsense", "Basic YTpi", "Bearer"] {
        let request = request("GET", "/api/v1/jobs").header(header::AUTHORIZATION, wrong).body(Body::empty());
        test.send(request.expect("a request")).await.refused(401, "unauthorized");
    }
}

#[tokio::test]
async fn a_token_acts_in_its_own_tenant_only() {
    let test = TestApp::new().await;
    let ask = async |tenant: &str| {
        let request = request("GET", "/api/v1/jobs")
            .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
            .header("x-tenant-id", tenant)
            .body(Body::empty());
        test.send(request.expect("a request")).await
    };
    assert_eq!(ask("default").await.status, 200);
    ask("other").await.refused(403, "tenant");
}

#[tokio::test]
async fn what_does_not_exist_or_does_not_fit_is_told_as_a_problem() {
    let test = TestApp::new().await;
    test.get("/nowhere").await.refused(404, "not_found");
    let reply = test.call("PATCH", "/api/v1/jobs", None).await;
    reply.refused(405, "method_not_allowed");
    assert!(reply.headers[header::ALLOW].to_str().expect("text").contains("POST"));
    assert!(reply.json()["detail"].as_str().expect("text").contains("Allow header"), "{}", reply.text);
    let lost = test.get("/api/v1/job").await.refused(404, "not_found");
    assert!(lost["detail"].as_str().expect("text").contains("/api/v1/jobs"), "{lost}");
    test.get("/api/v1/jobs/7").await.refused(400, "invalid");
    test.get("/api/v1/jobs/019aa8c2-7c1e-7000-8000-000000000000").await.refused(404, "not_found");
    for (path, pointer) in [
        ("jobs?page=0", "/page"),
        ("jobs?size=1000", "/size"),
        ("jobs?page=x", "/page"),
        ("jobs?state=lost", "/state"),
        ("jobs?stat=dead", "/stat"),
        ("dead?state=dead", "/state"),
        ("work-orders?colour=red", "/colour"),
        ("work-order-systems?colour=red", "/colour"),
        ("sync-logs?colour=red", "/colour"),
        ("schedules/work_orders.sync/next?cuont=1", "/cuont"),
        ("schedules/work_orders.sync/slots?pag=1", "/pag"),
    ] {
        let body = test.get(&format!("/api/v1/{path}")).await.refused(400, "invalid");
        assert_eq!(body["errors"][0]["pointer"], pointer, "{body}");
    }
}

/// Postgres keeps no text with it, so that only SQLite would take it.
#[tokio::test]
async fn the_character_nul_is_refused_wherever_it_stands() {
    let test = TestApp::new().await;
    test.app.declare_schedules().await.expect("declares");
    let pause = "/api/v1/schedules/work_orders.sync/pause";
    let told = test.post(pause, json!({"reason": "a\0b"})).await.refused(400, "invalid");
    assert!(told["detail"].as_str().expect("text").contains("NUL"), "{told}");
    assert_eq!(test.post(pause, json!({"reason": "a\\u0000b is text"})).await.status, 200);
    test.post("/api/v1/work-order-systems", json!({"name": "a\0"})).await.refused(400, "invalid");
    test.get("/api/v1/schedules/a%00").await.refused(400, "invalid");
    test.get("/api/v1/jobs?queue=a%00").await.refused(400, "invalid");
}

#[tokio::test]
async fn a_bad_body_is_told_with_the_place() {
    let test = TestApp::new().await;
    let raw = async |media_type: &str, body: String| {
        let request = request("POST", "/api/v1/jobs")
            .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
            .header(header::CONTENT_TYPE, media_type)
            .body(Body::from(body));
        test.send(request.expect("a request")).await
    };
    raw("application/json", "{".to_owned()).await.refused(400, "json");
    raw("text/plain", "{}".to_owned()).await.refused(415, "media_type");
    raw("application/json", "x".repeat(2 << 20)).await.refused(413, "too_large");

    for (body, pointer) in [
        (json!({}), "/kind"),
        (json!({"kind": "a.b"}), "/kind"),
        (json!({"kind": "work_orders.sync", "prio": 1}), "/prio"),
        (json!({"kind": "work_orders.sync", "priority": "now"}), "/priority"),
        (json!({"kind": "work_orders.sync", "queue": "No Queue"}), "/queue"),
        (json!({"kind": "work_orders.sync", "args": {"x": 1}}), "/args"),
        (json!({"kind": "work_orders.sync", "args": []}), "/args"),
        (json!({"kind": "work_orders.sync", "max_attempts": 0}), "/max_attempts"),
        (json!({"kind": "work_orders.sync", "unique": {"key": "", "until": "finished"}}), "/unique/key"),
        (json!({"kind": "work_orders.sync", "unique": {"key": "k".repeat(201), "until": "finished"}}), "/unique/key"),
        (
            json!({"kind": "work_orders.sync", "unique": {"key": "k", "until": "finished", "for_ms": 0}}),
            "/unique/for_ms",
        ),
        (json!(["work_orders.sync", null, null, null, null, null, null]), ""),
        (json!({"kind": "work_orders.sync", "args": {"x": "y".repeat(300_000)}}), "/args"),
    ] {
        let reply = test.post("/api/v1/jobs", body).await;
        let told = reply.refused(400, "invalid");
        assert_eq!(told["errors"][0]["pointer"], pointer, "{told}");
    }
    for (body, cure) in [
        (json!({"kind": "a.b"}), "work_orders.sync"),
        (json!({"kind": "work_orders.sync", "run_at": "tomorrow"}), "2026-11-22T08:00:00Z"),
        (json!({"kind": "work_orders.sync", "run_at": 1_700_000_000}), "2026-11-22T08:00:00Z"),
        (json!({"kind": "work_orders.sync", "max_attempts": -1}), "whole number"),
        (json!([]), "JSON object"),
    ] {
        let told = test.post("/api/v1/jobs", body).await.refused(400, "invalid");
        assert!(told["detail"].as_str().expect("text").contains(cure), "{told}");
    }
}

#[tokio::test]
async fn the_id_of_a_request_is_the_clients_if_it_is_plain() {
    let test = TestApp::new().await;
    let reply = test
        .send(request("GET", "/health").header("x-request-id", "abc-1").body(Body::empty()).expect("a request"))
        .await;
    assert_eq!(reply.headers["x-request-id"], "abc-1");
}
