//! What becomes of a job by what its worker says.

use std::time::Duration;

use deskhand::base::Clock;
use serde_json::{Value, json};

use super::{Remote, keep, let_leases_end};
use crate::fixtures::TestApp;

#[tokio::test]
async fn each_outcome_does_what_it_says() {
    let test = TestApp::new().await;
    let remote = Remote::new(&test).await;
    let worker = remote.register().await;
    let cases = [
        (json!({"outcome": "done", "result": {"n": 1}}), "succeeded", 0),
        (json!({"outcome": "retry", "error": "boom"}), "scheduled", 1),
        (json!({"outcome": "retry_after", "error": "429", "after_ms": 60000}), "scheduled", 1),
        (json!({"outcome": "snooze", "after_ms": 60000}), "scheduled", 0),
        (json!({"outcome": "discard", "error": "old"}), "cancelled", 0),
        (json!({"outcome": "fail", "error": "bad"}), "dead", 1),
        (json!({"outcome": "hand_back"}), "ready", 0),
    ];
    let ids = remote.enqueue(&vec![json!({}); cases.len()]).await;
    let claimed = remote.claim(&worker, 100).await;
    assert_eq!(claimed.len(), ids.len());
    let ends: Vec<Value> = claimed
        .iter()
        .zip(&cases)
        .map(|(job, (end, ..))| {
            let mut end = end.clone();
            (end["id"], end["lease"]) = (job["id"].clone(), job["lease"].clone());
            end
        })
        .collect();
    let answers = remote.ask(&worker, "settle", json!({ "results": ends })).await;
    assert!(answers.as_array().expect("answers").iter().all(|told| told["answer"] == "applied"), "{answers}");
    keep(&test).await;
    for (job, (end, state, failures)) in claimed.iter().zip(&cases) {
        let job = remote.job(job["id"].as_str().expect("an id")).await;
        assert_eq!((job["state"].as_str(), &job["failures"]), (Some(*state), &json!(failures)), "{end}: {job}");
        match end["outcome"].as_str().expect("text") {
            "done" => assert_eq!(job["result"], json!({"n": 1})),
            "fail" => assert_eq!((&job["dead_reason"], &job["last_error"]), (&json!("failed"), &json!("bad"))),
            "hand_back" => assert_eq!(job["hand_backs"], 1),
            _ => {}
        }
    }
}

#[tokio::test]
async fn the_last_allowed_failure_is_the_end() {
    let test = TestApp::new().await;
    let remote = Remote::new(&test).await;
    let worker = remote.register().await;
    let id = remote.enqueue(&[json!({"max_attempts": 2})]).await.remove(0);
    for attempt in 1..=2 {
        let job = remote.claim(&worker, 1).await.remove(0);
        assert_eq!((&job["attempt"], &job["max_attempts"]), (&json!(attempt), &json!(2)));
        remote.settle(&worker, &job, json!({"outcome": "retry_after", "error": "boom", "after_ms": 0})).await;
    }
    keep(&test).await;
    let job = remote.job(&id).await;
    assert_eq!((&job["state"], &job["dead_reason"]), (&json!("dead"), &json!("exhausted")), "{job}");
    // Its arguments may be anything again.
    let edited = remote.call("PATCH", &format!("/api/v1/dead/{id}"), json!({"args": {"other": [1]}})).await;
    assert_eq!(edited["args"], json!({"other": [1]}));
}

#[tokio::test]
async fn a_stale_lease_changes_nothing_and_harms_no_neighbour() {
    let test = TestApp::new().await;
    let remote = Remote::new(&test).await;
    let (one, two) = (remote.register().await, remote.register().await);
    remote.enqueue(&[json!({}), json!({})]).await;
    let jobs = remote.claim(&one, 2).await;
    let done = json!({"outcome": "done"});
    assert_eq!(remote.settle(&two, &jobs[0], done.clone()).await["answer"], "stale", "another worker's lease");
    let mut forged = jobs[0].clone();
    forged["lease"] = "v1:bm9uc2Vuc2U".into();
    assert_eq!(remote.settle(&one, &forged, done.clone()).await["answer"], "stale");
    let mut swapped = jobs[0].clone();
    swapped["lease"] = jobs[1]["lease"].clone();
    let end = |job: &Value| json!({"id": job["id"], "lease": job["lease"], "outcome": "done"});
    let batch = json!({"results": [end(&swapped), end(&jobs[1]), end(&jobs[1])]});
    let answers = remote.ask(&one, "settle", batch).await;
    assert_eq!(
        answers.as_array().expect("answers").iter().map(|told| &told["answer"]).collect::<Vec<_>>(),
        ["stale", "applied", "stale"]
    );
    assert_eq!(remote.settle(&one, &jobs[0], done.clone()).await["answer"], "applied");
    assert_eq!(remote.settle(&one, &jobs[0], done).await["answer"], "stale");
}

