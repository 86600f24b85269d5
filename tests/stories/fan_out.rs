//! A large system is read for the first time: in parts, by two workers, and one log tells of it.

use std::collections::BTreeMap;

use deskhand::app::{Role, Running};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::sync::until;
use crate::fakes::jira::{Deployment, Issue, Jira, PASSWORD, USER};
use crate::fakes::redmine;
use crate::fixtures::{Pair, TestApp, on_every_pair};

const TICKETS: u64 = 2_400;
const PARTS: usize = 6;

/// Two processes of the program.
struct Site {
    test: TestApp,
    _other: TestApp,
    running: Vec<Running>,
    stop: CancellationToken,
}

impl Site {
    async fn start(pair: &Pair, files: &tempfile::TempDir) -> Self {
        let key_file = files.path().join("secret.key").display().to_string();
        let mut settings = pair.settings().to_vec();
        settings.extend([
            ("DESKHAND_SECRETS__KEY_FILE", key_file.as_str()),
            ("DESKHAND_WORK_ORDERS__FAN_OUT__FROM_TICKETS", "1000"),
            ("DESKHAND_WORK_ORDERS__FAN_OUT__PARTS", "6"),
            // One that fails for long is to be dead soon, not left alone.
            ("DESKHAND_OUTBOUND__CIRCUIT_FAILURES", "0"),
        ]);
        let (test, other) = (TestApp::with(&settings).await, TestApp::with(&settings).await);
        let stop = CancellationToken::new();
        let all = Running::start(&test.app, &Role::ALL, &stop).await.expect("starts");
        let worker = Running::start(&other.app, &[Role::Worker], &stop).await.expect("starts");
        Self { test, _other: other, running: vec![all, worker], stop }
    }

    async fn finish(self) {
        self.stop.cancel();
        for running in self.running {
            running.finished().await;
        }
    }

    async fn list(&self, path: &str) -> Vec<Value> {
        let reply = self.test.get(path).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text);
        reply.json()["data"].as_array().expect("a list").clone()
    }

    async fn system(&self, body: Value) -> String {
        let reply = self.test.post("/api/work-order-systems/", body).await;
        assert_eq!(reply.status, 201, "{}", reply.text);
        reply.json()["data"]["id"].as_str().expect("an id").to_owned()
    }

    async fn ask(&self, system: &str) -> Value {
        let reply = self.test.post(&format!("/api/work-order-systems/{system}/sync/"), json!({})).await;
        assert!(reply.status < 300, "{}", reply.text);
        reply.json()["data"].take()
    }

    async fn logs(&self, system: &str) -> Vec<Value> {
        self.list(&format!("/api/sync-logs/?system={system}&size=100")).await
    }

    /// Asks for runs until so many have ended; jobs that wait for another attempt are told not to. Returns the latest log.
    async fn run(&self, system: &str, nth: usize) -> Value {
        self.ask(system).await;
        until("the run ends", async || {
            for job in self.list("/api/v1/jobs?state=scheduled&kind=work_orders.sync_part&size=100").await {
                self.test.post(&format!("/api/v1/jobs/{}/retry", job["id"].as_str().expect("an id")), json!({})).await;
            }
            let logs = self.logs(system).await;
            (logs.len() == nth && logs.iter().all(|log| log["status"] != "pending")).then(|| logs[0].clone())
        })
        .await
    }

    /// Reads what is here of a system: ids and titles.
    async fn here(&self, system: &str) -> BTreeMap<String, String> {
        let mut here = BTreeMap::new();
        for page in 1.. {
            let part = self.list(&format!("/api/work-orders/?system={system}&size=200&page={page}")).await;
            if part.is_empty() {
                break;
            }
            let text = |value: &Value| value.as_str().expect("text").to_owned();
            here.extend(part.iter().map(|order| (text(&order["external_id"]), text(&order["title"]))));
        }
        here
    }

    async fn parts(&self) -> Vec<Value> {
        self.list("/api/v1/jobs?kind=work_orders.sync_part&size=100").await
    }
}

async fn of_jira(site: &Site, jira: &Jira, deployment: &str) -> String {
    site.system(json!({
        "name": "big jira", "system_type": "jira", "deployment": deployment, "api_url": jira.url, "username": USER,
        "password": PASSWORD, "sync_interval": 86400,
    }))
    .await
}

