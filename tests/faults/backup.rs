//! A backup that is made under load has everything that had been accepted, once.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use deskhand::base::Clock;
use serde_json::{Value, json};

use super::process::{Process, until};
use crate::fixtures::app::TOKEN;

/// Makes the program's settings for a data directory; its address is free a moment before.
struct Desk {
    data: String,
    listen: String,
}

impl Desk {
    fn in_directory(path: &Path) -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port");
        Self { data: path.to_str().expect("plain").to_owned(), listen: free.to_string() }
    }

    fn settings(&self) -> [(&str, &str); 4] {
        [
            ("DESKHAND_DATA_DIR", &self.data),
            ("DESKHAND_SERVER__LISTEN", &self.listen),
            ("DESKHAND_WORKER__CONCURRENCY", "2"),
            ("DESKHAND_ADMIN_TOKEN", TOKEN),
        ]
    }

    /// Serves from here on.
    fn serve(&self) -> Process {
        Process::start(&["serve"], &self.settings())
    }

    /// Runs a command and returns whether it succeeded and what it said.
    fn run(&self, arguments: &[&str]) -> (bool, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_deskhand"));
        let output = command.args(arguments).envs(self.settings()).output().expect("the program starts");
        let told = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&told).into_owned())
    }

    async fn ask(&self, client: &reqwest::Client, path: &str) -> Option<Value> {
        let url = format!("http://{}{path}", self.listen);
        client.get(url).bearer_auth(TOKEN).send().await.ok()?.json().await.ok()
    }

    /// Enqueues a job that is due so many milliseconds later; returns its id once it is accepted.
    async fn enqueue(&self, client: &reqwest::Client, later_ms: i64) -> Option<String> {
        let run_at = Clock::system().now() + chrono::TimeDelta::milliseconds(later_ms);
        let url = format!("http://{}/api/v1/jobs", self.listen);
        // Of one key only one may wait, and here each counts.
        let unique = json!({"key": format!("{:016x}", rand::random::<u64>()), "until": "started"});
        let body = json!({"kind": "work_orders.sync", "run_at": run_at, "unique": unique});
        let reply = client.post(url).bearer_auth(TOKEN).json(&body).send().await.ok()?;
        let reply: Value = reply.json().await.ok()?;
        reply["data"]["id"].as_str().map(str::to_owned)
    }
}

fn client() -> reqwest::Client {
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::new()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_accepted_before_a_backup_under_load_completes_elsewhere() {
    const ACCEPTED: usize = 300;
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (ours, theirs) = (directory.path().join("ours"), directory.path().join("theirs"));
    let backup = directory.path().join("backups/monday");
    let backup = backup.to_str().expect("plain");
    let (here, client) = (Arc::new(Desk::in_directory(&ours)), client());
    let mut serving = here.serve();
    until("the API answers", async || here.ask(&client, "/health").await).await;

    let stop = Arc::new(AtomicBool::new(false));
    let load = tokio::spawn({
        let (here, client, stop) = (Arc::clone(&here), client.clone(), Arc::clone(&stop));
        async move {
            // Some run at once and some wait, so that every state is there when the files are copied.
            for n in 0.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                here.enqueue(&client, (n % 5) * 500).await;
            }
        }
    });
    let mut accepted = Vec::new();
    for n in 0..ACCEPTED {
        accepted.extend(here.enqueue(&client, n as i64 % 4 * 700).await);
    }
    assert_eq!(accepted.len(), ACCEPTED);
    let (made, told) = tokio::task::spawn_blocking({
        let (here, backup) = (Arc::clone(&here), backup.to_owned());
        move || here.run(&["backup", &backup])
    })
    .await
    .expect("runs");
    assert!(made, "{told}");
    stop.store(true, Ordering::Relaxed);
    load.await.expect("the load ends");
    let (again, told) = here.run(&["backup", backup]);
    assert!(!again && told.contains("exists"), "{told}");
    // Over data that are in use nothing is restored, whoever insists.
    let (restored, told) = here.run(&["restore", backup, "--force"]);
    assert!(!restored && told.contains("is in use"), "{told}");
    serving.kill();

    let there = Desk::in_directory(&theirs);
    let (restored, told) = there.run(&["restore", backup]);
    assert!(restored, "{told}");
    let names: BTreeSet<String> =
        std::fs::read_dir(&theirs).expect("reads").flatten().map(|e| e.file_name().to_string_lossy().into()).collect();
    assert_eq!(names, ["deskhand.db", "queue.db", "secret.key"].map(str::to_owned).into());
    let mut serving = there.serve();
    until("the API answers", async || there.ask(&client, "/health").await).await;
    for id in &accepted {
        until("the job succeeds", async || {
            let job = there.ask(&client, &format!("/api/v1/jobs/{id}")).await?;
            (job["data"]["state"] == "succeeded").then_some(())
        })
        .await;
    }
    assert_eq!(serving.stop().await, Some(0));
}

#[test]
fn a_restore_refuses_what_would_do_harm() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let desk = Desk::in_directory(&directory.path().join("data"));
    let at = |name: &str| directory.path().join(name).to_str().expect("plain").to_owned();
    let (made, told) = desk.run(&["backup", &at("none")]);
    assert!(!made && told.contains("nothing to back up"), "{told}");
    assert!(desk.run(&["enqueue", "work_orders.sync"]).0);
    assert!(desk.run(&["backup", &at("keyless"), "--without-key"]).0 && desk.run(&["backup", &at("full")]).0);

    let (restored, told) = desk.run(&["restore", &at("full")]);
    assert!(!restored && told.contains("there are data already") && told.contains("--force"), "{told}");
    std::fs::copy(at("full/deskhand.db"), at("copy.db")).expect("copies");
    std::fs::write(at("full/deskhand.db"), "torn").expect("writes");
    let (restored, told) = desk.run(&["restore", &at("full"), "--force"]);
    assert!(!restored && told.contains("is damaged"), "{told}");
    std::fs::copy(at("copy.db"), at("full/deskhand.db")).expect("copies");

    // What is there is set aside, and is whole.
    let (restored, told) = desk.run(&["restore", &at("full"), "--force"]);
    assert!(restored && told.matches("what was there before is now").count() == 3, "{told}");
    assert!(desk.run(&["jobs", "list"]).1.contains("work_orders.sync"));
    let fresh = Desk::in_directory(&directory.path().join("other"));
    let (restored, told) = fresh.run(&["restore", &at("keyless")]);
    assert!(restored && told.contains("put it at") && told.contains("secret.key"), "{told}");
    let (restored, told) = fresh.run(&["restore", &at("nowhere")]);
    assert!(!restored && told.contains("name a directory"), "{told}");
}

#[test]
fn servers_are_backed_up_by_their_own_means() {
    for (variable, value, cure) in [
        ("DESKHAND_DATABASE__URL", "postgres://dan:hidden@127.0.0.1:1/desk", "pg_dump"),
        ("DESKHAND_QUEUE__URL", "redis://127.0.0.1:1", "needs no backup"),
    ] {
        let output =
            Command::new(env!("CARGO_BIN_EXE_deskhand")).args(["backup", "/tmp/x"]).env(variable, value).output();
        let output = output.expect("the program starts");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && told.contains(cure) && told.contains("docs/backup.md"), "{told}");
        assert!(!told.contains("hidden"), "{told}");
    }
}
