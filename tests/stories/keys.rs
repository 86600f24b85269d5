//! The key of the secrets is changed while synchronisations go on, as on several hosts without a stop.

use chrono::{TimeDelta, Utc};
use deskhand::app::{App, Role, Running};
use deskhand::base::{Actor, Clock, Key};
use deskhand::config;
use deskhand::secrets::{rotate, status};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::sync::{PATIENCE, file, follow, make_system, until};
use crate::fakes::jira::{Deployment, Jira, PASSWORD};
use crate::fixtures::TestApp;
use crate::fixtures::databases::on_postgres;
use crate::fixtures::queues::redis_url;

/// A process on the common database and queue, with keys of its own.
struct Host<'a> {
    database: &'a str,
    queue: &'a str,
    clock: Clock,
}

impl Host<'_> {
    fn settings(&self, current: &Key, older: Option<&Key>) -> Vec<(&'static str, String)> {
        vec![
            ("DESKHAND_DATABASE__URL", self.database.to_owned()),
            ("DESKHAND_QUEUE__URL", self.queue.to_owned()),
            ("DESKHAND_SECRETS__KEY", current.to_text().expose().to_owned()),
            (
                "DESKHAND_SECRETS__PREVIOUS_KEYS",
                older.map_or_else(String::new, |key| key.to_text().expose().to_owned()),
            ),
        ]
    }

    async fn start(&self, current: &Key, older: Option<&Key>) -> TestApp {
        let settings = self.settings(current, older);
        let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        TestApp::with_clock(&settings, self.clock.clone()).await
    }

    async fn refusal(&self, current: &Key) -> String {
        let settings = self.settings(current, None).into_iter().map(|(name, value)| (name.to_owned(), value));
        let config = config::load(None, settings).expect("valid settings");
        App::open_with(config, self.clock.clone()).await.err().expect("refused").to_string()
    }
}

/// Asks for a synchronisation; returns its job.
async fn ask(test: &TestApp, system: &Value) -> String {
    let body = json!({"kind": "work_orders.sync_system", "args": {"system": system["id"]}});
    let reply = test.post("/api/v1/jobs", body).await;
    assert!((200..300).contains(&reply.status), "{}", reply.text);
    reply.json()["data"]["id"].as_str().expect("an id").to_owned()
}

async fn syncs(test: &TestApp, clock: &Clock, system: &Value) {
    let (end, errors) = follow(test, clock, &ask(test, system).await).await;
    assert_eq!(end["state"], "succeeded", "{end} {errors:?}");
}

async fn the_key_changes_while_syncs_go_on(database: &str, queue: &str) {
    let clock = Clock::manual(Utc::now() - TimeDelta::hours(2));
    let host = Host { database, queue, clock: clock.clone() };
    let (old, new) = (Key::fresh(), Key::fresh());
    let jira = Jira::start(Deployment::Server, 20).await;

    // Every host has learnt to open the new key; this one works.
    let worker = host.start(&old, Some(&new)).await;
    let system = make_system(&worker, "first", &jira, PASSWORD).await;
    let stop = CancellationToken::new();
    let running = Running::start(&worker.app, &Role::ALL, &stop).await.expect("starts");
    syncs(&worker, &clock, &system).await;

    // Another host seals under the new key. While a synchronisation is under way it seals everything anew.
    let ahead = host.start(&new, Some(&old)).await;
    let second = make_system(&ahead, "second", &jira, PASSWORD).await;
    jira.hold(true);
    let before = jira.requests();
    let job = ask(&worker, &system).await;
    until("the synchronisation asks", async || (jira.requests() > before).then_some(Value::Null)).await;
    let actor = Actor::terminal(ahead.app.tenant());
    let done = rotate(&ahead.app.db, &ahead.app.vault, &actor, 1).await.expect("rotates");
    assert_eq!((done.resealed, done.left, done.retired), (1, 0, 1), "{done:?}");
    jira.hold(false);
    let (end, errors) = follow(&worker, &clock, &job).await;
    assert_eq!(end["state"], "succeeded", "{end} {errors:?}");

    // The host that still seals under the old key opens what is under the new one, and what it seals is found.
    syncs(&worker, &clock, &system).await;
    syncs(&worker, &clock, &second).await;
    let third = make_system(&worker, "third", &jira, PASSWORD).await;
    let counts = status(&ahead.app.db, &ahead.app.vault).await.expect("counts");
    assert_eq!(counts.iter().filter(|count| !count.current).map(|count| count.texts).sum::<i64>(), 1, "{counts:?}");
    stop.cancel();
    tokio::time::timeout(PATIENCE, running.finished()).await.expect("stops in time");
    let done = rotate(&ahead.app.db, &ahead.app.vault, &actor, 100).await.expect("rotates");
    assert_eq!((done.resealed, done.left), (1, 0), "{done:?}");

    // The old key is dropped; who has only that is sent away, and everything works without it.
    let refusal = host.refusal(&old).await;
    assert!(refusal.contains(new.id().as_str()) && refusal.contains(old.id().as_str()), "{refusal}");
    let alone = host.start(&new, None).await;
    let stop = CancellationToken::new();
    let running = Running::start(&alone.app, &Role::ALL, &stop).await.expect("starts");
    for system in [&system, &second, &third] {
        syncs(&alone, &clock, system).await;
    }
    stop.cancel();
    tokio::time::timeout(PATIENCE, running.finished()).await.expect("stops in time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sqlite() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    the_key_changes_while_syncs_go_on(&file(&directory, "deskhand.db"), &file(&directory, "queue.db")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_and_redis() {
    let Some(queue) = redis_url() else { return };
    on_postgres(async |fresh| the_key_changes_while_syncs_go_on(&fresh.url, &queue).await).await;
}
