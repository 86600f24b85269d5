//! Programs in another language at work: real processes of the example in Python, which fail, are killed, and kill themselves.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use deskhand::app::{Role, Running};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::fixtures::TestApp;
use crate::fixtures::databases::on_postgres;
use crate::fixtures::queues::redis_url;

/// Four workers have to die, each 12 s after its last beat.
const PATIENCE: Duration = Duration::from_mins(3);
const PROMISE: Duration = Duration::from_secs(15);
/// A look takes its time, and so does a machine that is busy with other tests.
const SLACK: Duration = Duration::from_secs(5);

/// A process of the example; it dies with the test.
struct Program(Child);

impl Program {
    fn start(url: &str, token: &str, queue: &str, concurrency: &str) -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/demo/worker.py");
        let child = Command::new("python3")
            .arg(file)
            .args(["--queues", queue, "--concurrency", concurrency])
            .env("DESKHAND_URL", url)
            .env("DESKHAND_TOKEN", token)
            .stdout(Stdio::null())
            .spawn();
        Self(child.expect("python3 is there: it runs the example of a worker in another language"))
    }

    fn name_ends(&self) -> String {
        format!(":{}", self.0.id())
    }

    fn kill(&mut self) {
        self.0.kill().expect("SIGKILL");
        self.0.wait().expect("it ends");
    }

    fn has_ended(&mut self) -> bool {
        self.0.try_wait().expect("it is ours").is_some()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "{what} within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn enqueue(test: &TestApp, jobs: &[Value]) -> Vec<String> {
    let made = test.post("/api/v1/jobs/bulk", json!({ "jobs": jobs })).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let ids = made.json()["data"]["ids"].clone();
    ids.as_array().expect("ids").iter().map(|id| id.as_str().expect("text").to_owned()).collect()
}

async fn job(test: &TestApp, id: &str) -> Value {
    test.get(&format!("/api/v1/jobs/{id}")).await.json()["data"].clone()
}

async fn ended(test: &TestApp, id: &str) -> Value {
    until(&format!("job {id} ends"), async || {
        let job = job(test, id).await;
        matches!(job["state"].as_str(), Some("succeeded" | "dead" | "cancelled")).then_some(job)
    })
    .await
}

/// Returns the id of the worker of a process, once it has registered.
async fn worker_of(test: &TestApp, program: &Program) -> Value {
    until("the program registers", async || {
        let workers = test.get("/api/v1/workers").await.json();
        let ours = |worker: &&Value| worker["name"].as_str().is_some_and(|name| name.ends_with(&program.name_ends()));
        workers["data"].as_array()?.iter().find(ours).map(|worker| worker["id"].clone())
    })
    .await
}

/// Fifty jobs, of which one fails twice; the worker that has a long one is killed in it.
async fn fifty_jobs_and_a_killed_worker(test: &TestApp, url: &str, token: &str) {
    let mut victim = Program::start(url, token, "scripts", "4");
    let killed = worker_of(test, &victim).await;
    let long =
        enqueue(test, &[json!({"kind": "demo.wait", "queue": "scripts", "args": {"ms": 2_000}})]).await.remove(0);
    until("the long job tells how far it is", async || {
        let job = job(test, &long).await;
        (job["worker"] == killed && job["progress"]["done"].is_u64()).then_some(())
    })
    .await;
    victim.kill();
    let since = Instant::now();
    let _other = Program::start(url, token, "scripts", "4");
    until("the long job runs elsewhere", async || (job(test, &long).await["worker"] != killed).then_some(())).await;
    assert!(since.elapsed() <= PROMISE + SLACK, "it took {:?}", since.elapsed());
    let long = ended(test, &long).await;
    assert_eq!((&long["state"], &long["recoveries"], &long["failures"]), (&json!("succeeded"), &json!(1), &json!(0)));

    let echo = |n: usize| json!({"kind": "demo.echo", "queue": "scripts", "args": {"n": n}});
    let mut jobs: Vec<Value> = (0..50).map(echo).collect();
    jobs[7] = json!({"kind": "demo.flaky", "queue": "scripts", "args": {"times": 2, "after_ms": 50}});
    for (n, id) in enqueue(test, &jobs).await.iter().enumerate() {
        let job = ended(test, id).await;
        assert_eq!(job["state"], "succeeded", "{job}");
        let expected = if n == 7 { (json!({"attempt": 3}), 2) } else { (json!({"n": n}), 0) };
        assert_eq!((&job["result"], &job["failures"]), (&expected.0, &json!(expected.1)), "{job}");
    }
}

