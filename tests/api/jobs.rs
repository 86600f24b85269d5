//! Jobs over the API: enqueue, look, steer, dead letters.

use axum::body::Body;
use axum::http::{Request, header};
use deskhand::dispatch::{Keeper, Relay};
use deskhand_jobs::queue::{DeadReason, LogLine, Progress, Report, Settlement, Verdict, WorkerInfo};
use deskhand_jobs::{QueueName, WorkerId};
use serde_json::{Value, json};

use crate::fixtures::TestApp;
use crate::fixtures::app::{Reply, TOKEN};
use crate::fixtures::queues::work;

fn sync() -> Value {
    json!({"kind": "work_orders.sync"})
}

fn id(reply: &Reply) -> String {
    reply.json()["data"]["id"].as_str().unwrap_or_else(|| panic!("a job: {}", reply.text)).to_owned()
}

/// Brings what waits into the queue, ends it so, and brings the ends back.
async fn run_all(test: &TestApp, verdict: &Verdict) {
    let (db, queue) = (test.app.db.clone(), test.app.queue.clone());
    Relay::new(db.clone(), queue.clone()).push_due().await.expect("pushes");
    work(&*queue, verdict).await;
    Keeper::new(db, queue).write_endings().await.expect("keeps");
}

#[tokio::test]
async fn a_job_is_enqueued_seen_and_listed() {
    let test = TestApp::new().await;
    let made =
        test.post("/api/v1/jobs/", json!({"kind": "work_orders.sync", "priority": "high", "max_attempts": 2})).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let path = format!("/api/v1/jobs/{}", id(&made));
    let job = test.get(&path).await.json()["data"].clone();
    assert_eq!((&job["state"], &job["priority"], &job["max_attempts"]), (&json!("pending"), &json!("high"), &json!(2)));
    assert_eq!((&job["args"], &job["tenant"]), (&json!({}), &json!("default")));

    Relay::new(test.app.db.clone(), test.app.queue.clone()).push_due().await.expect("pushes");
    assert_eq!(test.get(&path).await.json()["data"]["state"], "ready");
    let list = test.get("/api/v1/jobs?kind=work_orders.sync&queue=default&state=pushed").await.json();
    assert_eq!((&list["total"], &list["data"][0]["state"]), (&json!(1), &json!("ready")), "{list}");
    assert_eq!(test.get("/api/v1/jobs?kind=other.kind").await.json()["total"], 0);

    run_all(&test, &Verdict::Succeeded).await;
    let job = test.get(&path).await.json()["data"].clone();
    assert_eq!(job["state"], "succeeded");
    assert!(job["ended_at"].is_string() && job["worker"].is_string(), "{job}");
}

#[tokio::test]
async fn the_same_request_under_a_key_is_the_same_job() {
    let test = TestApp::new().await;
    let ask = async |key: &str, body: Value| {
        let request = Request::post("/api/v1/jobs")
            .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
            .header(header::CONTENT_TYPE, "application/json")
            .header("idempotency-key", key)
            .body(Body::from(body.to_string()));
        test.send(request.expect("a request")).await
    };
    let (first, again) = (ask("k1", sync()).await, ask("k1", sync()).await);
    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!(id(&first), id(&again));
    let other = json!({"kind": "work_orders.sync", "priority": "low"});
    ask("k1", other).await.refused(409, "idempotency_key_reused");
    assert_ne!(id(&ask("k2", sync()).await), id(&first));
    let twice = Request::post("/api/v1/jobs")
        .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
        .header(header::CONTENT_TYPE, "application/json")
        .header("idempotency-key", "k1")
        .header("idempotency-key", "k3")
        .body(Body::from(sync().to_string()));
    test.send(twice.expect("a request")).await.refused(400, "invalid");
}

