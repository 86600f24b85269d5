//! The life of a remote worker.

use serde_json::{Value, json};

use super::{Remote, let_leases_end};
use crate::fixtures::TestApp;

#[tokio::test]
async fn a_worker_hears_which_times_to_keep_and_is_seen() {
    let test = TestApp::new().await;
    let remote = Remote::new(&test).await;
    let new = json!({"name": "host:1", "queues": ["images"], "concurrency": 3});
    let told = remote.call("POST", "/api/v1/workers", new).await;
    assert_eq!((&told["beat_every_ms"], &told["dead_after_ms"]), (&json!(3000), &json!(12000)));
    assert_eq!((&told["longest_wait_ms"], &told["most_claimed"]), (&json!(20000), &json!(3)));
    let worker = told["id"].as_str().expect("an id");
    let beaten = remote.ask(worker, "beat", json!({})).await;
    assert_eq!((&beaten["next_beat_ms"], &beaten["stopping"]), (&json!(3000), &json!(false)));
    let seen = test.get("/api/v1/workers").await.json()["data"][0].clone();
    assert_eq!((&seen["id"], &seen["name"], &seen["remote"]), (&told["id"], &json!("host:1"), &json!(true)));
    // Not more than it says to run at once, whatever it asks for.
    remote.enqueue(&vec![json!({}); 5]).await;
    assert_eq!(remote.claim(worker, 5).await.len(), 3);
}

#[tokio::test]
async fn what_does_not_fit_is_told() {
    let test = TestApp::new().await;
    Remote::new(&test).await;
    for (queues, concurrency, pointer) in [
        (json!(["images", "default"]), 1, "/queues/1"),
        (json!(["photos"]), 1, "/queues/0"),
        (json!([]), 1, "/queues"),
        (json!(["images", "images"]), 1, "/queues"),
        (json!(["images"]), 0, "/concurrency"),
    ] {
        let new = json!({"name": "w", "queues": queues, "concurrency": concurrency});
        let refusal = test.post("/api/v1/workers", new).await.refused(400, "invalid");
        assert_eq!(refusal["errors"][0]["pointer"], pointer, "{refusal}");
    }
    let worker = Remote::new(&test).await.register().await;
    for (body, pointer) in [(json!({"max": 0}), "/max"), (json!({"max": 1, "wait_ms": 20_001}), "/wait_ms")] {
        let refusal = test.post(&format!("/api/v1/workers/{worker}/claim"), body).await.refused(400, "invalid");
        assert_eq!(refusal["errors"][0]["pointer"], pointer, "{refusal}");
    }
}

#[tokio::test]
async fn a_worker_that_leaves_hands_back_and_burns_no_attempt() {
    let test = TestApp::new().await;
    let remote = Remote::new(&test).await;
    let (one, two) = (remote.register().await, remote.register().await);
    remote.enqueue(&[json!({}), json!({})]).await;
    let jobs = remote.claim(&one, 2).await;
    remote.settle(&one, &jobs[0], json!({"outcome": "done"})).await;
    remote.call("DELETE", &format!("/api/v1/workers/{one}"), Value::Null).await;
    let again = remote.claim(&two, 9).await;
    assert_eq!(again.iter().map(|job| &job["id"]).collect::<Vec<_>>(), [&jobs[1]["id"]]);
    assert_eq!(again[0]["attempt"], 1);
    test.post(&format!("/api/v1/workers/{one}/beat"), json!({})).await.refused(404, "not_found");
}

#[tokio::test]
async fn jobs_of_a_worker_that_died_come_back_with_the_next_beat_of_another() {
    let test = TestApp::new().await;
    let remote = Remote::new(&test).await;
    let dead = remote.register().await;
    remote.enqueue(&[json!({})]).await;
    let job = remote.claim(&dead, 1).await.remove(0);
    let_leases_end(&test).await;
    let other = remote.register().await;
    remote.ask(&other, "beat", json!({})).await;
    let again = remote.claim(&other, 1).await;
    assert_eq!(again[0]["id"], job["id"]);
    // It comes back to life: what it says does not count, and it learns that it is lost.
    assert_eq!(remote.settle(&dead, &job, json!({"outcome": "done"})).await["answer"], "stale");
    let claim = format!("/api/v1/workers/{dead}/claim");
    test.post(&claim, json!({"max": 1})).await.refused(409, "worker_lost");
    test.post(&claim, json!({"max": 1})).await.refused(404, "not_found");
    assert_eq!(remote.settle(&other, &again[0], json!({"outcome": "done"})).await["answer"], "applied");
}

#[tokio::test]
async fn a_beat_asks_for_the_next_one_when_the_lease_of_another_ends() {
    let test = TestApp::new().await;
    let remote = Remote::new(&test).await;
    let (_, beating) = (remote.register().await, remote.register().await);
    let file = format!("sqlite://{}", test.app.config.data_dir.join("queue.db").display());
    let file = sqlx::SqlitePool::connect(&file).await.expect("the queue's file");
    let sql = "UPDATE workers SET expires_ms = CAST(unixepoch('subsec') * 1000 AS INTEGER) + 1500 WHERE id <> $1";
    sqlx::query(sql).bind(&beating).execute(&file).await.expect("written");
    let next = remote.ask(&beating, "beat", json!({})).await["next_beat_ms"].as_u64().expect("a number");
    assert!((500..=1_520).contains(&next), "{next}");
}

#[tokio::test]
async fn what_a_job_tells_is_seen_while_it_runs_and_a_report_may_be_repeated() {
    let test = TestApp::new().await;
    let remote = Remote::new(&test).await;
    let worker = remote.register().await;
    let id = remote.enqueue(&[json!({})]).await.remove(0);
    let job = remote.claim(&worker, 1).await.remove(0);
    let report = json!({"reports": [{
        "id": id, "lease": job["lease"], "progress": {"done": 3, "total": 10}, "lines": ["page 1", "page\n2"],
    }]});
    for _ in 0..2 {
        assert_eq!(remote.ask(&worker, "report", report.clone()).await[0]["answer"], "applied");
    }
    let seen = remote.job(&id).await;
    assert_eq!(seen["progress"], json!({"done": 3, "total": 10}));
    let lines: Vec<&Value> = seen["log"].as_array().expect("a log").iter().map(|line| &line["text"]).collect();
    assert_eq!(lines, ["page 1", "page 2"], "{seen}");
    let mut stale = report;
    stale["reports"][0]["lease"] = "x".into();
    assert_eq!(remote.ask(&worker, "report", stale).await[0]["answer"], "stale");
}
