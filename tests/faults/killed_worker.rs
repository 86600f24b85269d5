//! A worker is killed in mid-run: its job runs elsewhere within 15 seconds.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::fixtures::TestApp;
use crate::fixtures::databases::on_postgres;

const PROMISE: Duration = Duration::from_secs(15);
/// A look takes its time, and so does a machine that is busy with other tests.
const SLACK: Duration = Duration::from_secs(3);
const DEADLINE: Duration = Duration::from_secs(30);

/// A worker process; it dies with the test.
struct Process(Child);

impl Process {
    fn start(settings: &[(&str, &str)]) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_deskhand"))
            .args(["worker", "--concurrency", "2"])
            .env_remove("DESKHAND_ADMIN_TOKEN")
            .envs(settings.iter().copied())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(child.expect("the program starts"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Asks until the answer is there.
async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(start.elapsed() < DEADLINE, "{what} within {DEADLINE:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Returns the worker that runs the job.
async fn runner(test: &TestApp, job: &str) -> Option<Value> {
    let job = test.get(&format!("/api/v1/jobs/{job}")).await.json()["data"].clone();
    (job["state"] == "running").then(|| job["worker"].clone())
}

#[tokio::test]
async fn the_job_of_a_killed_worker_runs_elsewhere_within_15_seconds() {
    let Ok(redis) = std::env::var("DESKHAND_TEST_REDIS_URL") else { return };
    on_postgres(async |fresh| {
        let keys = tempfile::tempdir().expect("a temporary directory");
        let key_file = keys.path().join("secret.key").display().to_string();
        let queue = format!("{redis}/6");
        let settings = [
            ("DESKHAND_DATABASE__URL", fresh.url.as_str()),
            ("DESKHAND_QUEUE__URL", queue.as_str()),
            ("DESKHAND_SECRETS__KEY_FILE", key_file.as_str()),
        ];
        let test = TestApp::with(&settings).await;
        // A system that takes calls and never answers: its job runs until somebody stops it.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", silent.local_addr().expect("bound"));
        let system = json!({
            "name": "silent", "system_type": "jira", "deployment": "server", "api_url": url, "username": "u",
            "password": "p", "sync_interval": 300,
        });
        let system = test.post("/api/v1/work-order-systems", system).await.json();

        let mut processes = [Process::start(&settings), Process::start(&settings)];
        let workers = until("two workers are alive", async || {
            let workers = test.get("/api/v1/workers").await.json();
            (workers["total"] == 2).then(|| workers["data"].clone())
        })
        .await;
        let wanted = json!({"kind": "work_orders.sync_system", "args": {"system": system["data"]["id"]}});
        let job = test.post("/api/v1/jobs", wanted).await.json();
        let job = job["data"]["id"].as_str().expect("a job").to_owned();
        let first = until("the job runs", async || runner(&test, &job).await).await;

        let all = workers.as_array().expect("a list");
        let name = all.iter().find(|worker| worker["id"] == first).expect("one of the two")["name"].clone();
        let pid = name.as_str().and_then(|name| name.rsplit(':').next()?.parse::<u32>().ok()).expect("host:pid");
        let process = processes.iter_mut().find(|process| process.0.id() == pid).expect("one of ours");
        process.0.kill().expect("SIGKILL");
        let killed = Instant::now();
        let second =
            until("the job runs elsewhere", async || runner(&test, &job).await.filter(|id| *id != first)).await;
        assert!(killed.elapsed() <= PROMISE + SLACK, "it took {:?}", killed.elapsed());
        assert!(all.iter().any(|worker| worker["id"] == second), "{second} is the other one");
        let seen = test.get(&format!("/api/v1/jobs/{job}")).await.json();
        assert_eq!((&seen["data"]["recoveries"], &seen["data"]["failures"]), (&json!(1), &json!(0)), "{seen}");
    })
    .await;
}
