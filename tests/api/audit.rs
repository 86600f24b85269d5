//! What was changed is on record, whatever door it came through.

use axum::body::Body;
use axum::http::{Request, header};
use serde_json::{Value, json};

use crate::fixtures::TestApp;
use crate::fixtures::app::TOKEN;

async fn actions(test: &TestApp) -> Vec<String> {
    let listed = test.get("/api/v1/audit?size=200").await.json();
    let entries = listed["data"].as_array().expect("a list");
    entries.iter().rev().map(|entry| entry["action"].as_str().expect("text").to_owned()).collect()
}

#[tokio::test]
async fn every_change_is_noted_with_who_and_why() {
    let test = TestApp::new().await;
    let job = json!({"kind": "work_orders.sync", "run_at": "2100-01-01T00:00:00Z"});
    let job = test.post("/api/v1/jobs", job).await.json()["data"]["id"].as_str().expect("an id").to_owned();
    let request = Request::builder()
        .method("POST")
        .uri(format!("/api/v1/jobs/{job}/cancel"))
        .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
        .header("x-request-id", "r-7")
        .header("x-reason", "doubled by hand");
    assert_eq!(test.send(request.body(Body::empty()).expect("a request")).await.status, 200);
    let system = json!({"name": "jira", "api_url": "https://a.b", "api_key": "hunter2-key", "username": "u"});
    let made = test.post("/api/v1/work-order-systems", system).await.json();
    let path = format!("/api/v1/work-order-systems/{}", made["data"]["id"].as_str().expect("an id"));
    assert_eq!(test.call("PUT", &path, Some(json!({"sync_interval": 900}))).await.status, 200);
    assert_eq!(test.post(&format!("{path}/disable"), json!({})).await.status, 200);
    assert_eq!(test.call("DELETE", &path, None).await.status, 204);

    let expected = [
        "token.create",
        "job.enqueue",
        "job.cancel",
        "work_order_system.create",
        "work_order_system.update",
        "work_order_system.update",
        "work_order_system.delete",
    ];
    assert_eq!(actions(&test).await, expected);
    let listed = test.get("/api/v1/audit").await;
    assert!(!listed.text.contains("hunter2-key"), "{}", listed.text);
    let cancel = &test.get("/api/v1/audit?action=job.cancel").await.json()["data"][0];
    assert_eq!(
        (&cancel["actor_kind"], &cancel["actor_name"], &cancel["reason"], &cancel["request_id"], &cancel["object_id"]),
        (&json!("token"), &json!("bootstrap"), &json!("doubled by hand"), &json!("r-7"), &json!(job)),
    );
    let job = test.get(&format!("/api/v1/jobs/{job}")).await.json();
    assert_eq!(job["data"]["last_error"], "cancelled with token bootstrap: doubled by hand");
    let update = &test.get("/api/v1/audit?action=work_order_system.update&size=1").await.json()["data"][0];
    assert_eq!((&update["before"]["is_active"], &update["after"]["is_active"]), (&json!(true), &json!(false)));
}

#[tokio::test]
async fn the_record_is_walked_proved_and_exported() {
    let test = TestApp::new().await;
    // The first token is on record already.
    for _ in 0..2 {
        test.post("/api/v1/jobs", json!({"kind": "work_orders.sync"})).await;
    }
    let first = test.get("/api/v1/audit?size=2").await.json();
    let next = first["next"].as_str().expect("there is more");
    let second = test.get(&format!("/api/v1/audit?size=2&cursor={next}")).await.json();
    assert_eq!((second["data"][0]["seq"].as_i64(), &second["next"]), (Some(1), &Value::Null));
    test.get("/api/v1/audit?cursor=x").await.refused(400, "invalid");
    let verdict = test.get("/api/v1/audit/verify").await.json();
    assert_eq!((&verdict["data"]["entries"], &verdict["data"]["broken"]), (&json!(3), &Value::Null));
    assert_eq!(verdict["data"]["head"], first["data"][0]["hash"]);

    let export = test.get("/api/v1/audit/export").await;
    let lines: Vec<Value> = export.text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.iter().map(|line| line["seq"].as_i64()).collect::<Vec<_>>(), [Some(1), Some(2), Some(3)]);
    assert_eq!(lines[1]["previous_hash"], lines[0]["hash"]);
    let table = test.get("/api/v1/audit/export?format=csv&after_seq=2").await;
    assert_eq!(table.text.lines().count(), 2, "{}", table.text);
    assert!(table.headers["content-disposition"].to_str().expect("text").contains("audit.csv"));
    let theirs = test.token_of("acme").await;
    let exported = test.call_with(&theirs, "GET", "/api/v1/audit/export", None).await.text;
    assert!(!exported.contains("job.enqueue") && !exported.contains("bootstrap"), "{exported}");
}
