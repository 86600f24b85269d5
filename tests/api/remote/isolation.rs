//! Nobody speaks for the worker of another, and tenants never see each other.

use serde_json::{Value, json};

use super::Remote;
use crate::fixtures::TestApp;

#[tokio::test]
async fn the_worker_of_another_token_or_tenant_is_not_there() {
    let test = TestApp::new().await;
    let remote = Remote::new(&test).await;
    let worker = remote.register().await;
    let id = remote.enqueue(&[json!({})]).await.remove(0);
    let job = remote.claim(&worker, 1).await.remove(0);
    let sibling = test.token_for("default", "sibling", "jobs:work").await;
    for token in [sibling, test.token_of("acme").await] {
        let end = json!({"id": id, "lease": job["lease"], "outcome": "done"});
        for (method, what, body) in [
            ("POST", "/beat", json!({})),
            ("POST", "/claim", json!({"max": 1})),
            ("POST", "/settle", json!({"results": [end]})),
            ("POST", "/report", json!({"reports": [{"id": id, "lease": job["lease"]}]})),
            ("DELETE", "", Value::Null),
        ] {
            let path = format!("/api/v1/workers/{worker}{what}");
            let body = (method == "POST").then_some(body);
            test.call_with(&token, method, &path, body).await.refused(404, "not_found");
        }
    }
    assert_eq!(remote.settle(&worker, &job, json!({"outcome": "done"})).await["answer"], "applied");
}

#[tokio::test]
async fn two_tenants_with_a_queue_of_the_same_name_never_meet() {
    let test = TestApp::new().await;
    let ours = Remote::new(&test).await;
    let theirs = Remote::with(&test, &test.token_of("acme").await).await;
    let (our_worker, their_worker) = (ours.register().await, theirs.register().await);
    let our_id = ours.enqueue(&[json!({})]).await.remove(0);
    assert_eq!(theirs.claim(&their_worker, 9).await, Vec::<Value>::new());
    let their_id = theirs.enqueue(&[json!({})]).await.remove(0);
    theirs.call("POST", "/api/v1/remote-queues/images/pause", json!({})).await;
    assert_eq!(theirs.claim(&their_worker, 9).await, Vec::<Value>::new(), "it is paused");
    assert_eq!(ours.claim(&our_worker, 9).await[0]["id"], json!(our_id), "the other one is not");

    let seen = async |path: &str| test.call_with(&theirs.token, "GET", path, None).await;
    for path in ["/api/v1/queues", "/api/v1/workers", "/api/v1/remote-queues", "/api/v1/jobs?queue=images"] {
        let text = seen(path).await.text;
        assert!(
            !text.contains("default-images") && !text.contains(&our_id) && !text.contains(&our_worker),
            "{path}: {text}"
        );
    }
    seen("/api/v1/queues/remote-7-default-images").await.refused(404, "not_found");
    assert_eq!(seen("/api/v1/queues/remote-4-acme-images").await.json()["data"]["ready"], 1);
    theirs.call("POST", "/api/v1/remote-queues/images/resume", json!({})).await;
    assert_eq!(theirs.claim(&their_worker, 9).await[0]["id"], json!(their_id));
}
