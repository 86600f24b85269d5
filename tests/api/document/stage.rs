//! An app in which there is one of everything, and requests that fit.

use axum::body::Body;
use axum::http::{Request, header};
use deskhand_jobs::JobId;
use serde_json::{Value, json};

use crate::fakes::jira::{Deployment, Jira, PASSWORD, USER};
use crate::fixtures::TestApp;
use crate::fixtures::app::{Reply, TOKEN};
use crate::fixtures::contract::Operation;
use crate::fixtures::desk::run;

/// One of everything, in the tenant `default`.
pub(super) struct Stage {
    pub(super) test: TestApp,
    /// What another tenant must never read.
    pub(super) ids: Ids,
    _jira: Jira,
}

/// Ids of things that exist.
pub(super) struct Ids {
    pub(super) job: String,
    pub(super) system: String,
    pub(super) order: String,
    pub(super) sync_log: String,
    pub(super) window: String,
    pub(super) user: String,
    pub(super) token: String,
    pub(super) worker: String,
}

impl Ids {
    pub(super) fn all(&self) -> [&str; 8] {
        [&self.job, &self.system, &self.order, &self.sync_log, &self.window, &self.user, &self.token, &self.worker]
    }
}

impl Stage {
    /// Makes one of everything.
    pub(super) async fn new() -> Self {
        let test = TestApp::new().await;
        test.app.declare_schedules().await.expect("declares");
        let jira = Jira::start(Deployment::Server, 1).await;
        let settings = json!({"name": "jira", "api_url": jira.url, "api_key": PASSWORD, "username": USER});
        let system = id(&test.post("/api/v1/work-order-systems", settings).await.json()["data"]);
        let asked = test.post("/api/v1/work-order-systems/sync_all", json!({})).await.json();
        let job: JobId = asked["data"]["job_ids"][0].as_str().and_then(|id| id.parse().ok()).expect("a job");
        let synced = test.app.work_orders.sync_system(system.parse().expect("an id"), &run(job)).await;
        synced.expect("syncs");
        let window = test.post("/api/v1/freeze-windows", freeze_window("release")).await.json();
        let make = async |path: &str, body: Value| test.post(path, body).await.json()["data"].take();
        make("/api/v1/tenants", json!({"id": "beta"})).await;
        make("/api/v1/roles", json!({"name": "qc"})).await;
        let user = id(&make("/api/v1/users", json!({"name": "dana"})).await);
        let token = id(&make("/api/v1/tokens", json!({"name": "ci", "scopes": []})).await);
        assert_eq!(test.call("PUT", "/api/v1/remote-queues/images", Some(json!({}))).await.status, 200);
        let worker = json!({"name": "w", "queues": ["images"], "concurrency": 1});
        let worker = id(&test.post("/api/v1/workers", worker).await.json()["data"]);
        let first = async |path: &str| id(&test.get(path).await.json()["data"][0]);
        let ids = Ids {
            order: first("/api/v1/work-orders").await,
            sync_log: first("/api/v1/sync-logs").await,
            job: job.to_string(),
            system,
            window: id(&window["data"]),
            user,
            token,
            worker,
        };
        Self { test, ids, _jira: jira }
    }

    /// Returns the path of an operation with things that exist in its places.
    pub(super) fn path(&self, operation: &Operation) -> String {
        let mut path = operation.path.clone();
        for (of, place, what) in [
            ("/api/v1/jobs/", "{id}", self.ids.job.as_str()),
            ("/api/v1/dead/", "{id}", &self.ids.job),
            ("/api/v1/work-order-systems/", "{id}", &self.ids.system),
            ("/api/v1/work-orders/", "{id}", &self.ids.order),
            ("/api/v1/sync-logs/", "{id}", &self.ids.sync_log),
            ("/api/v1/users/", "{id}", &self.ids.user),
            ("/api/v1/users/", "{role}", "qc"),
            ("/api/v1/tokens/", "{id}", &self.ids.token),
            // Whose it is does not matter: there are no sessions of tokens.
            ("/api/v1/sessions/", "{id}", &self.ids.token),
            ("/api/v1/tenants/", "{id}", "beta"),
            ("/api/v1/roles/", "{name}", "qc"),
            ("/api/v1/queues/", "{name}", "default"),
            ("/api/v1/queues/", "{key}", "site"),
            ("/api/v1/schedules/", "{name}", "ledger.clean"),
            ("/api/v1/freeze-windows/", "{id}", &self.ids.window),
            ("/api/v1/remote-queues/", "{name}", "images"),
            ("/api/v1/workers/", "{id}", &self.ids.worker),
        ] {
            if path.starts_with(of) {
                path = path.replace(place, what);
            }
        }
        assert!(!path.contains('{'), "what exists for the places of {}? teach `Stage::path`", operation.path);
        path
    }

