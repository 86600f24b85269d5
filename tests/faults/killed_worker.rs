//! Two schedulers and two workers on one Redis and one PostgreSQL; one of each is killed in the middle of everything.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::process::{Process, until};
use crate::fakes::jira::{Deployment, Jira, PASSWORD, USER};
use crate::fixtures::TestApp;
use crate::fixtures::databases::on_postgres;

const PROMISE: Duration = Duration::from_secs(15);
/// A look takes its time, and so does a machine that is busy with other tests.
const SLACK: Duration = Duration::from_secs(3);
const SYSTEMS: usize = 6;

/// A slot every second, so that many come in the time that a lease takes to run out.
const TICK: &str = "[schedules.tick]\nkind = \"work_orders.sync\"\ncron = \"@every 1s\"\noverlap = \"allow\"\ncatch_up = \"all\"\n\
                    catch_up_max = 100\n[schedules.\"work_orders.sync\"]\nenabled = false\n";

async fn list(test: &TestApp, path: &str) -> Vec<Value> {
    let reply = test.get(path).await;
    reply.json()["data"].as_array().unwrap_or_else(|| panic!("{path}: {}", reply.text)).clone()
}

/// Returns which worker runs which of the jobs that synchronise a system.
async fn runners(test: &TestApp) -> BTreeMap<String, String> {
    let running = list(test, "/api/v1/jobs?state=running&kind=work_orders.sync_system&size=100").await;
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    running.iter().map(|job| (text(&job["id"]), text(&job["worker"]))).collect()
}

/// Reads all pages of the slots of the tick.
async fn slots(test: &TestApp) -> Vec<Value> {
    let mut slots = Vec::new();
    for page in 1.. {
        let part = test.get(&format!("/api/v1/schedules/tick/slots?size=200&page={page}")).await.json();
        slots.extend(part["data"].as_array().expect("slots").clone());
        if part["next"].is_null() {
            break;
        }
    }
    slots
}

#[tokio::test]
async fn a_killed_worker_and_a_killed_scheduler_lose_nothing_and_double_nothing() {
    let Ok(redis) = std::env::var("DESKHAND_TEST_REDIS_URL") else { return };
    on_postgres(async |fresh| {
        let files = tempfile::tempdir().expect("a temporary directory");
        let config = files.path().join("tick.toml");
        std::fs::write(&config, TICK).expect("written");
        let config = config.to_str().expect("plain");
        let key_file = files.path().join("secret.key").display().to_string();
        let (queue, prefix) = (format!("{redis}/6"), format!("killed-{:016x}", rand::random::<u64>()));
        let settings = [
            ("DESKHAND_DATABASE__URL", fresh.url.as_str()),
            ("DESKHAND_QUEUE__URL", queue.as_str()),
            ("DESKHAND_QUEUE__PREFIX", prefix.as_str()),
            ("DESKHAND_SECRETS__KEY_FILE", key_file.as_str()),
        ];
        let test = TestApp::with(&settings).await;
        let jira = Jira::start(Deployment::Server, 5).await;
        jira.hold(true);
        for n in 0..SYSTEMS {
            let system = json!({
                "name": format!("jira {n}"), "system_type": "jira", "deployment": "server", "api_url": jira.url.as_str(),
                "username": USER, "password": PASSWORD, "sync_interval": 86400,
            });
            assert_eq!(test.post("/api/v1/work-order-systems", system).await.status, 201);
        }

        let mut workers = [(); 2].map(|()| Process::start(&["worker", "--concurrency", "8"], &settings));
        let alive = until("two workers are alive", async || {
            let workers = list(&test, "/api/v1/workers").await;
            (workers.len() == 2).then_some(workers)
        })
        .await;
        let mut schedulers = [(); 2].map(|()| Process::start(&["scheduler", "--config", config], &settings));
        let before = until("every system is being synchronised", async || {
            let runners = runners(&test).await;
            (runners.len() == SYSTEMS).then_some(runners)
        })
        .await;

        // The worker that has the most in its hands, and a scheduler.
        let count = |id: &str| before.values().filter(|worker| *worker == id).count();
        let of = |worker: &Value, field: &str| worker[field].as_str().expect("text").to_owned();
        let victim = alive.iter().max_by_key(|worker| count(&of(worker, "id"))).expect("two workers");
        let (victim, name) = (of(victim, "id"), of(victim, "name"));
        assert!(count(&victim) >= SYSTEMS / 2, "{before:?}");
        let pid: u32 = name.rsplit(':').next().and_then(|pid| pid.parse().ok()).expect("host:pid");
        workers.iter_mut().find(|process| process.id() == pid).expect("one of ours").kill();
        let killed = Instant::now();
        schedulers[0].kill();
        let after = until("the jobs of the killed worker run elsewhere", async || {
            let runners = runners(&test).await;
            (runners.len() == SYSTEMS && runners.values().all(|worker| *worker != victim)).then_some(runners)
        })
        .await;
        assert!(killed.elapsed() <= PROMISE + SLACK, "it took {:?}", killed.elapsed());
        assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());

        jira.hold(false);
        for (id, worker) in &before {
            let job = until("the job succeeds", async || {
                let job = test.get(&format!("/api/v1/jobs/{id}")).await.json()["data"].take();
                (job["state"] == "succeeded").then_some(job)
            })
            .await;
            let recoveries = u32::from(*worker == victim);
            assert_eq!((&job["recoveries"], &job["failures"]), (&json!(recoveries), &json!(0)), "{job}");
        }
        let orders = test.get("/api/v1/work-orders").await.json();
        assert_eq!(orders["total"], SYSTEMS * 5, "every ticket once");

        // Whoever is left stops as told.
        assert_eq!(schedulers[1].stop().await, Some(0));
        let left = workers.iter_mut().find(|process| process.id() != pid).expect("the other");
        until("the last ticks have run", async || {
            let waiting = test.get("/api/v1/queues/default").await.json()["data"].take();
            (waiting["ready"] == 0 && waiting["running"] == 0).then_some(())
        })
        .await;
        assert_eq!(left.stop().await, Some(0));
        every_slot_fired_once(&test).await;
    })
    .await;
}

async fn every_slot_fired_once(test: &TestApp) {
    let slots = slots(test).await;
    let instant = |slot: &Value| slot["slot_at"].as_str().expect("an instant").parse::<chrono::DateTime<chrono::Utc>>();
    let seconds: BTreeSet<i64> = slots.iter().map(|slot| instant(slot).expect("an instant").timestamp()).collect();
    let (first, last) = (seconds.first().expect("a slot"), seconds.last().expect("a slot"));
    assert_eq!(seconds.len(), slots.len(), "no slot twice");
    assert_eq!(last - first + 1, slots.len() as i64, "no slot left out: {slots:?}");
    assert!(slots.iter().all(|slot| slot["outcome"] == "fired"), "{slots:?}");
    let jobs = test.get("/api/v1/jobs?kind=work_orders.sync&size=1").await.json();
    assert_eq!(jobs["total"], slots.len(), "one job for each slot");
}
