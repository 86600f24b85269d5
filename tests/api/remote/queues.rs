//! Declaring remote queues, and jobs in them.

use serde_json::{Value, json};

use super::{Remote, send_off};
use crate::fixtures::TestApp;
use crate::fixtures::queues::work;

#[tokio::test]
async fn a_job_in_a_remote_queue_may_have_any_kind_and_only_its_workers_get_it() {
    let test = TestApp::new().await;
    let job = json!({"kind": "image.resize", "queue": "images", "args": {"width": 10}});
    test.post("/api/v1/jobs", job.clone()).await.refused(400, "invalid");
    let remote = Remote::new(&test).await;
    let made = test.post("/api/v1/jobs", job).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let made = made.json()["data"].clone();
    assert_eq!(
        (&made["queue"], &made["remote"], &made["kind"]),
        (&json!("images"), &json!(true), &json!("image.resize"))
    );
    send_off(&test).await;
    work(&*test.app.queue, &deskhand_jobs::queue::Verdict::Succeeded).await;
    let path = format!("/api/v1/jobs/{}", made["id"].as_str().expect("an id"));
    assert_eq!(test.get(&path).await.json()["data"]["state"], "ready", "a worker of this program took nothing");

    for list in [
        "/api/v1/jobs?queue=images",
        "/api/v1/jobs?queue=images&state=ready",
        "/api/v1/jobs?queue=images&state=ready&cursor=",
    ] {
        let listed = test.get(list).await.json();
        assert_eq!(listed["data"][0]["id"], made["id"], "{list}: {listed}");
    }
    let worker = remote.register().await;
    let claimed = remote.claim(&worker, 9).await;
    assert_eq!(
        (claimed.len(), &claimed[0]["queue"], &claimed[0]["args"]),
        (1, &json!("images"), &json!({"width": 10}))
    );
    assert_eq!(claimed[0]["idempotency_key"], made["id"]);
}

#[tokio::test]
async fn a_job_has_the_defaults_of_its_queue_unless_it_says_otherwise() {
    let test = TestApp::new().await;
    let remote = Remote::new(&test).await;
    remote.call("PUT", "/api/v1/remote-queues/images", json!({"timeout_ms": 5000, "max_attempts": 2})).await;
    let ids = remote.enqueue(&[json!({}), json!({"timeout_ms": 9000, "max_attempts": 7})]).await;
    for (id, expected) in ids.iter().zip([(5000, 2), (9000, 7)]) {
        let job = remote.job(id).await;
        assert_eq!((job["timeout_ms"].as_u64(), job["max_attempts"].as_u64()), (Some(expected.0), Some(expected.1)));
    }
}

#[tokio::test]
async fn a_name_or_a_number_that_does_not_fit_is_told() {
    let test = TestApp::new().await;
    let long = "x".repeat(50);
    for (path, body, pointer, part) in [
        (long.as_str(), json!({}), "/name", "at most 47 characters"),
        ("default", json!({}), "/name", "another name"),
        ("remote-7-default-x", json!({}), "/name", "another name"),
        ("images", json!({"timeout_ms": 5}), "/timeout_ms", "7 days"),
        ("images", json!({"max_attempts": 0}), "/max_attempts", "at least 1"),
    ] {
        let reply = test.call("PUT", &format!("/api/v1/remote-queues/{path}"), Some(body)).await;
        let refusal = reply.refused(400, "invalid");
        assert_eq!(refusal["errors"][0]["pointer"], pointer, "{refusal}");
        assert!(refusal["detail"].as_str().expect("text").contains(part), "{refusal}");
    }
    let hidden = json!({"kind": "work_orders.sync", "queue": "remote-4-acme-images"});
    let refusal = test.post("/api/v1/jobs", hidden).await.refused(400, "invalid");
    assert_eq!(refusal["errors"][0]["pointer"], "/queue");
    let kind = json!({"kind": "Resize Image", "queue": "images"});
    Remote::new(&test).await;
    assert_eq!(test.post("/api/v1/jobs", kind).await.refused(400, "invalid")["errors"][0]["pointer"], "/kind");
}

#[tokio::test]
async fn a_queue_goes_when_no_job_is_left_in_it_and_each_change_is_on_record() {
    let test = TestApp::new().await;
    let remote = Remote::new(&test).await;
    let ids = remote.enqueue(&[json!({})]).await;
    let path = "/api/v1/remote-queues/images";
    test.call("DELETE", path, None).await.refused(409, "queue_not_empty");
    remote.call("POST", &format!("{path}/pause"), Value::Null).await;
    assert!(test.get(path).await.json()["data"]["paused"].as_bool().expect("told"));
    assert_eq!(remote.claim(&remote.register().await, 1).await, Vec::<Value>::new());
    assert_eq!(remote.call("POST", &format!("{path}/resume"), Value::Null).await["paused"], false);
    assert_eq!(remote.call("PUT", &format!("{path}/limit"), json!({"concurrency": 3})).await["concurrency"], 3);
    test.post(&format!("/api/v1/jobs/{}/cancel", ids[0]), json!({})).await;
    super::keep(&test).await;
    assert_eq!(test.call("DELETE", path, None).await.status, 204);
    test.get(path).await.refused(404, "not_found");
    test.call("DELETE", path, None).await.refused(404, "not_found");

    let noted = super::noted(&test).await;
    let expected = [
        "remote_queue.declare",
        "job.enqueue_many",
        "remote_queue.pause",
        "worker.register",
        "remote_queue.resume",
        "remote_queue.limit",
        "remote_queue.remove",
    ];
    assert!(expected.iter().all(|action| noted.iter().any(|noted| noted == action)), "{noted:?}");
}

#[tokio::test]
async fn who_is_missing_and_how_many_are_wanted_is_told() {
    let test = TestApp::new().await;
    let remote = Remote::new(&test).await;
    let ids = remote.enqueue(&vec![json!({}); 300]).await;
    let reasons = remote.call("GET", &format!("/api/v1/jobs/{}/explain", ids[0]), Value::Null).await;
    assert_eq!(reasons[0]["code"], "nobody_serves");
    let text = reasons.to_string();
    assert!(
        text.contains("remote queue images") && text.contains("docs/workers.md") && !text.contains("remote-7"),
        "{text}"
    );
    let view = async || test.get("/api/v1/remote-queues/images").await.json()["data"].clone();
    // 300 attempts of a second in a minute are 5 places; a process of this program would have 16.
    assert_eq!((&view().await["desired_workers"], &view().await["workers"]), (&json!(1), &json!(0)));

    let few = json!({"name": "small", "queues": ["images"], "concurrency": 1});
    remote.call("POST", "/api/v1/workers", few).await;
    assert_eq!((&view().await["desired_workers"], &view().await["workers"]), (&json!(5), &json!(1)));
    deskhand::http::metrics::record().expect("records");
    let figures = test.get("/metrics").await.text;
    assert!(figures.contains(r#"deskhand_desired_workers{queue="remote-7-default-images"} 5"#), "{figures}");
    let workers = test.get("/api/v1/workers").await.json();
    assert_eq!((&workers["data"][0]["remote"], &workers["data"][0]["queues"]), (&json!(true), &json!(["images"])));
}