/// A job that ends the process in which it runs, again and again; somebody starts the program anew each time.
async fn poison(test: &TestApp, url: &str, token: &str) {
    let id = enqueue(test, &[json!({"kind": "demo.crash", "queue": "risky"})]).await.remove(0);
    let (mut program, mut deaths) = (Program::start(url, token, "risky", "1"), 0);
    let poisoned = until("the job is poison", async || {
        if program.has_ended() {
            deaths += 1;
            program = Program::start(url, token, "risky", "1");
        }
        let job = job(test, &id).await;
        (job["state"] == "dead").then_some(job)
    })
    .await;
    assert_eq!(
        (deaths, &poisoned["dead_reason"], &poisoned["failures"]),
        (4, &json!("poison"), &json!(0)),
        "{poisoned}"
    );
    let fine = enqueue(test, &[json!({"kind": "demo.echo", "queue": "risky"})]).await.remove(0);
    assert_eq!(ended(test, &fine).await["state"], "succeeded", "the worker is well without it");
}

async fn programs_work(settings: &[(&str, &str)]) {
    let test = TestApp::with(settings).await;
    for queue in ["scripts", "risky"] {
        let declared = test.call("PUT", &format!("/api/v1/remote-queues/{queue}"), Some(json!({}))).await;
        assert_eq!(declared.status, 200, "{}", declared.text);
    }
    let stop = CancellationToken::new();
    let running = Running::start(&test.app, &Role::ALL, &stop).await.expect("starts");
    let url = format!("http://{}", running.address().expect("serves"));
    let token = test.token_for("default", "python", "jobs:work").await;
    tokio::join!(fifty_jobs_and_a_killed_worker(&test, &url, &token), poison(&test, &url, &token));
    stop.cancel();
    running.finished().await;
}

#[tokio::test]
async fn programs_in_another_language_work_on_embedded_storage() {
    programs_work(&[]).await;
}

#[tokio::test]
async fn programs_in_another_language_work_on_servers() {
    let Some(redis) = redis_url() else { return };
    on_postgres(async |fresh| {
        let settings = [("DESKHAND_DATABASE__URL", fresh.url.as_str()), ("DESKHAND_QUEUE__URL", redis.as_str())];
        programs_work(&settings).await;
    })
    .await;
}

#[tokio::test]
async fn a_worker_may_ask_another_host_each_time() {
    let Some(redis) = redis_url() else { return };
    on_postgres(async |fresh| {
        let files = tempfile::tempdir().expect("a temporary directory");
        let key_file = files.path().join("secret.key").display().to_string();
        let settings = [
            ("DESKHAND_DATABASE__URL", fresh.url.as_str()),
            ("DESKHAND_QUEUE__URL", redis.as_str()),
            ("DESKHAND_SECRETS__KEY_FILE", key_file.as_str()),
        ];
        let (one, two) = (TestApp::with(&settings).await, TestApp::with(&settings).await);
        assert_eq!(one.call("PUT", "/api/v1/remote-queues/images", Some(json!({}))).await.status, 200);
        let new = json!({"name": "w", "queues": ["images"], "concurrency": 10});
        let worker = two.post("/api/v1/workers", new).await.json()["data"]["id"].clone();
        let path = |what: &str| format!("/api/v1/workers/{}/{what}", worker.as_str().expect("an id"));
        let claim = path("claim");
        let waiting = one.post(&claim, json!({"max": 9, "wait_ms": 15_000}));
        let brought = async {
            let ids =
                enqueue(&two, &[json!({"kind": "a.b", "queue": "images"}), json!({"kind": "a.c", "queue": "images"})])
                    .await;
            let relay = deskhand::dispatch::Relay::new(two.app.db.clone(), two.app.queue.clone());
            relay.push_due().await.expect("pushes");
            ids
        };
        let (claimed, ids) = tokio::join!(waiting, brought);
        let claimed = claimed.json()["data"].as_array().expect("jobs").clone();
        assert_eq!(
            claimed.iter().map(|job| job["id"].as_str()).collect::<Vec<_>>(),
            ids.iter().map(|id| Some(id.as_str())).collect::<Vec<_>>()
        );
        assert_eq!(two.post(&path("beat"), json!({})).await.json()["data"]["stop"], json!([]));
        assert_eq!(one.post(&format!("/api/v1/jobs/{}/cancel", ids[1]), json!({})).await.status, 200);
        assert_eq!(two.post(&path("beat"), json!({})).await.json()["data"]["stop"], json!([ids[1]]));
        let ends: Vec<Value> = claimed
            .iter()
            .zip(["done", "hand_back"])
            .map(|(job, outcome)| json!({"id": job["id"], "lease": job["lease"], "outcome": outcome}))
            .collect();
        let told = two.post(&path("settle"), json!({ "results": ends })).await.json();
        assert!(told["data"].as_array().expect("answers").iter().all(|told| told["answer"] == "applied"), "{told}");
        let again = one.post(&path("settle"), json!({ "results": ends })).await.json();
        assert!(again["data"].as_array().expect("answers").iter().all(|told| told["answer"] == "stale"), "{again}");
        assert_eq!(one.call("DELETE", path("").trim_end_matches('/'), None).await.status, 204);
        two.post(&path("beat"), json!({})).await.refused(404, "not_found");
    })
    .await;
}
