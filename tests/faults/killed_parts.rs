//! A large first run is read in parts by two workers, and one of them is killed in the middle.

use serde_json::{Value, json};

use super::process::{Process, until};
use crate::fakes::jira::{Deployment, Jira, PASSWORD, USER};
use crate::fixtures::TestApp;
use crate::fixtures::databases::on_postgres;

const TICKETS: u64 = 2_400;

async fn list(test: &TestApp, path: &str) -> Vec<Value> {
    let reply = test.get(path).await;
    reply.json()["data"].as_array().unwrap_or_else(|| panic!("{path}: {}", reply.text)).clone()
}

#[tokio::test]
async fn a_worker_that_is_killed_among_the_parts_of_a_run_costs_no_ticket_and_no_second_log() {
    let Ok(redis) = std::env::var("DESKHAND_TEST_REDIS_URL") else { return };
    on_postgres(async |fresh| {
        let files = tempfile::tempdir().expect("a temporary directory");
        let key_file = files.path().join("secret.key").display().to_string();
        let (queue, prefix) = (format!("{redis}/6"), format!("parts-{:016x}", rand::random::<u64>()));
        let settings = [
            ("DESKHAND_DATABASE__URL", fresh.url.as_str()),
            ("DESKHAND_QUEUE__URL", queue.as_str()),
            ("DESKHAND_QUEUE__PREFIX", prefix.as_str()),
            ("DESKHAND_SECRETS__KEY_FILE", key_file.as_str()),
            ("DESKHAND_WORK_ORDERS__FAN_OUT__FROM_TICKETS", "1000"),
            ("DESKHAND_WORK_ORDERS__FAN_OUT__PARTS", "6"),
            ("DESKHAND_WORK_ORDERS__FAN_OUT__AT_ONCE", "6"),
        ];
        let test = TestApp::with(&settings).await;
        // Small pages: a part has to last until its progress is seen, which is told about once a second.
        let jira = Jira::start(Deployment::Server, TICKETS).await.max_results(10);
        // Workers with three places each: neither can have all parts.
        let mut workers = [(); 2].map(|()| Process::start(&["worker", "--concurrency", "3"], &settings));
        let mut scheduler = Process::start(&["scheduler"], &settings);
        let system = json!({
            "name": "big jira", "system_type": "jira", "deployment": "server", "api_url": jira.url.as_str(),
            "username": USER, "password": PASSWORD, "sync_interval": 86400,
        });
        let made = test.post("/api/v1/work-order-systems", system).await;
        assert_eq!(made.status, 201, "{}", made.text);
        let system = made.json()["data"]["id"].as_str().expect("an id").to_owned();
        test.post(&format!("/api/v1/work-order-systems/{system}/sync"), json!({})).await;

        let running = "/api/v1/jobs?state=running&kind=work_orders.sync_part&size=100";
        let before = until("all parts are being read, some pages are stored", async || {
            let parts = list(&test, running).await;
            let read = parts.iter().filter(|part| part["progress"]["done"].as_u64() > Some(0)).count();
            jira.hold(read >= 2);
            (parts.len() == 6 && read >= 2).then_some(parts)
        })
        .await;
        let victim = before[0]["worker"].as_str().expect("a worker").to_owned();
        let alive = list(&test, "/api/v1/workers").await;
        let name = alive.iter().find(|worker| worker["id"] == victim.as_str()).expect("it is alive")["name"].clone();
        let pid: u32 = name.as_str().and_then(|name| name.rsplit(':').next()?.parse().ok()).expect("host:pid");
        workers.iter_mut().find(|process| process.id() == pid).expect("one of ours").kill();
        jira.hold(false);

        let logs = until("the run ends", async || {
            let logs = list(&test, &format!("/api/sync-logs/?system={system}")).await;
            logs.iter().all(|log| log["status"] != "pending").then_some(logs)
        })
        .await;
        assert_eq!(logs.len(), 1, "{logs:?}");
        assert_eq!((&logs[0]["status"], &logs[0]["created"]), (&json!("success"), &json!(TICKETS)), "{}", logs[0]);
        let orders = test.get("/api/v1/work-orders").await.json();
        assert_eq!(orders["total"], TICKETS, "every ticket once");
        let parts = list(&test, "/api/v1/jobs?kind=work_orders.sync_part&size=100").await;
        assert_eq!(parts.len(), 6);
        assert!(parts.iter().all(|part| part["state"] == "succeeded"), "{parts:?}");
        let recovered = parts.iter().filter(|part| part["recoveries"] == 1).count();
        let of_victim = before.iter().filter(|part| part["worker"] == victim.as_str()).count();
        assert_eq!(recovered, of_victim, "what the killed worker had, and nothing else: {parts:?}");
        assert_eq!(list(&test, "/api/v1/jobs?kind=work_orders.close_sync&size=100").await.len(), 1);
        assert_eq!(scheduler.stop().await, Some(0));
    })
    .await;
}
