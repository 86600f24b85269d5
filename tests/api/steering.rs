//! Queues, workers, schedules, health and figures over the API.

use deskhand::dispatch::Relay;
use serde_json::json;

use crate::fixtures::TestApp;

const SYNC: &str = "/api/v1/schedules/work_orders.sync";

/// A queue is there once it has had a job.
async fn has_a_queue(test: &TestApp, name: &str) {
    test.post("/api/v1/jobs", json!({"kind": "work_orders.sync", "queue": name})).await;
    Relay::new(test.app.db.clone(), test.app.queue.clone()).push_due().await.expect("pushes");
}

#[tokio::test]
async fn a_queue_is_paused_and_resumed() {
    let test = TestApp::new().await;
    let nobody = test.call("POST", "/api/v1/queues/defualt/pause", None).await;
    nobody.refused(404, "not_found");
    has_a_queue(&test, "default").await;
    let paused = test.call("POST", "/api/v1/queues/default/pause", None).await;
    assert_eq!((paused.status, &paused.json()["data"]["paused"]), (200, &json!(true)));
    let list = test.get("/api/v1/queues/").await.json();
    assert_eq!((&list["data"][0]["name"], &list["data"][0]["paused"]), (&json!("default"), &json!(true)), "{list}");
    assert_eq!(test.get("/api/v1/queues/default").await.json()["data"]["paused"], true);
    let told = test.get("/api/v1/queues/defualt").await.refused(404, "not_found");
    assert!(told["detail"].as_str().expect("text").contains("the queues are default"), "{told}");
    let resumed = test.call("POST", "/api/v1/queues/default/resume", None).await;
    assert_eq!(resumed.json()["data"]["paused"], false);
    test.call("POST", "/api/v1/queues/No%20Queue/pause", None).await.refused(400, "invalid");
    assert_eq!(test.get("/api/v1/workers").await.json()["data"], json!([]));
}

#[tokio::test]
async fn a_schedule_is_looked_at_run_paused_and_resumed() {
    let test = TestApp::new().await;
    test.app.declare_schedules().await.expect("declares");
    let list = test.get("/api/v1/schedules").await.json();
    let sync = list["data"].as_array().into_iter().flatten().find(|schedule| schedule["name"] == "work_orders.sync");
    assert_eq!(sync.map(|sync| &sync["cron"]), Some(&json!("@every 1m")), "{list}");
    let next = test.get(&format!("{SYNC}/next?count=3")).await.json();
    assert_eq!(next["data"].as_array().map(Vec::len), Some(3), "{next}");

    let run = test.call("POST", &format!("{SYNC}/run"), None).await;
    assert_eq!(run.status, 202, "{}", run.text);
    let job = run.json()["data"]["job_id"].as_str().expect("a job").to_owned();
    assert_eq!(test.get(&format!("/api/v1/jobs/{job}")).await.json()["data"]["kind"], "work_orders.sync");

    let paused = test.call("POST", &format!("{SYNC}/pause"), None).await.json();
    assert_eq!(paused["data"]["paused"], true, "{paused}");
    assert_eq!(test.get(&format!("{SYNC}/next")).await.json()["data"], json!([]));
    let until = json!({"reason": "the night shift", "until": "2099-01-01T00:00:00Z"});
    let paused = test.post(&format!("{SYNC}/pause"), until).await.json();
    assert_eq!(paused["data"]["pause_reason"], "the night shift");
    test.post(&format!("{SYNC}/pause"), json!({"until": "2001-01-01T00:00:00Z"})).await.refused(400, "invalid");
    assert_eq!(test.call("POST", &format!("{SYNC}/resume"), None).await.json()["data"]["paused"], false);
    test.get("/api/v1/schedules/nowhere").await.refused(404, "not_found");
}

#[tokio::test]
async fn a_schedule_that_is_wrong_is_named() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), "[schedules.nightly]\nkind = \"work_orders.snyc\"\ncron = \"9 * * * *\"\n")
        .expect("written");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let variables = [("DESKHAND_DATA_DIR".to_owned(), directory.path().display().to_string())];
    let settings = deskhand::config::load(Some(file.path()), variables).expect("fits");
    let app = deskhand::app::App::open(settings).await.expect("opens");
    let error = app.declare_schedules().await.expect_err("no such kind").to_string();
    assert!(error.contains("schedules.nightly.kind"), "{error}");
}

#[tokio::test]
async fn figures_tell_how_full_the_queues_are() {
    deskhand::http::metrics::record().expect("records");
    let test = TestApp::new().await;
    has_a_queue(&test, "figures").await;
    let figures = test.get("/metrics").await.text;
    for line in [
        r#"deskhand_queue_jobs{queue="figures",state="ready"} 1"#,
        r#"deskhand_queue_pushed_total{queue="figures"} 1"#,
        // Nobody serves the queue, and a job waits.
        r#"deskhand_desired_workers{queue="figures"} 1"#,
    ] {
        assert!(figures.contains(line), "{line} is not in {figures}");
    }
    test.call("POST", "/api/v1/queues/figures/pause", None).await;
    let figures = test.get("/metrics").await;
    assert_eq!(figures.status, 200);
    assert!(figures.text.contains(r#"deskhand_queue_paused{queue="figures"} 1"#), "{}", figures.text);
    assert!(figures.text.contains(r#"deskhand_desired_workers{queue="figures"} 0"#), "{}", figures.text);
}

#[tokio::test]
async fn readiness_names_every_part() {
    let test = TestApp::new().await;
    let ready = test.get("/ready").await;
    assert_eq!(ready.status, 200, "{}", ready.text);
    let checks = ready.json()["data"]["checks"].clone();
    assert_eq!((&checks[0]["name"], &checks[1]["name"]), (&json!("database"), &json!("queue")));
    test.app.db.close().await;
    let ready = test.get("/ready").await;
    assert_eq!((ready.status, &ready.json()["data"]["checks"][0]["ok"]), (503, &json!(false)), "{}", ready.text);
}
