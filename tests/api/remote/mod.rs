//! Jobs for programs in other languages: remote queues, working over HTTP, many jobs at once.

mod bulk;
mod delivery;
mod isolation;
mod outcomes;
mod queues;
mod workers;

use deskhand::audit::{Filter, service};
use deskhand::base::TenantId;
use deskhand::dispatch::{Keeper, Relay};
use serde_json::{Value, json};

use crate::fixtures::TestApp;

/// A tenant's remote queue and what its workers do, with one token.
pub(super) struct Remote<'a> {
    pub(super) test: &'a TestApp,
    pub(super) token: String,
}

impl<'a> Remote<'a> {
    /// Declares the queue `images`.
    pub(super) async fn new(test: &'a TestApp) -> Self {
        Self::with(test, crate::fixtures::app::TOKEN).await
    }

    /// Declares it in the tenant of a token.
    pub(super) async fn with(test: &'a TestApp, token: &str) -> Self {
        let remote = Self { test, token: token.to_owned() };
        let declared = remote.call("PUT", "/api/v1/remote-queues/images", json!({})).await;
        assert_eq!(declared["name"], "images", "{declared}");
        remote
    }

    /// Calls and expects success.
    #[track_caller]
    pub(super) fn call(&self, method: &str, path: &str, body: Value) -> impl Future<Output = Value> {
        let at = std::panic::Location::caller();
        let (method, path) = (method.to_owned(), path.to_owned());
        async move {
            let body = (method != "GET" && method != "DELETE").then_some(body);
            let reply = self.test.call_with(&self.token, &method, &path, body).await;
            assert!(reply.status < 300, "{at}: {method} {path}: {}", reply.text);
            reply.json()["data"].clone()
        }
    }

    /// Enqueues jobs into the queue, sends them off, returns their ids.
    pub(super) async fn enqueue(&self, jobs: &[Value]) -> Vec<String> {
        let with_queue = |job: &Value| {
            let mut job = job.clone();
            job["queue"] = "images".into();
            job["kind"] = job.get("kind").cloned().unwrap_or_else(|| "image.resize".into());
            job
        };
        let jobs: Vec<Value> = jobs.iter().map(with_queue).collect();
        let made = self.call("POST", "/api/v1/jobs/bulk", json!({ "jobs": jobs })).await;
        send_off(self.test).await;
        made["ids"].as_array().expect("ids").iter().map(|id| id.as_str().expect("text").to_owned()).collect()
    }

    /// Registers a worker of the queue.
    pub(super) async fn register(&self) -> String {
        let new = json!({"name": "host:1", "queues": ["images"], "concurrency": 100});
        let told = self.call("POST", "/api/v1/workers", new).await;
        told["id"].as_str().expect("an id").to_owned()
    }

    /// Asks for one of a worker's things.
    pub(super) async fn ask(&self, worker: &str, what: &str, body: Value) -> Value {
        self.call("POST", &format!("/api/v1/workers/{worker}/{what}"), body).await
    }

    /// Claims what is there now.
    pub(super) async fn claim(&self, worker: &str, max: usize) -> Vec<Value> {
        self.ask(worker, "claim", json!({ "max": max })).await.as_array().expect("jobs").clone()
    }

    /// Settles one job; returns the answer.
    pub(super) async fn settle(&self, worker: &str, job: &Value, end: Value) -> Value {
        let mut end = end;
        (end["id"], end["lease"]) = (job["id"].clone(), job["lease"].clone());
        self.ask(worker, "settle", json!({ "results": [end] })).await[0].clone()
    }

    /// Reads a job.
    pub(super) async fn job(&self, id: &str) -> Value {
        self.call("GET", &format!("/api/v1/jobs/{id}"), Value::Null).await
    }
}

/// Brings what waits into the queue.
pub(super) async fn send_off(test: &TestApp) {
    let relay = Relay::new(test.app.db.clone(), test.app.queue.clone());
    while relay.push_due().await.expect("pushes") > 0 {}
}

/// Writes ends into the database.
pub(super) async fn keep(test: &TestApp) {
    let keeper = Keeper::new(test.app.db.clone(), test.app.queue.clone());
    while keeper.write_endings().await.expect("keeps") > 0 {}
}

/// Lets the leases of all workers run out, as 12 seconds without a beat do.
pub(super) async fn let_leases_end(test: &TestApp) {
    let file = format!("sqlite://{}", test.app.config.data_dir.join("queue.db").display());
    let file = sqlx::SqlitePool::connect(&file).await.expect("the queue's file");
    sqlx::query("UPDATE workers SET expires_ms = 1").execute(&file).await.expect("written");
    file.close().await;
}

/// Returns what was done, as the audit record has it, the first first.
pub(super) async fn noted(test: &TestApp) -> Vec<String> {
    let listed = service::list(&test.app.db, &TenantId::default(), &Filter::default(), None, 100).await;
    listed.expect("lists").into_iter().rev().map(|entry| entry.action).collect()
}
