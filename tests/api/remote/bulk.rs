//! Many jobs in one request.

use std::time::Instant;

use serde_json::{Value, json};

use super::{Remote, noted};
use crate::fixtures::TestApp;

const PATH: &str = "/api/v1/jobs/bulk";

#[tokio::test]
async fn many_jobs_are_accepted_in_order_and_noted_once() {
    let test = TestApp::new().await;
    Remote::new(&test).await;
    let jobs: Vec<Value> = (0..1_200)
        .map(|n| match n % 3 {
            0 => json!({"kind": "work_orders.sync", "priority": "low"}),
            1 => json!({"kind": "image.resize", "queue": "images", "args": {"n": n}}),
            _ => json!({"kind": "work_orders.sync", "run_at": "2030-01-01T00:00:00Z", "group": {"key": "site"}}),
        })
        .collect();
    let made = test.post(PATH, json!({ "jobs": jobs })).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let made = made.json();
    let ids: Vec<&str> = made["data"]["ids"].as_array().expect("ids").iter().filter_map(Value::as_str).collect();
    assert!(ids.len() == 1_200 && ids.is_sorted());
    for (n, kind) in [(0, "work_orders.sync"), (1, "image.resize"), (600, "work_orders.sync"), (1_198, "image.resize")]
    {
        let job = test.get(&format!("/api/v1/jobs/{}", ids[n])).await.json()["data"].clone();
        assert_eq!(job["kind"], kind, "{n}");
        assert!(kind != "image.resize" || job["args"]["n"] == n, "{job}");
    }
    assert_eq!(test.get("/api/v1/jobs?kind=image.resize").await.json()["total"], 400);
    let noted = noted(&test).await;
    assert_eq!(noted.iter().filter(|action| *action == "job.enqueue_many").count(), 1, "{noted:?}");
}

#[tokio::test]
async fn one_mistake_and_none_is_accepted() {
    let test = TestApp::new().await;
    Remote::new(&test).await;
    let fine = json!({"kind": "work_orders.sync"});
    for (job, pointer) in [
        (json!({"kind": "no.such"}), "/jobs/2/kind"),
        (json!({"kind": "work_orders.sync", "args": {"nonsense": 1}}), "/jobs/2/args"),
        (json!({"kind": "Not A Kind", "queue": "images"}), "/jobs/2/kind"),
        (json!({"kind": "work_orders.sync", "args": []}), "/jobs/2/args"),
        (json!({"kind": "work_orders.sync", "max_attempts": 0}), "/jobs/2/max_attempts"),
        (json!({"kind": "work_orders.sync", "priority": "soon"}), "/jobs/2/priority"),
        (json!({"kind": "work_orders.sync", "unique": {"key": "", "until": "finished"}}), "/jobs/2/unique/key"),
        (json!({"kind": "work_orders.sync", "queue": "remote-1-a-b"}), "/jobs/2/queue"),
        (json!({"args": {}}), "/jobs/2/kind"),
    ] {
        let body = json!({"jobs": [fine, fine, job, fine]});
        let refusal = test.post(PATH, body).await.refused(400, "invalid");
        assert_eq!(refusal["errors"][0]["pointer"], pointer, "{refusal}");
    }
    let both = json!({"jobs": [{"kind": "x"}, fine, {"kind": "y"}]});
    let refusal = test.post(PATH, both).await.refused(400, "invalid");
    assert_eq!(refusal["errors"].as_array().expect("errors").len(), 2, "each mistake is told");
    assert_eq!(test.get("/api/v1/jobs").await.json()["total"], 0);
}

#[tokio::test]
async fn a_request_has_a_bounded_number_of_jobs() {
    let test = TestApp::new().await;
    for count in [0, 10_001] {
        let refusal =
            test.post(PATH, json!({"jobs": vec![json!({"kind": "a.b"}); count]})).await.refused(400, "invalid");
        assert_eq!(refusal["errors"][0]["pointer"], "/jobs");
    }
    let most = test.post(PATH, json!({"jobs": vec![json!({"kind": "work_orders.sync"}); 10_000]})).await;
    assert_eq!(most.status, 201, "{}", most.text);
}

#[tokio::test]
async fn many_at_once_are_much_faster_than_one_by_one() {
    let test = TestApp::new().await;
    let job = json!({"kind": "work_orders.sync"});
    let started = Instant::now();
    for _ in 0..50 {
        assert_eq!(test.post("/api/v1/jobs", job.clone()).await.status, 201);
    }
    let single = started.elapsed() / 50;
    let started = Instant::now();
    assert_eq!(test.post(PATH, json!({"jobs": vec![job; 2_000]})).await.status, 201);
    let many = started.elapsed() / 2_000;
    println!("one by one {single:?} each, 2000 at once {many:?} each");
    assert!(many * 3 < single, "one by one {single:?} each, 2000 at once {many:?} each");
}
