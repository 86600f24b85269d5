//! The routes of work orders.

use deskhand_jobs::JobId;
use serde_json::{Value, json};

use crate::fakes::jira::{Deployment, Jira, PASSWORD, USER};
use crate::fixtures::TestApp;
use crate::fixtures::app::TOKEN;
use crate::fixtures::desk::run;

fn seed(url: &str) -> Value {
    json!({"name": "jira", "api_url": url, "api_key": PASSWORD, "username": USER, "is_active": true, "sync_interval": 300})
}

#[tokio::test]
async fn a_system_is_made_shown_without_secrets_and_sent_back() {
    let test = TestApp::new().await;
    let call = async |method: &str, path: &str, body: Option<Value>| {
        let reply = test.call(method, path, body).await;
        (reply.status, reply.json())
    };
    let body = seed("https://jira.example.com");
    let (status, made) = call("POST", "/api/work-order-systems", Some(body)).await;
    assert_eq!(status, 201, "{made}");
    let system = &made["data"];
    assert_eq!((&system["api_key"], &system["password"]), (&json!("***"), &json!(null)));
    assert_eq!((&system["system_type"], &system["version"]), (&json!("jira"), &json!(1)));
    assert!(!made.to_string().contains(PASSWORD));

    let path = format!("/api/v1/work-order-systems/{}", system["id"].as_str().expect("an id"));
    let mut changed = system.clone();
    changed["sync_interval"] = json!(600);
    let (status, answer) = call("PUT", &path, Some(changed.clone())).await;
    assert_eq!((status, &answer["data"]["sync_interval"]), (200, &json!(600)), "{answer}");
    let (status, stale) = call("PUT", &path, Some(changed)).await;
    assert_eq!((status, &stale["code"]), (409, &json!("version_moved")));
    let (_, listed) = call("GET", "/api/v1/work-order-systems?size=5", None).await;
    assert_eq!((&listed["total"], &listed["data"][0]["version"]), (&json!(1), &json!(2)));
    let (status, answer) = call("POST", &format!("{path}/disable"), None).await;
    assert_eq!((status, &answer["data"]["is_active"]), (200, &json!(false)));
    let (status, answer) = call("POST", &format!("{path}/sync"), None).await;
    assert_eq!((status, &answer["code"]), (409, &json!("system_disabled")));
    assert_eq!(call("DELETE", &path, None).await.0, 204);
    assert_eq!(call("GET", &path, None).await.0, 404);
}

#[tokio::test]
async fn wrong_settings_are_answered_with_every_field() {
    let test = TestApp::new().await;
    let call = async |method: &str, path: &str, body: Option<Value>| {
        let reply = test.call(method, path, body).await;
        (reply.status, reply.json())
    };
    for (body, pointers) in [
        (json!({"name": "x", "system_type": "jira"}), vec!["/api_url", "/api_key"]),
        (json!({"name": "x", "system_type": "moon", "api_url": "https://a.b"}), vec!["/system_type"]),
        (json!({"name": "jira", "api_url": "https://a.b", "colour": "red"}), vec!["/colour"]),
        (json!({"name": "jira", "api_url": "https://a.b", "sync_interval": "often"}), vec!["/sync_interval"]),
        (
            json!({"name": "jira", "api_url": "https://a.b", "username": "u", "password": "p", "deployment": "moon"}),
            vec!["/deployment"],
        ),
    ] {
        let (status, answer) = call("POST", "/api/v1/work-order-systems", Some(body)).await;
        let errors = answer["errors"].as_array().cloned().unwrap_or_default();
        let found: Vec<_> = errors.iter().map(|error| error["pointer"].as_str().expect("a pointer")).collect();
        assert_eq!((status, found), (400, pointers), "{answer}");
    }
}

#[tokio::test]
async fn tickets_and_runs_are_read_by_their_tenant_only() {
    let test = TestApp::new().await;
    let jira = Jira::start(Deployment::Server, 7).await;
    let (ours, theirs) = (TOKEN, &test.token_of("acme").await);
    let call = async |token: &str, method: &str, path: &str, body: Option<Value>| {
        let reply = test.call_with(token, method, path, body).await;
        (reply.status, reply.json())
    };
    let (_, made) = call(ours, "POST", "/api/work-order-systems", Some(seed(jira.url.as_str()))).await;
    let id = made["data"]["id"].as_str().expect("an id");
    let (status, probe) = call(ours, "POST", &format!("/api/work-order-systems/{id}/test_connection"), None).await;
    assert_eq!((status, &probe["data"]["success"]), (200, &json!(true)), "{probe}");
    let (status, asked) = call(ours, "POST", "/api/work-order-systems/sync_all", None).await;
    assert_eq!(status, 202);
    let job: JobId = asked["data"]["job_ids"][0].as_str().and_then(|id| id.parse().ok()).expect("a job");
    test.app.work_orders.sync_system(id.parse().expect("an id"), &run(job)).await.expect("runs");

    let (_, orders) = call(ours, "GET", "/api/work-orders?status=closed&size=1", None).await;
    assert_eq!((&orders["total"], orders["data"].as_array().map(Vec::len)), (&json!(2), Some(1)), "{orders}");
    assert_eq!(orders["data"][0]["external_status"], json!("Closed"));
    let order = format!("/api/v1/work-orders/{}", orders["data"][0]["id"].as_str().expect("an id"));
    assert_eq!(call(ours, "GET", &order, None).await.0, 200);
    assert_eq!(call(theirs, "GET", &order, None).await.0, 404);
    assert_eq!(call(theirs, "GET", "/api/work-orders", None).await.1["total"], json!(0));
    let (status, _) = call(ours, "GET", "/api/work-orders?status=open", None).await;
    assert_eq!(status, 400);

    let (_, logs) = call(ours, "GET", &format!("/api/sync-logs?system={id}"), None).await;
    let log = &logs["data"][0];
    assert_eq!(
        (&log["status"], &log["created"], &log["total_count"]),
        (&json!("success"), &json!(7), &json!(7)),
        "{log}"
    );
    let log = format!("/api/sync-logs/{}", log["id"].as_str().expect("an id"));
    assert_eq!(call(ours, "GET", &log, None).await.0, 200);
    assert_eq!(call(theirs, "GET", &log, None).await.0, 404);

    let path = format!("/api/work-order-systems/{id}");
    assert_eq!(call(ours, "DELETE", &path, None).await.1["code"], json!("has_work_orders"));
    assert_eq!(call(ours, "DELETE", &format!("{path}?cascade=true"), None).await.0, 204);
}