#[tokio::test]
async fn jobs_are_listed_by_where_they_are_now() {
    let test = TestApp::new().await;
    let (db, queue) = (test.app.db.clone(), test.app.queue.clone());
    let mut ids = Vec::new();
    // On its way within a minute, so the queue has it; a day away, so the database has it.
    let soon = (chrono::Utc::now() + chrono::TimeDelta::seconds(40)).to_rfc3339();
    for (n, run_at) in [None, None, None, Some(soon.as_str()), Some("2099-01-01T00:00:00Z")].into_iter().enumerate() {
        let body = json!({"kind": "work_orders.sync", "unique": {"key": n.to_string(), "until": "finished"}, "run_at": run_at});
        ids.push(id(&test.post("/api/v1/jobs", body).await));
    }
    Relay::new(db.clone(), queue.clone()).push_due().await.expect("pushes");
    let queues = vec![deskhand_jobs::QueueName::default()];
    let worker = WorkerInfo { id: WorkerId::new(), name: "w".into(), queues, concurrency: 1, started_at_ms: 0 };
    queue.beat(&worker, true).await.expect("beats");
    queue.claim(worker.id, &worker.queues, 1).await.expect("claims");

    let list = async |query: &str| {
        let list = test.get(&format!("/api/v1/jobs?{query}")).await.json();
        let ids = list["data"].as_array().unwrap_or_else(|| panic!("{query}: {list}")).iter();
        (list["total"].as_u64(), ids.map(|job| job["id"].as_str().expect("an id").to_owned()).collect::<Vec<_>>())
    };
    assert_eq!(list("state=running").await, (Some(1), vec![ids[0].clone()]));
    assert_eq!(list("state=ready").await, (Some(2), vec![ids[1].clone(), ids[2].clone()]));
    assert_eq!(list("state=ready&size=1&page=2").await, (Some(2), vec![ids[2].clone()]));
    assert_eq!(list("state=scheduled").await, (Some(1), vec![ids[3].clone()]));
    assert_eq!(list("state=pending").await, (Some(1), vec![ids[4].clone()]));
    assert_eq!(list("state=ready&kind=work_orders.sync_system").await, (Some(0), vec![]));
    assert_eq!(list("state=ready&queue=mail").await, (Some(0), vec![]));
    let theirs = test.token_of("other").await;
    assert_eq!(test.call_with(&theirs, "GET", "/api/v1/jobs?state=ready", None).await.json()["total"], 0);
}

#[tokio::test]
async fn a_waiting_job_is_hurried_or_cancelled() {
    let test = TestApp::new().await;
    let later = json!({"kind": "work_orders.sync", "run_at": "2099-01-01T00:00:00Z"});
    let path = format!("/api/v1/jobs/{}", id(&test.post("/api/v1/jobs", later.clone()).await));
    let hurried = test.call("POST", &format!("{path}/retry"), None).await;
    assert_eq!(hurried.status, 200, "{}", hurried.text);
    assert!(!hurried.json()["data"]["run_at"].as_str().expect("an instant").starts_with("2099"));

    let path = format!("/api/v1/jobs/{}", id(&test.post("/api/v1/jobs", later).await));
    test.call("POST", &format!("{path}/discard"), None).await.refused(409, "not_dead");
    let cancelled = test.call("POST", &format!("{path}/cancel"), None).await;
    assert_eq!((cancelled.status, &cancelled.json()["data"]["state"]), (200, &json!("cancelled")));
    let job = test.get(&path).await.json()["data"].clone();
    assert!(job["last_error"].as_str().expect("a reason").contains("bootstrap"), "{job}");
    test.call("POST", &format!("{path}/cancel"), None).await.refused(409, "already_ended");
}

