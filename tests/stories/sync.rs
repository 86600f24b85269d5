//! The main job: a schedule fires, tickets come in over HTTP with trouble on the way, and a wrong password ends where somebody
//! sees it.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use deskhand::app::{Role, Running};
use deskhand::base::Clock;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::fakes::jira::{Deployment, Fault, Jira, PASSWORD, USER};
use crate::fixtures::TestApp;
use crate::fixtures::databases::on_postgres;
use crate::fixtures::queues::redis_url;

pub(super) const PATIENCE: Duration = Duration::from_mins(1);

/// Asks until the answer is there.
pub(super) async fn until(what: &str, mut question: impl AsyncFnMut() -> Option<Value>) -> Value {
    let asked = async {
        loop {
            if let Some(answer) = question().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.unwrap_or_else(|_| panic!("it never happened: {what}"))
}

async fn list(test: &TestApp, path: &str) -> Vec<Value> {
    let reply = test.get(path).await;
    assert_eq!(reply.status, 200, "{path}: {}", reply.text);
    reply.json()["data"].as_array().expect("a list").clone()
}

/// The one job that synchronises a system, once the schedule has made it.
async fn job_of(test: &TestApp, system: &Value) -> String {
    let job = until("the schedule makes a job for the system", async || {
        let jobs = list(test, "/api/v1/jobs?kind=work_orders.sync_system&size=100").await;
        jobs.into_iter().find(|job| job["args"]["system"] == system["id"])
    })
    .await;
    job["id"].as_str().expect("an id").to_owned()
}

/// Follows a job to its end; whenever it waits for another attempt, the time that systems ask for passes and it is told not to wait.
/// Returns its end and the errors seen.
pub(super) async fn follow(test: &TestApp, clock: &Clock, id: &str) -> (Value, BTreeSet<String>) {
    let mut errors = BTreeSet::new();
    let path = format!("/api/v1/jobs/{id}");
    let end = until("the job ends", async || {
        let job = test.get(&path).await.json()["data"].take();
        if let Some(error) = job["last_error"].as_str() {
            errors.insert(error.to_owned());
        }
        match job["state"].as_str() {
            Some("scheduled") => {
                clock.advance(Duration::from_secs(1));
                test.post(&format!("{path}/retry"), json!({})).await;
                None
            }
            Some("succeeded" | "dead" | "cancelled") => Some(job),
            _ => None,
        }
    })
    .await;
    (end, errors)
}

pub(super) async fn make_system(test: &TestApp, name: &str, jira: &Jira, password: &str) -> Value {
    let body = json!({
        "name": name, "system_type": "jira", "deployment": "server", "api_url": jira.url, "username": USER,
        "password": password, "is_active": true, "sync_interval": 300,
    });
    let reply = test.post("/api/work-order-systems/", body).await;
    assert_eq!(reply.status, 201, "{}", reply.text);
    assert!(!reply.text.contains(password), "a secret is never shown: {}", reply.text);
    reply.json()["data"].take()
}

async fn tickets_come_in_and_a_wrong_password_is_seen(database: &str, queue: &str) {
    // In the past, so that what the clock says is due is due for every store.
    let clock = Clock::manual(Utc::now() - TimeDelta::hours(2));
    let settings = [("DESKHAND_DATABASE__URL", database), ("DESKHAND_QUEUE__URL", queue)];
    let test = TestApp::with_clock(&settings, clock.clone()).await;
    let jira = Jira::start(Deployment::Server, 500)
        .await
        .fault(2, Fault::RateLimited("1".into()))
        .fault(3, Fault::Status(500))
        .fault(5, Fault::Truncated);
    let good = make_system(&test, "ops jira", &jira, PASSWORD).await;
    let bad = make_system(&test, "old jira", &jira, "hunter2 is wrong").await;

    let stop = CancellationToken::new();
    let running = Running::start(&test.app, &Role::ALL, &stop).await.expect("starts");
    clock.advance(Duration::from_mins(5));

    let (end, errors) = follow(&test, &clock, &job_of(&test, &good).await).await;
    assert_eq!(end["state"], "succeeded", "{end}");
    assert_eq!(end["failures"], 2, "the 500 and the torn body; a 429 is no failure: {end}");
    assert_eq!(end["progress"], json!({"done": 500, "total": null}), "{end}");
    let noted = end["log"].as_array().and_then(|log| log.last()).expect("it noted its pages");
    assert!(noted["text"].as_str().is_some_and(|text| text.contains("500 tickets so far")), "{noted}");
    assert!(
        !errors.is_empty() && errors.iter().all(|error| error.contains("ops jira")),
        "each failure is seen and names the system: {errors:?}"
    );

    let orders = test.get(&format!("/api/work-orders/?system={}&size=200", good["id"].as_str().expect("an id"))).await;
    assert_eq!(orders.json()["total"], 500, "each ticket once");
    let logs = list(&test, &format!("/api/sync-logs/?system={}", good["id"].as_str().expect("an id"))).await;
    assert_eq!(logs.len(), 1, "one run, one log, however many attempts: {logs:?}");
    assert_eq!((&logs[0]["status"], &logs[0]["created"]), (&json!("success"), &json!(500)), "{}", logs[0]);

    let bad_job = job_of(&test, &bad).await;
    let (end, _) = follow(&test, &clock, &bad_job).await;
    assert_eq!(end["state"], "dead", "{end}");
    let dead = list(&test, "/api/v1/dead").await;
    let letter = dead.iter().find(|job| job["id"] == bad_job.as_str()).expect("it is among the dead letters");
    let error = letter["last_error"].as_str().expect("an error");
    assert!(error.contains("old jira") && !error.contains("hunter2"), "{error}");

    // The cure, as the on-call engineer would do it: the right password, and once more.
    let path = format!("/api/work-order-systems/{}/", bad["id"].as_str().expect("an id"));
    let cured = test.call("PUT", &path, Some(json!({"password": PASSWORD, "version": bad["version"]}))).await;
    assert_eq!(cured.status, 200, "{}", cured.text);
    let redriven = test.post("/api/v1/dead/redrive", json!({"ids": [bad_job]})).await;
    assert_eq!(redriven.status, 200, "{}", redriven.text);
    let (end, _) = follow_past(&test, &clock, &bad_job, "dead").await;
    assert_eq!(end["state"], "succeeded", "{end}");

    stop.cancel();
    tokio::time::timeout(PATIENCE, running.finished()).await.expect("stops in time");
}

/// Follows a job that has left an earlier end.
async fn follow_past(test: &TestApp, clock: &Clock, id: &str, earlier: &str) -> (Value, BTreeSet<String>) {
    let path = format!("/api/v1/jobs/{id}");
    until("the job leaves its earlier end", async || {
        let job = test.get(&path).await.json()["data"].take();
        (job["state"] != earlier).then_some(job)
    })
    .await;
    follow(test, clock, id).await
}

pub(super) fn file(directory: &tempfile::TempDir, name: &str) -> String {
    format!("sqlite://{}", directory.path().join(name).display())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sqlite_and_sqlite() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (database, queue) = (file(&directory, "deskhand.db"), file(&directory, "queue.db"));
    tickets_come_in_and_a_wrong_password_is_seen(&database, &queue).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sqlite_and_redis() {
    let Some(queue) = redis_url() else { return };
    let directory = tempfile::tempdir().expect("a temporary directory");
    tickets_come_in_and_a_wrong_password_is_seen(&file(&directory, "deskhand.db"), &queue).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_and_sqlite() {
    on_postgres(async |fresh| {
        let directory = tempfile::tempdir().expect("a temporary directory");
        tickets_come_in_and_a_wrong_password_is_seen(&fresh.url, &file(&directory, "queue.db")).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_and_redis() {
    let Some(queue) = redis_url() else { return };
    on_postgres(async |fresh| tickets_come_in_and_a_wrong_password_is_seen(&fresh.url, &queue).await).await;
}