    /// Returns a body that an operation takes.
    pub(super) fn body(operation: &Operation) -> Value {
        match operation.id.as_str() {
            "enqueue_job" => json!({"kind": "work_orders.sync"}),
            "enqueue_jobs" => json!({"jobs": [{"kind": "work_orders.sync"}]}),
            "declare_remote_queue" | "beat_worker" => json!({}),
            "register_worker" => json!({"name": "w", "queues": ["images"], "concurrency": 1}),
            "claim_jobs" => json!({"max": 1}),
            "settle_jobs" => json!({"results": [{"id": JobId::new(), "lease": "x", "outcome": "done"}]}),
            "report_jobs" => json!({"reports": [{"id": JobId::new(), "lease": "x"}]}),
            "redrive_dead" => json!({"all": true}),
            "edit_dead" => json!({"args": {}}),
            "limit_queue" | "limit_remote_queue" | "fix_group" => json!({"concurrency": 5}),
            "create_schedule" => json!({"name": "own", "kind": "work_orders.sync", "cron": "0 3 * * *"}),
            "edit_schedule" => json!({"version": 1, "jitter_ms": 5000}),
            "create_freeze_window" => freeze_window("another"),
            "rewrite_freeze_window" => {
                let mut window = freeze_window("release");
                (window["version"], window["enabled"]) = (json!(1), json!(true));
                window
            }
            "pause_schedule" => json!({"reason": "a test"}),
            "create_system" => json!({
                "name": "another", "system_type": "jira", "api_url": "http://127.0.0.1:9", "username": "u", "password": "p",
            }),
            "change_system" => json!({"sync_interval": 900}),
            "update_work_order_there" => json!({"title": "a title to take there"}),
            "change_work_order" => json!({"title": "another title", "due_date": "2026-12-24"}),
            "sign_in" => json!({"name": "dana", "password": "correct horse battery"}),
            "change_me" | "change_user" => json!({"zone": "Asia/Shanghai"}),
            "change_my_password" => json!({"old": "correct horse battery", "new": "another horse battery"}),
            "create_user" => json!({"name": "eli"}),
            "set_password" => json!({"password": "correct horse battery"}),
            "grant_role" => json!({"role": "qc"}),
            "create_role" => json!({"name": "service_desk", "label": "客服"}),
            "change_role" => json!({"label": "QC"}),
            "create_token" => json!({"name": "cd", "scopes": ["access:write"]}),
            "create_tenant" => json!({"id": "gamma"}),
            "change_tenant" => json!({"name": "Beta"}),
            "add_member" => json!({"name": "dana"}),
            other => panic!("which body does {other} take? teach `Stage::body`"),
        }
    }

    /// Sends a request that fits, with a token or without.
    pub(super) async fn call(&self, operation: &Operation, token: Option<&str>) -> Reply {
        let body = operation.takes_json().then(|| Self::body(operation).to_string());
        self.send(operation, token, "application/json", body).await
    }

    /// Sends a request with a body of one's own.
    pub(super) async fn send(
        &self,
        operation: &Operation,
        token: Option<&str>,
        media_type: &str,
        body: Option<String>,
    ) -> Reply {
        let mut request = Request::builder().method(operation.method.as_str()).uri(self.path(operation));
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = match body {
            Some(body) => request.header(header::CONTENT_TYPE, media_type).body(Body::from(body)),
            None => request.body(Body::empty()),
        };
        self.test.send(request.expect("a request")).await
    }

    /// Sends a body as somebody who may do everything.
    pub(super) async fn send_body(&self, operation: &Operation, media_type: &str, body: &str) -> Reply {
        self.send(operation, Some(TOKEN), media_type, Some(body.to_owned())).await
    }
}

fn freeze_window(name: &str) -> Value {
    let (from, until) = ("2030-01-01T00:00:00Z", "2030-01-02T00:00:00Z");
    json!({"name": name, "reason": "a test", "policy": "defer", "starts_at": from, "ends_at": until})
}

fn id(of: &Value) -> String {
    of["id"].as_str().expect("an id").to_owned()
}
