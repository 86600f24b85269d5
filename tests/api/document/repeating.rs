//! Every operation that creates, sent twice with one key.

use axum::body::Body;
use axum::http::{Request, header};

use super::stage::Stage;
use crate::fixtures::app::{Reply, TOKEN};
use crate::fixtures::contract::{Operation, operations};

async fn send(stage: &Stage, operation: &Operation, token: &str, key: &str, body: &str) -> Reply {
    let request = Request::builder()
        .method("POST")
        .uri(stage.path(operation))
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::CONTENT_TYPE, "application/json")
        .header("idempotency-key", key);
    stage.test.send(request.body(Body::from(body.to_owned())).expect("a request")).await
}

#[tokio::test]
async fn a_request_that_is_sent_twice_with_a_key_is_carried_out_once() {
    let stage = Stage::new().await;
    let entries = async || stage.test.get("/api/v1/audit/verify").await.json()["data"]["entries"].as_i64();
    let mut tested = 0;
    for operation in operations().iter().filter(|operation| operation.takes_key()) {
        let body = if operation.takes_json() { Stage::body(operation).to_string() } else { String::new() };
        let key = format!("once-{}", operation.id);
        let first = send(&stage, operation, TOKEN, &key, &body).await;
        assert!((200..300).contains(&first.status), "{}: {}", operation.id, first.text);
        let done = entries().await;
        let again = send(&stage, operation, TOKEN, &key, &body).await;
        assert_eq!((again.status, &again.text), (first.status, &first.text), "{}", operation.id);
        assert_eq!(again.headers["idempotency-replayed"], "true", "{}", operation.id);
        assert_eq!(entries().await, done, "{} was carried out twice", operation.id);
        if operation.takes_json() {
            let mut other = Stage::body(operation);
            other["of_another_request"] = true.into();
            let refusal = send(&stage, operation, TOKEN, &key, &other.to_string()).await;
            refusal.refused(409, "idempotency_key_reused");
        }
        for wrong in ["", "with space", &"x".repeat(201)] {
            send(&stage, operation, TOKEN, wrong, &body).await.refused(400, "invalid");
        }
        tested += 1;
    }
    assert!(tested >= 4, "{tested}");
}

#[tokio::test]
async fn a_refused_request_does_not_use_its_key_up_and_keys_of_callers_are_their_own() {
    let stage = Stage::new().await;
    let enqueue = operations().iter().find(|operation| operation.id == "enqueue_job").expect("documented");
    send(&stage, enqueue, TOKEN, "k", r#"{"kind": "no.such"}"#).await.refused(400, "invalid");
    let first = send(&stage, enqueue, TOKEN, "k", r#"{"kind": "work_orders.sync"}"#).await;
    assert_eq!(first.status, 201, "{}", first.text);
    let respelt = send(&stage, enqueue, TOKEN, "k", r#"{ "kind" : "work_orders.sync" }"#).await;
    assert_eq!(respelt.text, first.text, "white space makes no other request");
    let theirs = stage.test.token_of("acme").await;
    let other = send(&stage, enqueue, &theirs, "k", r#"{"kind": "work_orders.sync"}"#).await;
    assert_eq!(other.status, 201, "{}", other.text);
    assert_ne!(other.json()["data"]["id"], first.json()["data"]["id"]);
}
