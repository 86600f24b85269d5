//! `deskhand sync` beside a process that serves.

use std::process::{Command, Output};

use deskhand::app::{Role, Running};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::fakes::jira::{Deployment, Jira, PASSWORD, USER};
use crate::fixtures::TestApp;

async fn deskhand(data: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_deskhand"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DESKHAND_")) {
        command.env_remove(name);
    }
    command.args(arguments).env("DESKHAND_DATA_DIR", data);
    // The process that runs the jobs is this one: it has to go on meanwhile.
    let run = tokio::task::spawn_blocking(move || command.output().expect("the program starts"));
    run.await.expect("it ends")
}

async fn make(test: &TestApp, name: &str, jira: &Jira, password: &str) -> String {
    let body =
        json!({"name": name, "system_type": "jira", "api_url": jira.url, "username": USER, "password": password});
    let made = test.post("/api/work-order-systems/", body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    made.json()["data"]["id"].as_str().expect("an id").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_a_sync_learns_how_it_ended() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let data = data.path().to_str().expect("plain");
    let test = TestApp::with(&[("DESKHAND_DATA_DIR", data)]).await;
    let jira = Jira::start(Deployment::Server, 30).await;
    make(&test, "good", &jira, PASSWORD).await;
    let stop = CancellationToken::new();
    let running = Running::start(&test.app, &Role::ALL, &stop).await.expect("starts");

    let output = deskhand(data, &["sync", "--all", "--wait", "--json"]).await;
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!((&told[0]["state"], &told[0]["progress"]["done"]), (&json!("succeeded"), &json!(30)), "{told}");

    let bad = make(&test, "bad", &jira, "hunter2").await;
    let output = deskhand(data, &["sync", "--system", &bad, "--wait"]).await;
    let (told, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{told}{error}");
    assert!(told.contains(" dead with 0 tickets: ") && error.contains("sync --status"), "{told}{error}");
    assert!(!format!("{told}{error}").contains("hunter2"), "{told}{error}");

    stop.cancel();
    running.finished().await;
}
