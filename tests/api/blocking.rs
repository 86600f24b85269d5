//! A handler that blocks its thread harms the jobs beside it little and the API not at all.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use deskhand::app::{Role, Running};
use deskhand::db::Db;
use deskhand::dispatch::Enqueue;
use deskhand_jobs::{Envelope, Job, Options, Outcome, Registry, Run, outcome};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::fixtures::TestApp;
use crate::fixtures::databases::on_postgres;

const DEADLINE: Duration = Duration::from_secs(20);

/// Blocks a thread until the test lets it go.
#[derive(Debug, Serialize, Deserialize)]
struct Block {}

#[derive(Clone)]
struct Gate {
    db: Db,
    entered: Sender<()>,
    leave: Arc<Mutex<Receiver<()>>>,
}

impl Job for Block {
    const KIND: &'static str = "test.block";
    type Context = Gate;

    fn options(&self) -> Options {
        Options::default()
    }

    async fn run(self, gate: Gate, _: Run) -> outcome::Result {
        // A connection that the handler opens is one that the API uses later.
        gate.db.check().await?;
        let leave = Arc::clone(&gate.leave);
        gate.entered.send(()).expect("the test waits");
        leave.lock().expect("no one panicked").recv().expect("the test lets go");
        Ok(Outcome::Done)
    }
}

/// Handlers block as soon as they run, and the API goes on answering from the database and the queue.
async fn answers_beside_blocked_handlers(settings: &[(&str, &str)]) {
    const AT_ONCE: usize = 3;
    let at_once = AT_ONCE.to_string();
    let settings: Vec<_> =
        settings.iter().copied().chain([("DESKHAND_WORKER__CONCURRENCY", at_once.as_str())]).collect();
    let test = TestApp::with(&settings).await;
    let (entered, has_entered) = channel();
    let (let_go, leave) = channel();
    let mut registry = Registry::new();
    let gate = Gate { db: test.app.db.clone(), entered, leave: Arc::new(Mutex::new(leave)) };
    registry.add::<Block>(gate).expect("first");

    let stop = CancellationToken::new();
    let app = test.app.clone().with_registry(registry);
    // Nobody fires schedules here: only the jobs of this test run.
    let running = Running::start(&app, &[Role::Api, Role::Worker], &stop).await.expect("starts");
    let address = running.address().expect("serves");
    let mut tx = app.db.begin().await.expect("begins");
    for _ in 0..AT_ONCE {
        tx.enqueue(&Envelope::new(&Block {}).expect("small")).await.expect("writes");
    }
    tx.commit().await.expect("commits");
    // The others may wait behind the first, in whose thread they would have begun.
    let one_is_in = tokio::task::spawn_blocking(move || {
        has_entered.recv_timeout(DEADLINE).expect("the handler runs");
        has_entered
    });
    let has_entered = one_is_in.await.expect("a handler blocks");

    drop(rustls::crypto::ring::default_provider().install_default());
    let client = reqwest::Client::builder().timeout(DEADLINE).build().expect("a client");
    let ready = async {
        // The relay has pushed the jobs, and may not have noted its round yet.
        while client.get(format!("http://{address}/ready")).send().await.expect("answers").status() != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, ready).await.expect("gets ready");
    for path in ["/ready", "/api/v1/jobs", "/api/v1/queues", "/api/v1/workers"] {
        let url = format!("http://{address}{path}");
        for _ in 0..8 {
            let reply = client.get(&url).bearer_auth(crate::fixtures::app::TOKEN).send().await.expect("answers");
            let (status, text) = (reply.status(), reply.text().await.expect("text"));
            assert_eq!(status, 200, "{path}: {text}");
        }
    }
    (0..AT_ONCE).for_each(|_| let_go.send(()).expect("the handlers wait"));
    let others = tokio::task::spawn_blocking(move || {
        (1..AT_ONCE).for_each(|_| has_entered.recv_timeout(DEADLINE).expect("the others run"));
        has_entered
    });
    let _open = others.await.expect("all ran");
    stop.cancel();
    tokio::time::timeout(DEADLINE, running.finished()).await.expect("stops in time");
    assert!(app.worker_health().is_some_and(|worker| worker.running() == 0));
    app.close().await;
}

#[tokio::test]
async fn the_api_answers_while_handlers_block_their_threads() {
    answers_beside_blocked_handlers(&[]).await;
}

#[tokio::test]
async fn the_api_answers_while_handlers_block_their_threads_on_servers() {
    let Ok(redis) = std::env::var("DESKHAND_TEST_REDIS_URL") else { return };
    on_postgres(async |fresh| {
        let prefix = format!("test-{:016x}", rand::random::<u64>());
        let queue = format!("{redis}/7");
        let settings = [
            ("DESKHAND_DATABASE__URL", fresh.url.as_str()),
            ("DESKHAND_QUEUE__URL", &queue),
            ("DESKHAND_QUEUE__PREFIX", &prefix),
        ];
        answers_beside_blocked_handlers(&settings).await;
    })
    .await;
}