#[tokio::test]
async fn dead_letters_are_listed_redriven_and_discarded() {
    let test = TestApp::new().await;
    let dead = Verdict::Dead { reason: DeadReason::Failed, error: "the password is wrong".into() };
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(id(&test
            .post(
                "/api/v1/jobs",
                json!({"kind": "work_orders.sync", "unique": {"key": ids.len().to_string(), "until": "finished"}}),
            )
            .await));
    }
    run_all(&test, &dead).await;
    let list = test.get("/api/v1/dead").await.json();
    assert_eq!((&list["total"], &list["data"][0]["dead_reason"]), (&json!(3), &json!("failed")), "{list}");
    assert_eq!(list["data"][0]["last_error"], "the password is wrong");

    test.post("/api/v1/dead/redrive", json!({})).await.refused(400, "invalid");
    test.post("/api/v1/dead/redrive", json!({"ids": [], "all": true})).await.refused(400, "invalid");
    let one = test.post("/api/v1/dead/redrive", json!({"ids": [ids[0]]})).await.json();
    assert_eq!(one["data"]["redriven"], json!([ids[0]]));
    assert_eq!(test.get("/api/v1/dead").await.json()["total"], 2);
    let gone = test.call("POST", &format!("/api/v1/jobs/{}/discard", ids[1]), None).await;
    assert_eq!(gone.status, 200, "{}", gone.text);
    let none = test.post("/api/v1/dead/redrive", json!({"kind": "other.kind"})).await.json();
    assert_eq!(none["data"]["redriven"], json!([]));
    let rest = test.post("/api/v1/dead/redrive", json!({"kind": "work_orders.sync"})).await.json();
    assert_eq!((&rest["data"]["redriven"], &rest["data"]["more"]), (&json!([ids[2]]), &json!(false)));

    run_all(&test, &Verdict::Succeeded).await;
    let states: Vec<Value> = test.get("/api/v1/jobs").await.json()["data"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|job| job["state"].clone())
        .collect();
    assert_eq!(states, ["succeeded", "cancelled", "succeeded"]);
}

#[tokio::test]
async fn another_tenants_job_is_not_there() {
    let test = TestApp::new().await;
    let id = id(&test.post("/api/v1/jobs", sync()).await);
    let theirs = test.token_of("other").await;
    for (method, path) in [("GET", ""), ("POST", "/cancel"), ("POST", "/retry"), ("POST", "/discard")] {
        let reply = test.call_with(&theirs, method, &format!("/api/v1/jobs/{id}{path}"), None).await;
        reply.refused(404, "not_found");
    }
}

#[tokio::test]
async fn a_job_that_does_not_run_is_explained() {
    let test = TestApp::new().await;
    let made = test.post("/api/v1/jobs", sync()).await;
    let path = format!("/api/v1/jobs/{}/explain", id(&made));
    let codes = async || {
        let reasons = test.get(&path).await.json()["data"].take();
        let code = |reason: &Value| reason["code"].as_str().expect("a code").to_owned();
        reasons.as_array().expect("reasons").iter().map(code).collect::<Vec<_>>()
    };
    assert_eq!(codes().await, ["not_sent"]);
    Relay::new(test.app.db.clone(), test.app.queue.clone()).push_due().await.expect("pushes");
    assert_eq!(codes().await, ["nobody_serves"]);
    test.post("/api/v1/queues/default/pause", json!({})).await;
    assert_eq!(codes().await, ["paused", "nobody_serves"]);
    test.post("/api/v1/queues/default/resume", json!({})).await;
    run_all(&test, &Verdict::Dead { reason: DeadReason::Failed, error: "no route".into() }).await;
    assert_eq!(codes().await, ["dead"]);
    let later = json!({"kind": "work_orders.sync", "run_at": "2999-01-01T00:00:00Z"});
    let path = format!("/api/v1/jobs/{}/explain", id(&test.post("/api/v1/jobs", later).await));
    assert_eq!(test.get(&path).await.json()["data"][0]["code"], "not_due");
}

#[tokio::test]
async fn one_error_of_many_jobs_is_one_group_to_redrive() {
    let test = TestApp::new().await;
    for (to, error) in [(1, "mailbox 1 is full"), (2, "mailbox 2 is full")] {
        let unique = json!({"key": format!("k{to}"), "until": "finished"});
        test.post("/api/v1/jobs", json!({"kind": "work_orders.sync", "unique": unique})).await;
        run_all(&test, &Verdict::Dead { reason: DeadReason::Failed, error: error.into() }).await;
    }
    let groups = test.get("/api/v1/dead/groups").await.json()["data"].take();
    assert_eq!((groups[0]["count"].as_u64(), groups[1].is_null()), (Some(2), true), "{groups}");
    let wrong = test.post("/api/v1/dead/redrive", json!({"fingerprint": "nonsense"})).await;
    assert!(wrong.status == 422 || wrong.status == 400, "{}", wrong.text);
    let redriven = test.post("/api/v1/dead/redrive", json!({"fingerprint": groups[0]["fingerprint"]})).await;
    assert_eq!(redriven.json()["data"]["redriven"].as_array().map(Vec::len), Some(2), "{}", redriven.text);
    assert_eq!(test.get("/api/v1/dead/groups").await.json()["data"], json!([]));
}