fn there(jira: &Jira) -> BTreeMap<String, String> {
    let mut there = BTreeMap::new();
    jira.edit(|issues| there.extend(issues.iter().map(|issue| (issue.id.to_string(), issue.summary.clone()))));
    there
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_system_is_read_in_parts_and_has_one_log() {
    on_every_pair(async |pair| {
        let files = tempfile::tempdir().expect("a temporary directory");
        let site = Site::start(&pair, &files).await;
        let jira = Jira::start(Deployment::Server, TICKETS).await;
        // Somebody works in it meanwhile.
        jira.edit_while_paging(|search, issues| {
            let latest = issues.iter().map(|issue| issue.updated_ms).max().expect("some");
            let touched: &mut Issue = &mut issues[search * 37];
            touched.summary = format!("touched {search}");
            touched.updated_ms = latest + 1_000;
        });
        let redmine = redmine::start(TICKETS, false).await;
        let of_jira = of_jira(&site, &jira, "server").await;
        let api_url = redmine.server.url.as_str();
        let of_redmine = json!({"name": "big redmine", "system_type": "redmine", "api_url": api_url, "api_key": redmine::KEY,
                                "sync_interval": 86400});
        let of_redmine = site.system(of_redmine).await;
        for system in [&of_jira, &of_redmine] {
            let log = site.run(system, 1).await;
            assert_eq!((&log["status"], &log["created"]), (&json!("success"), &json!(TICKETS)), "{log}");
        }
        let parts = site.parts().await;
        assert_eq!(parts.len(), 2 * PARTS);
        assert!(parts.iter().all(|job| job["state"] == "succeeded" && job["batch"].is_string()), "{parts:?}");
        assert_eq!(site.here(&of_redmine).await.len() as u64, TICKETS);
        // What changed while it was read, and was not read again then, comes with the next run, which is small.
        jira.edit_while_paging(|_, _| {});
        let log = site.run(&of_jira, 2).await;
        assert_eq!((&log["status"], &log["created"]), (&json!("success"), &json!(0)), "{log}");
        assert_eq!(site.parts().await.len(), 2 * PARTS, "a small run is one job");
        assert_eq!(site.here(&of_jira).await, there(&jira));
        site.finish().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_that_fails_leaves_the_rest_stored_and_the_next_run_fills_the_gap() {
    on_every_pair(async |pair| {
        let files = tempfile::tempdir().expect("a temporary directory");
        let site = Site::start(&pair, &files).await;
        let jira = Jira::start(Deployment::Server, TICKETS).await.max_results(50);
        let mut dates = Vec::new();
        jira.edit(|issues| dates.extend(issues.iter().map(|issue| issue.updated_ms)));
        dates.sort_unstable();
        // The middle of the third part.
        let (from, until_ms) = (dates[1_000], dates[1_100]);
        jira.break_searches(move |jql| {
            let since =
                jql.strip_prefix("updated >= ").and_then(|rest| rest.split(' ').next()).and_then(|ms| ms.parse().ok());
            jql.contains(" AND ") && since.is_some_and(|since: i64| (from..until_ms).contains(&since))
        });
        let system = of_jira(&site, &jira, "server").await;
        let log = site.run(&system, 1).await;
        assert_eq!(log["status"], "failed", "{log}");
        let why = log["error_message"].as_str().expect("a reason");
        assert!(why.starts_with("part 3 of 6") && why.contains("500"), "{why}");
        let stored = site.here(&system).await.len() as u64;
        assert!(stored > TICKETS * 4 / 5 && stored < TICKETS, "{stored} are stored, from behind the gap, too");
        let shown = site.test.get(&format!("/api/work-order-systems/{system}/")).await.json()["data"].take();
        let mark = chrono::DateTime::parse_from_rfc3339(shown["cursor_at"].as_str().expect("a mark")).expect("a date");
        assert!(mark.timestamp_millis() < until_ms, "the mark stays before the gap: {mark}");
        assert_eq!(shown["failure_streak"], 1, "{shown}");

        jira.break_searches(|_| false);
        let log = site.run(&system, 2).await;
        assert_eq!((&log["status"], &log["created"]), (&json!("success"), &json!(TICKETS - stored)), "{log}");
        assert_eq!(site.here(&system).await, there(&jira));
        site.finish().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_begins_another_run_while_one_is_read_in_parts() {
    on_every_pair(async |pair| {
        let files = tempfile::tempdir().expect("a temporary directory");
        let site = Site::start(&pair, &files).await;
        let jira = Jira::start(Deployment::Cloud, TICKETS).await;
        let system = of_jira(&site, &jira, "cloud").await;
        let first = site.ask(&system).await;
        until("it goes on in parts", async || {
            let parts = site.parts().await;
            jira.hold(!parts.is_empty());
            (parts.len() == PARTS).then_some(json!(true))
        })
        .await;
        let joined = site.ask(&system).await;
        assert_eq!(joined["joined"], true, "{joined}");
        assert_ne!(joined["job_id"], first["job_id"], "it is the job that ends the run");
        let closing = joined["job_id"].as_str().expect("an id").to_owned();
        let explained = site.test.get(&format!("/api/v1/jobs/{closing}/explain")).await.json();
        assert_eq!(explained["data"][0]["code"], "waits_for_batch", "{explained}");
        // Past the one door as well.
        let beside = json!({"kind": "work_orders.sync_system", "args": {"system": system}});
        let beside = site.test.post("/api/v1/jobs", beside).await.json()["data"]["id"].take();
        let path = format!("/api/v1/jobs/{}", beside.as_str().expect("an id"));
        let ended = until("it stands back", async || {
            let job = site.test.get(&path).await.json()["data"].take();
            (job["state"] == "cancelled").then_some(job)
        })
        .await;
        assert!(ended["last_error"].as_str().is_some_and(|why| why.contains(&closing)), "{ended}");
        jira.hold(false);
        let end = until("the run ends", async || {
            let job = site.test.get(&format!("/api/v1/jobs/{closing}")).await.json()["data"].take();
            (job["state"] == "succeeded").then_some(job)
        })
        .await;
        assert_eq!(end["progress"]["done"], TICKETS, "{end}");
        let logs = site.logs(&system).await;
        assert_eq!(logs.len(), 1, "{logs:?}");
        assert_eq!(site.here(&system).await, there(&jira));
        site.finish().await;
    })
    .await;
}
