//! Limits of queues and groups over the API.

use deskhand::base::TenantId;
use deskhand::dispatch::Relay;
use deskhand_jobs::queue::WorkerInfo;
use deskhand_jobs::{GroupKey, QueueName, WorkerId};
use serde_json::{Value, json};

use crate::fixtures::TestApp;
use crate::fixtures::by;

const GROUPS: &str = "/api/v1/queues/default/groups";

/// Enqueues a job of a group of which one may run, and brings it to the queue.
async fn enqueue(test: &TestApp, group: &Value) -> Value {
    let job = test.post("/api/v1/jobs", wanted(group)).await;
    assert_eq!(job.status, 201, "{}", job.text);
    Relay::new(test.app.db.clone(), test.app.queue.clone()).push_due().await.expect("pushes");
    job.json()["data"].take()
}

fn wanted(group: &Value) -> Value {
    // The kind's own key would let only one job in.
    let unique = json!({"key": deskhand_jobs::JobId::new().to_string(), "until": "started"});
    json!({"kind": "work_orders.sync", "unique": unique, "group": group})
}

#[tokio::test]
async fn a_queue_is_limited_and_says_so() {
    let test = TestApp::new().await;
    let path = "/api/v1/queues/default/limit";
    test.call("PUT", path, Some(json!({"concurrency": 3}))).await.refused(404, "not_found");
    enqueue(&test, &json!({"key": "a"})).await;
    let limited = test.call("PUT", path, Some(json!({"concurrency": 3}))).await;
    assert_eq!((limited.status, &limited.json()["data"]["concurrency"]), (200, &json!(3)), "{}", limited.text);
    assert_eq!(test.get("/api/v1/queues/default").await.json()["data"]["concurrency"], 3);
    test.call("PUT", path, Some(json!({"concurrency": 0}))).await.refused(400, "invalid");
    test.call("PUT", path, Some(json!({}))).await.refused(400, "invalid");
    let lifted = test.call("PUT", path, Some(json!({"concurrency": null}))).await;
    assert_eq!(lifted.json()["data"]["concurrency"], Value::Null);
}

#[tokio::test]
async fn a_limited_job_says_by_whom() {
    let test = TestApp::new().await;
    let group = json!({"key": "site:7", "limits": {"concurrency": 1}});
    let (first, second) = (enqueue(&test, &group).await, enqueue(&test, &group).await);
    assert_eq!(second["group"], group);
    let queues = vec![QueueName::default()];
    let worker = WorkerInfo { id: WorkerId::new(), name: "host:1".into(), queues, concurrency: 9, started_at_ms: 1 };
    test.app.queue.beat(&worker, true).await.expect("registers");
    let held = test.app.queue.claim(worker.id, &worker.queues, 9).await.expect("claims").jobs;
    assert_eq!(held.len(), 1);

    let explain = format!("/api/v1/jobs/{}/explain", second["id"].as_str().expect("an id"));
    let why = test.get(&explain).await.json()["data"][0].take();
    let text = why["text"].as_str().expect("text");
    assert_eq!(why["code"], "limited", "{why}");
    assert!(text.contains("1 of the 1 jobs of group site:7"), "{text}");
    assert!(text.contains(first["id"].as_str().expect("an id")), "{text}");

    let list = test.get(GROUPS).await.json();
    let seen = &list["data"][0];
    assert_eq!((&seen["key"], &seen["running"], &seen["waiting"]), (&json!("site:7"), &json!(1), &json!(1)), "{list}");
    assert_eq!(list["next"], Value::Null);
}

#[tokio::test]
async fn the_limits_of_a_group_are_fixed_and_set_free() {
    let test = TestApp::new().await;
    enqueue(&test, &json!({"key": "a", "limits": {"concurrency": 1}})).await;
    enqueue(&test, &json!({"key": "b"})).await;
    let path = format!("{GROUPS}/a");
    let limits = json!({"concurrency": 2, "rate": {"starts": 5, "per_ms": 60_000, "burst": 2}});
    let fixed = test.call("PUT", &path, Some(limits.clone())).await.json();
    assert_eq!((&fixed["data"]["limits"], &fixed["data"]["pinned"]), (&limits, &json!(true)), "{fixed}");
    let free = test.call("DELETE", &path, None).await.json();
    assert_eq!(
        (&free["data"]["limits"], &free["data"]["pinned"]),
        (&json!({"concurrency": 1}), &json!(false)),
        "{free}"
    );
    let second = test.get(&format!("{GROUPS}?size=1&cursor=a")).await.json();
    assert_eq!((&second["data"][0]["key"], &second["next"]), (&json!("b"), &json!("b")), "{second}");
    assert_eq!(test.get(&format!("{GROUPS}?cursor=b")).await.json()["data"], json!([]));

    let none = json!({"rate": {"starts": 0, "per_ms": 1, "burst": 1}});
    test.call("PUT", &path, Some(none)).await.refused(400, "invalid");
    for wrong in
        [json!({"key": "a", "limits": {"concurrency": 0}}), json!({"key": "x".repeat(128)}), json!({"key": ""})]
    {
        test.post("/api/v1/jobs", wanted(&wrong)).await.refused(400, "invalid");
    }
}

#[tokio::test]
async fn a_tenant_neither_sees_nor_steers_the_groups_of_others() {
    let test = TestApp::new().await;
    enqueue(&test, &json!({"key": "a"})).await;
    let other: TenantId = "other".parse().expect("valid");
    let (name, key) = (QueueName::default(), GroupKey::new("a").expect("valid"));
    assert!(test.app.jobs.groups(&other, &name, None, 9).await.expect("reads").is_empty());
    let limits = deskhand_jobs::Limits { concurrency: Some(7), rate: None };
    test.app.jobs.limit_group(&by(&other), &name, &key, Some(limits)).await.expect("fixes its own");
    let list = test.get(GROUPS).await.json();
    assert_eq!((list["data"].as_array().map(Vec::len), &list["data"][0]["pinned"]), (Some(1), &json!(false)), "{list}");
}
