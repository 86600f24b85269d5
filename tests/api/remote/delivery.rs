//! Waiting for work, and answers that nobody takes.

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Request, header};
use deskhand::app::{Role, Running};
use deskhand::http;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::{Remote, send_off};
use crate::fixtures::TestApp;
use crate::fixtures::app::TOKEN;

const DEADLINE: Duration = Duration::from_secs(10);

fn claim(worker: &str, wait_ms: u64) -> Request<Body> {
    let request = Request::post(format!("/api/v1/workers/{worker}/claim"))
        .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(json!({"max": 10, "wait_ms": wait_ms}).to_string()));
    request.expect("a request")
}

/// Claims until there is a job; what is handed back is so a moment later.
async fn claims_at_last(remote: &Remote<'_>, worker: &str) -> Value {
    let claimed = async {
        loop {
            if let Some(job) = remote.claim(worker, 1).await.pop() {
                return job;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, claimed).await.expect("the job comes back")
}

#[tokio::test]
async fn an_answer_that_nobody_reads_gives_its_jobs_back_at_once() {
    let test = TestApp::new().await;
    let remote = Remote::new(&test).await;
    let (gone, other) = (remote.register().await, remote.register().await);
    let id = remote.enqueue(&[json!({})]).await.remove(0);
    let answer = http::router(test.app.clone()).oneshot(claim(&gone, 0)).await.expect("answers");
    assert_eq!(answer.status(), 200);
    assert_eq!(remote.claim(&other, 1).await, Vec::<Value>::new(), "it is on its way");
    drop(answer);
    let job = claims_at_last(&remote, &other).await;
    assert_eq!((&job["id"], &job["attempt"]), (&json!(id), &json!(1)));
    assert_eq!(remote.job(&id).await["hand_backs"], 1);
}

#[tokio::test]
async fn a_client_that_goes_while_it_waits_takes_no_job_with_it() {
    let test = TestApp::new().await;
    let remote = Remote::new(&test).await;
    let (gone, other) = (remote.register().await, remote.register().await);
    let routes = http::router(test.app.clone());
    for _ in 0..20 {
        let waiting = tokio::spawn(routes.clone().oneshot(claim(&gone, 20_000)));
        tokio::task::yield_now().await;
        let made = remote.call("POST", "/api/v1/jobs", json!({"kind": "a.b", "queue": "images"})).await;
        // Now the waiting claim wakes up; it is cut off somewhere in the middle.
        let ((), ()) = tokio::join!(send_off(&test), async {
            tokio::time::sleep(Duration::from_micros(rand::random_range(0..8_000))).await;
            waiting.abort();
        });
        drop(waiting.await);
        let job = claims_at_last(&remote, &other).await;
        assert_eq!(job["id"], made["id"]);
        remote.settle(&other, &job, json!({"outcome": "done"})).await;
    }
}

#[tokio::test]
async fn jobs_of_an_answer_that_got_lost_go_back_when_the_worker_says_what_it_knows() {
    let test = TestApp::new().await;
    let remote = Remote::new(&test).await;
    let (worker, other) = (remote.register().await, remote.register().await);
    remote.enqueue(&vec![json!({}); 3]).await;
    let known = remote.claim(&worker, 1).await.remove(0);
    let lost = remote.claim(&worker, 1).await.remove(0);
    let last = remote.claim(&worker, 1).await.remove(0);
    remote.ask(&worker, "beat", json!({"known": [known["id"], last["id"]]})).await;
    assert_eq!(remote.claim(&other, 9).await[0]["id"], lost["id"]);
    let again = remote.ask(&worker, "claim", json!({"max": 9, "known": [known["id"]]})).await;
    assert_eq!((again.as_array().expect("jobs").len(), &again[0]["id"]), (1, &last["id"]), "given back, then claimed");
    assert_eq!(remote.settle(&worker, &known, json!({"outcome": "done"})).await["answer"], "applied");
}

#[tokio::test]
async fn a_waiting_claim_is_answered_when_a_job_comes() {
    let test = TestApp::new().await;
    let remote = Remote::new(&test).await;
    let worker = remote.register().await;
    let started = Instant::now();
    let waits = remote.ask(&worker, "claim", json!({"max": 5, "wait_ms": 20_000}));
    let jobs = [json!({})];
    let (claimed, ids) = tokio::join!(waits, remote.enqueue(&jobs));
    assert_eq!(claimed[0]["id"], json!(ids[0]));
    assert!(started.elapsed() < DEADLINE);
    let started = Instant::now();
    let none = remote.ask(&worker, "claim", json!({"max": 5, "wait_ms": 300})).await;
    assert!(none == json!([]) && started.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn waiting_claims_end_at_once_when_the_server_stops() {
    let test = TestApp::new().await;
    let remote = Remote::new(&test).await;
    let worker = remote.register().await;
    let stop = CancellationToken::new();
    let running = Running::start(&test.app, &[Role::Api], &stop).await.expect("starts");
    let url = format!("http://{}/api/v1/workers/{worker}", running.address().expect("serves"));
    drop(rustls::crypto::ring::default_provider().install_default());
    let client = reqwest::Client::new();
    let ask = |what: &str, body: Value| client.post(format!("{url}/{what}")).bearer_auth(TOKEN).json(&body).send();
    let waiting = tokio::spawn(ask("claim", json!({"max": 1, "wait_ms": 20_000})));
    // The server has taken the first request once it answers a later one.
    assert_eq!(ask("beat", json!({})).await.expect("answers").status(), 200);
    let started = Instant::now();
    stop.cancel();
    let answer = waiting.await.expect("no panic").expect("answers");
    assert_eq!(answer.text().await.expect("text"), r#"{"data":[]}"#);
    tokio::time::timeout(DEADLINE, running.finished()).await.expect("stops");
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
}