#[tokio::test]
async fn a_dead_letter_is_mended_and_comes_back_at_a_pace() {
    let test = TestApp::new().await;
    let mut ids = Vec::new();
    for n in 0..2 {
        let unique = json!({"key": format!("k{n}"), "until": "finished"});
        ids.push(id(&test.post("/api/v1/jobs", json!({"kind": "work_orders.sync", "unique": unique})).await));
        run_all(&test, &Verdict::Dead { reason: DeadReason::Failed, error: "no such system".into() }).await;
    }
    let path = format!("/api/v1/dead/{}", ids[0]);
    let dead = test.get(&format!("/api/v1/jobs/{}", ids[0])).await.json()["data"].take();
    let change = json!({"args": {}, "version": dead["version"]});
    let changed = test.call("PATCH", &path, Some(change.clone())).await;
    assert_eq!((changed.status, &changed.json()["data"]["args"]), (200, &json!({})), "{}", changed.text);
    test.call("PATCH", &path, Some(change)).await.refused(409, "stale_version");
    test.call("PATCH", &path, Some(json!({"args": {"x": 1}}))).await.refused(400, "invalid");
    test.call("PATCH", &path, Some(json!({}))).await.refused(400, "invalid");

    let total = async |query: &str| test.get(&format!("/api/v1/dead?{query}")).await.json()["total"].clone();
    assert_eq!(
        (total("before=2001-01-01T00:00:00Z").await, total("after=2001-01-01T00:00:00Z").await),
        (json!(0), json!(2))
    );
    for (body, pointer) in [
        (json!({"all": true, "per_second": 0}), "/per_second"),
        (json!({"all": true, "spacing_ms": 0}), "/spacing_ms"),
        (json!({"all": true, "spacing_ms": 1, "per_second": 1}), "/spacing_ms"),
        (json!({"before": "yesterday"}), "/before"),
    ] {
        let told = test.post("/api/v1/dead/redrive", body).await.refused(400, "invalid");
        assert_eq!(told["errors"][0]["pointer"], pointer, "{told}");
    }
    let early = test.post("/api/v1/dead/redrive", json!({"before": "2001-01-01T00:00:00Z"})).await.json();
    assert_eq!(early["data"]["redriven"], json!([]));
    let paced = test.post("/api/v1/dead/redrive", json!({"all": true, "spacing_ms": 3_600_000})).await.json();
    assert_eq!(paced["data"]["redriven"], json!(ids), "{paced}");
    let state = async |id: &str| test.get(&format!("/api/v1/jobs/{id}")).await.json()["data"].take();
    let (first, second) = (state(&ids[0]).await, state(&ids[1]).await);
    assert_eq!((&first["state"], &second["state"]), (&json!("ready"), &json!("scheduled")));
    assert_eq!((&first["generation"], &second["generation"]), (&json!(1), &json!(1)));
    test.call("PATCH", &path, Some(json!({"args": {}}))).await.refused(409, "not_dead");
}

#[tokio::test]
async fn jobs_in_the_queues_are_walked_by_cursor() {
    let test = TestApp::new().await;
    let mut ids = Vec::new();
    for n in 0..5 {
        let queue = if n < 3 { "alpha" } else { "beta" };
        let unique = json!({"key": format!("k{n}"), "until": "finished"});
        let body = json!({"kind": "work_orders.sync", "queue": queue, "unique": unique});
        ids.push(id(&test.post("/api/v1/jobs", body).await));
    }
    Relay::new(test.app.db.clone(), test.app.queue.clone()).push_due().await.expect("pushes");
    let (mut found, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let page = test.get(&format!("/api/v1/jobs?state=ready&size=2&cursor={cursor}")).await.json();
        let data = page["data"].as_array().expect("a list");
        assert!(data.len() <= 2 && data.iter().all(|job| job["state"] == "ready"), "{page}");
        found.extend(data.iter().map(|job| job["id"].as_str().expect("an id").to_owned()));
        pages += 1;
        let Some(next) = page["next"].as_str() else { break };
        cursor = next.to_owned();
    }
    assert_eq!((found, pages), (ids.clone(), 3));
    let beta = test.get("/api/v1/jobs?state=ready&queue=beta&cursor=").await.json();
    assert_eq!((beta["data"].as_array().map(Vec::len), &beta["next"]), (Some(2), &json!(null)), "{beta}");
    for query in
        ["state=ready&cursor=x", "state=ready&cursor=alpha:nonsense", "state=dead&cursor=x", "cursor=alpha:7.9"]
    {
        let told = test.get(&format!("/api/v1/jobs?{query}")).await.refused(400, "invalid");
        assert_eq!(told["errors"][0]["pointer"], "/cursor", "{query}: {told}");
    }
}

