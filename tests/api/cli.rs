//! The real program on the command line.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn deskhand(data: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_deskhand"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DESKHAND_")) {
        command.env_remove(name);
    }
    command.args(arguments).env("DESKHAND_DATA_DIR", data).envs(variables.iter().copied());
    command.output().expect("the program starts")
}

#[track_caller]
fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn data() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

#[tokio::test]
async fn a_queue_that_contradicts_itself_is_shown_and_repaired() {
    let data = data();
    let run = |arguments: &[&str]| deskhand(data.path(), arguments, &[]);
    assert!(run(&["enqueue", "work_orders.sync"]).status.success());
    let text = |output: &Output| String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text(&run(&["queues", "audit"])).contains("each in exactly one place"));
    let file = format!("sqlite://{}", data.path().join("queue.db").display());
    let file = sqlx::SqlitePool::connect(&file).await.expect("the queue's file");
    sqlx::query("UPDATE queues SET dead = 7").execute(&file).await.expect("written");
    file.close().await;
    let found = json(&run(&["queues", "audit", "--json"]));
    assert_eq!(
        (&found[0]["kind"], &found[0]["what"], &found[0]["repaired"]),
        (&"count".into(), &"dead".into(), &false.into())
    );
    assert!(text(&run(&["queues", "audit", "--repair"])).contains("yes"));
    assert!(text(&run(&["queues", "audit"])).contains("each in exactly one place"));
}

#[test]
fn queues_and_groups_are_limited() {
    let data = data();
    let run = |arguments: &[&str]| deskhand(data.path(), arguments, &[]);
    let text = |output: &Output| String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(run(&["enqueue", "work_orders.sync"]).status.success());
    assert!(run(&["queues", "limit", "default", "--concurrency", "4"]).status.success());
    assert_eq!(json(&run(&["queues", "list", "--json"]))[0]["concurrency"], 4);
    assert!(run(&["queues", "limit", "default", "--none"]).status.success());
    assert_eq!(json(&run(&["queues", "list", "--json"]))[0]["concurrency"], Value::Null);
    assert!(!run(&["queues", "limit", "default"]).status.success());
    assert!(!run(&["queues", "limit", "default", "--concurrency", "0"]).status.success());

    let fix = ["queues", "limit-group", "default", "site:7", "--concurrency", "2", "--starts", "5", "--per-ms", "1000"];
    assert_eq!(text(&run(&fix)), "the limits of group site:7 are fixed\n");
    assert!(text(&run(&["queues", "groups", "default"])).contains("5 in 1000 ms, burst 1"));
    assert!(run(&["queues", "limit-group", "default", "site:7", "--none"]).status.success());
    assert_eq!(json(&run(&["queues", "groups", "default", "--json"])), Value::Array(vec![]));
}

#[test]
fn jobs_are_enqueued_listed_and_cancelled() {
    let data = data();
    let run = |arguments: &[&str]| deskhand(data.path(), arguments, &[]);
    let job = json(&run(&["enqueue", "work_orders.sync", "--priority", "low", "--json"]));
    let id = job["id"].as_str().expect("an id");
    assert_eq!((&job["state"], &job["priority"]), (&Value::from("ready"), &Value::from("low")), "{job}");
    assert_eq!(json(&run(&["jobs", "list", "--json"]))[0]["id"], id);
    assert!(String::from_utf8_lossy(&run(&["jobs", "list"]).stdout).contains("work_orders.sync"));
    let walked = json(&run(&["jobs", "list", "--state", "ready", "--cursor", "", "--json"]));
    assert_eq!((&walked["data"][0]["id"], &walked["next"]), (&Value::from(id), &Value::Null), "{walked}");
    assert!(run(&["jobs", "cancel", id]).status.success());
    assert_eq!(json(&run(&["queues", "list", "--json"]))[0]["ready"], 0);
    assert_eq!(json(&run(&["dead", "list", "--before", "2026-11-22T08:00:00Z", "--json"])), Value::Array(vec![]));
    let redriven = run(&["dead", "redrive", "--all", "--per-second", "5"]);
    assert_eq!(String::from_utf8_lossy(&redriven.stdout), "0 jobs run again\n");
    let doctor = json(&run(&["doctor", "--json"]));
    assert!(doctor.as_array().expect("a list").iter().all(|finding| finding["ok"] == true), "{doctor}");
    assert!(String::from_utf8_lossy(&run(&["token", "create", "ci"]).stdout).starts_with("dkh_"));
}

/// What is typed, what the environment adds, the exit code, and what the sentence says.
type Case = (&'static [&'static str], &'static [(&'static str, &'static str)], i32, &'static str);

#[test]
fn the_doctor_finds_what_would_stop_the_scheduler() {
    let data = data();
    assert!(deskhand(data.path(), &["migrate"], &[]).status.success());
    let file = data.path().join("wrong.toml");
    std::fs::write(&file, "[schedules.nightly]\nkind = \"work_orders.snyc\"\ncron = \"9 * * * *\"\n").expect("written");
    let path = file.to_str().expect("plain");
    let output = deskhand(data.path(), &["doctor", "--config", path], &[]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("schedules.nightly.kind") && text.contains("work_orders.sync_system"), "{text}");
}

#[test]
fn what_is_wrong_is_one_sentence_with_the_cure() {
    let data = data();
    let cases: [Case; 13] = [
        (&["queues", "list"], &[("DESKHAND_SERVR", "x")], 1, "there is no setting servr"),
        (&["queues", "list"], &[("DESKHAND_LOG", "no=such=filter")], 1, "log.filter is"),
        (&["queues", "list", "--config", "/nowhere.toml"], &[], 1, "--config"),
        (&["enqueue", "a.b"], &[], 1, "the kinds are ledger.clean"),
        (&["enqueue", "work_orders.sync", "--args", "{"], &[], 1, "--args is not JSON"),
        (&["queues", "list"], &[("DESKHAND_QUEUE__URL", "redis://127.0.0.1:1")], 1, "check queue.url"),
        (&["queues", "list"], &[("DESKHAND_DATA_DIR", "/proc/none")], 1, "set data_dir"),
        (&["dead", "redrive", "019aa8c2-7c1e-7000-8000-000000000000"], &[], 1, "none of them is dead"),
        (&["queues", "list"], &[("DESKHAND_DATABASE__URL", "postgres://127.0.0.1:1/x")], 1, "is the server up"),
        (&["dead", "redrive"], &[], 2, "--all"),
        (&["dead", "redrive", "--per-second", "5"], &[], 2, "--all"),
        (&["dead", "edit", "019aa8c2-7c1e-7000-8000-000000000000", "--args", "{"], &[], 1, "--args is not JSON"),
        (&["dead", "edit", "019aa8c2-7c1e-7000-8000-000000000000", "--args", "{}"], &[], 1, "there is no job"),
    ];
    for (arguments, variables, code, expected) in cases {
        let output = deskhand(data.path(), arguments, variables);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        assert!(text.contains(expected), "{arguments:?}: {text}");
    }
}