#[tokio::test]
async fn a_result_that_is_too_large_is_left_out_and_that_is_told() {
    let test = TestApp::new().await;
    let remote = Remote::new(&test).await;
    let worker = remote.register().await;
    let id = remote.enqueue(&[json!({})]).await.remove(0);
    let job = remote.claim(&worker, 1).await.remove(0);
    let told = remote.settle(&worker, &job, json!({"outcome": "done", "result": "x".repeat(20_000)})).await;
    assert!(told["answer"] == "applied" && told["left_out"].as_str().expect("told").contains("20002 bytes"), "{told}");
    keep(&test).await;
    let job = remote.job(&id).await;
    assert_eq!((&job["state"], &job["result"]), (&json!("succeeded"), &Value::Null));
}

#[tokio::test]
async fn an_end_that_says_too_little_is_refused_with_its_place() {
    let test = TestApp::new().await;
    let remote = Remote::new(&test).await;
    let worker = remote.register().await;
    let id = remote.enqueue(&[json!({})]).await.remove(0);
    let path = format!("/api/v1/workers/{worker}/settle");
    let end = |outcome: &str| json!({"id": id, "lease": "x", "outcome": outcome});
    let refusal = test.post(&path, json!({"results": [end("done"), end("retry")]})).await.refused(400, "invalid");
    assert_eq!(refusal["errors"][0]["pointer"], "/results/1/error", "{refusal}");
    let refusal = test.post(&path, json!({"results": []})).await.refused(400, "invalid");
    assert_eq!(refusal["errors"][0]["pointer"], "/results");
}

#[tokio::test]
async fn a_running_job_that_is_cancelled_is_told_with_the_beat_and_ends() {
    let test = TestApp::new().await;
    let remote = Remote::new(&test).await;
    let worker = remote.register().await;
    let id = remote.enqueue(&[json!({})]).await.remove(0);
    let job = remote.claim(&worker, 1).await.remove(0);
    assert_eq!(remote.ask(&worker, "beat", json!({})).await["stop"], json!([]));
    assert_eq!(remote.call("POST", &format!("/api/v1/jobs/{id}/cancel"), json!({})).await["state"], "stopping");
    assert_eq!(remote.ask(&worker, "beat", json!({})).await["stop"], json!([id]));
    assert_eq!(remote.settle(&worker, &job, json!({"outcome": "hand_back"})).await["answer"], "applied");
    keep(&test).await;
    assert_eq!(remote.job(&id).await["state"], "cancelled");
}

#[tokio::test]
async fn a_job_that_runs_longer_than_it_may_is_taken_back_and_its_answer_is_stale() {
    let clock = Clock::manual(chrono::Utc::now());
    let test = TestApp::with_clock(&[], clock.clone()).await;
    let remote = Remote::new(&test).await;
    let worker = remote.register().await;
    let ids = remote.enqueue(&[json!({"timeout_ms": 60_000}), json!({"timeout_ms": 3_600_000})]).await;
    let jobs = remote.claim(&worker, 2).await;
    let beat = async || remote.ask(&worker, "beat", json!({})).await["taken"].clone();
    clock.advance(Duration::from_secs(62));
    assert_eq!(beat().await, json!([]), "an answer that is under way still counts");
    clock.advance(Duration::from_secs(10));
    assert_eq!(beat().await, json!([ids[0]]));
    assert_eq!(remote.settle(&worker, &jobs[0], json!({"outcome": "done"})).await["answer"], "stale");
    let job = remote.job(&ids[0]).await;
    assert_eq!((&job["state"], &job["failures"]), (&json!("scheduled"), &json!(1)));
    assert_eq!(job["last_error"], "timed out after 60000 ms");
    clock.advance(Duration::from_hours(1));
    assert_eq!(beat().await, json!([ids[1]]), "the next look was not forgotten");
    assert_eq!(beat().await, json!([]));
}

#[tokio::test]
async fn a_job_that_kills_its_workers_is_dead_after_four() {
    let test = TestApp::new().await;
    let remote = Remote::new(&test).await;
    let id = remote.enqueue(&[json!({})]).await.remove(0);
    for death in 0..4 {
        let victim = remote.register().await;
        assert_eq!(remote.claim(&victim, 1).await.len(), 1, "after {death} deaths");
        let_leases_end(&test).await;
        test.post(&format!("/api/v1/workers/{victim}/beat"), json!({})).await.refused(409, "worker_lost");
    }
    assert_eq!(remote.claim(&remote.register().await, 1).await, Vec::<Value>::new());
    keep(&test).await;
    let job = remote.job(&id).await;
    assert_eq!((&job["state"], &job["dead_reason"], &job["failures"]), (&json!("dead"), &json!("poison"), &json!(0)));
}