#[tokio::test]
async fn any_list_is_walked_by_cursor_the_latest_first() {
    let test = TestApp::new().await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.insert(0, id(&test.post("/api/v1/jobs", sync()).await));
    }
    for narrow in ["", "state=pending&", "state=pending&kind=work_orders.sync&"] {
        let (mut found, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let page = test.get(&format!("/api/v1/jobs?{narrow}size=2&cursor={cursor}")).await.json();
            let data = page["data"].as_array().expect("a list");
            found.extend(data.iter().map(|job| job["id"].as_str().expect("an id").to_owned()));
            pages += 1;
            let Some(next) = page["next"].as_str() else { break };
            cursor = next.to_owned();
        }
        assert_eq!((&found, pages), (&ids, 3), "{narrow}");
    }
    let none = test.get("/api/v1/jobs?state=dead&cursor=").await.json();
    assert_eq!((none["data"].as_array().map(Vec::len), &none["next"]), (Some(0), &json!(null)), "{none}");
}

#[tokio::test]
async fn a_job_shows_how_far_it_is_what_it_noted_and_what_came_of_it() {
    let test = TestApp::new().await;
    let path = format!("/api/v1/jobs/{}", id(&test.post("/api/v1/jobs", sync()).await));
    let (db, queue) = (test.app.db.clone(), test.app.queue.clone());
    Relay::new(db.clone(), queue.clone()).push_due().await.expect("pushes");
    let job = test.get(&path).await.json()["data"].clone();
    assert_eq!((&job["progress"], &job["result"], &job["log"]), (&json!(null), &json!(null), &json!(null)), "{job}");

    let queues = vec![QueueName::default()];
    let me = WorkerInfo { id: WorkerId::new(), name: "hands".into(), queues, concurrency: 1, started_at_ms: 0 };
    queue.beat(&me, true).await.expect("beats");
    let job = queue.claim(me.id, &me.queues, 1).await.expect("claims").jobs.remove(0);
    let report = Report {
        id: job.id,
        queue: job.queue.clone(),
        lease: job.lease.clone(),
        progress: Some(Progress { done: 2, total: Some(9) }),
        before: 0,
        lines: vec![LogLine { attempt: 1, at_ms: 1_700_000_000_000, text: "page 2".into() }],
    };
    queue.report(&[report]).await.expect("reports");
    let told = json!([{"at": "2023-11-14T22:13:20Z", "attempt": 1, "text": "page 2"}]);
    let live = test.get(&path).await.json()["data"].clone();
    assert_eq!((&live["state"], &live["log"]), (&json!("running"), &told));
    assert_eq!(live["progress"], json!({"done": 2, "total": 9}));

    let verdict = Verdict::SucceededWith { result: json!({"tickets": 9}) };
    let end = Settlement { id: job.id, queue: job.queue.clone(), lease: job.lease.clone(), verdict };
    queue.settle(&[end]).await.expect("settles");
    for from in ["the queue", "the ledger"] {
        let ended = test.get(&path).await.json()["data"].clone();
        assert_eq!((&ended["state"], &ended["result"]), (&json!("succeeded"), &json!({"tickets": 9})), "from {from}");
        assert_eq!((&ended["progress"], &ended["log"]), (&json!({"done": 2, "total": 9}), &told), "from {from}");
        Keeper::new(db.clone(), queue.clone()).write_endings().await.expect("keeps");
    }
}
