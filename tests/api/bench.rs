//! `deskhand bench` as people run it: what it tells, and that it leaves nothing.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::fixtures::queues::redis_url;

/// What a report always has.
const KEYS: [&str; 9] = [
    "enqueue_single_per_s",
    "enqueue_bulk_per_s",
    "drain_per_s",
    "pickup_p50_ms",
    "pickup_p99_ms",
    "delay_error_p99_ms",
    "bytes_per_waiting_job",
    "worker_cpu_s_per_100k",
    "redis_cpu_s_per_100k",
];

fn bench(url: &str, data: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_deskhand"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DESKHAND_")) {
        command.env_remove(name);
    }
    command.args(["bench", "--queue-url", url, "--rounds", "1", "--json"]).args(arguments);
    command.env("DESKHAND_DATA_DIR", data).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs it on 2,000 jobs and checks every figure that it must have, except those.
#[track_caller]
fn measured(url: &str, data: &Path, without: &[&str]) -> Value {
    measured_with(url, data, without, &["--jobs", "2000"])
}

#[track_caller]
fn measured_with(url: &str, data: &Path, without: &[&str], arguments: &[&str]) -> Value {
    let output = bench(url, data, arguments).output().expect("the program starts");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    assert!(told.contains("loads"), "it says what it does: {told}");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    for key in KEYS {
        if without.contains(&key) {
            assert!(report[key].is_null() && report["reasons"][key].is_string(), "{key}: {report}");
        } else {
            let value = report[key].as_f64().unwrap_or_default();
            assert!(value > 0.0 && value < 1e8, "{key}: {report}");
        }
    }
    assert!(report["pickup_p50_ms"].as_f64() <= report["pickup_p99_ms"].as_f64(), "{report}");
    let bytes = report["bytes_per_waiting_job"].as_f64();
    assert!(bytes > Some(100.0) && bytes < Some(2_000.0), "more than the payload, not much more: {report}");
    assert_eq!((&report["settings"]["jobs"], &report["settings"]["payload_bytes"]), (&2_000.into(), &100.into()));
    report
}

fn keys(url: &str) -> Vec<String> {
    let mut connection = redis::Client::open(url).and_then(|client| client.get_connection()).expect("answers");
    redis::cmd("KEYS").arg("*bench-*").query(&mut connection).expect("told")
}

#[test]
fn a_redis_is_measured_beside_itself_and_keeps_no_key() {
    let Some(url) = redis_url() else { return };
    let data = tempfile::tempdir().expect("a temporary directory");
    let report = measured_with(&url, data.path(), &[], &["--jobs", "2000", "--deep"]);
    for key in [
        "bulk_ratio",
        "drain_ratio",
        "single_per_ping",
        "load_pickup_p99_ms",
        "backlog_ratio",
        "priorities_drain_ratio",
        "groups_drain_ratio",
        "unique_bulk_ratio",
    ] {
        assert!(report[key].as_f64() > Some(0.0), "{key}: {report}");
    }
    assert_eq!(report["reasons"]["two_workers_ratio"], "there is one master, or none");
    assert_eq!(report["settings"]["store"]["appendonly"], "no");
    assert_eq!(keys(&url), Vec::<String>::new());
}

#[test]
fn a_cluster_is_measured_where_its_queue_is() {
    let Ok(url) = std::env::var("DESKHAND_TEST_CLUSTER_URL") else {
        assert!(redis_url().is_none(), "DESKHAND_TEST_CLUSTER_URL is not set: run make test");
        return;
    };
    let data = tempfile::tempdir().expect("a temporary directory");
    let report = measured_with(&url, data.path(), &[], &["--jobs", "2000", "--deep"]);
    assert_eq!(report["settings"]["store"]["masters"], "3");
    assert!(report["two_workers_ratio"].as_f64() > Some(0.0), "{report}");
    let node = url.split("://").nth(1).and_then(|hosts| hosts.split(',').next()).expect("a host");
    assert_eq!(keys(&format!("redis://{node}")), Vec::<String>::new());
}

#[test]
fn a_file_is_measured_beside_the_one_that_is_named() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let named = data.path().join("queue.db");
    std::fs::write(&named, "not touched").expect("written");
    let report = measured(&format!("sqlite://{}", named.display()), data.path(), &["redis_cpu_s_per_100k"]);
    assert!(report["single_per_page"].as_f64() > Some(0.0), "{report}");
    assert_eq!(report["reasons"]["backlog_ratio"], "measured with --deep");
    assert_eq!(report["settings"]["store"]["durability"], "wal, synchronous=FULL");
    let left: Vec<_> =
        std::fs::read_dir(data.path()).expect("a directory").flatten().map(|entry| entry.path()).collect();
    assert_eq!(left, std::slice::from_ref(&named));
    assert_eq!(std::fs::read_to_string(&named).expect("read"), "not touched");
}

#[test]
fn who_breaks_it_off_finds_nothing_left() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let file = format!("sqlite://{}", data.path().join("queue.db").display());
    for url in redis_url().into_iter().chain([file]) {
        let mut running = bench(&url, data.path(), &["--jobs", "20000"]).spawn().expect("the program starts");
        let mut told = BufReader::new(running.stderr.take().expect("piped")).lines().map_while(Result::ok);
        assert!(told.any(|line| line.contains("in bulk")), "it gets there");
        let interrupted = Command::new("kill").args(["-INT", &running.id().to_string()]).status().expect("kill starts");
        assert!(interrupted.success());
        let rest: Vec<String> = told.collect();
        assert_eq!(running.wait().expect("ends").code(), Some(1), "{rest:?}");
        assert!(rest.iter().any(|line| line.contains("cleaning up")), "{rest:?}");
        assert!(rest.last().is_some_and(|line| line.contains("stopped before all was measured")), "{rest:?}");
        if url.starts_with("redis") {
            assert_eq!(keys(&url), Vec::<String>::new());
        }
    }
    assert_eq!(std::fs::read_dir(data.path()).expect("a directory").count(), 0);
}

#[test]
fn what_cannot_be_measured_is_refused_with_the_cure() {
    let data = tempfile::tempdir().expect("a temporary directory");
    for (url, arguments, cure) in [
        ("amqp://h", &[][..], "begins with sqlite://"),
        ("sqlite:///nowhere/queue.db", &[], "name a file in one that is"),
        ("redis://127.0.0.1:1", &[], "does not answer"),
        ("sqlite://queue.db", &["--payload", "10"], "40"),
        ("sqlite://queue.db", &["--jobs", "0"], "100"),
        ("sqlite://queue.db", &["--jobs", "100", "--concurrency", "8", "--guard"], "nothing can be judged"),
    ] {
        let output = bench(url, data.path(), arguments).current_dir(data.path()).output().expect("the program starts");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && told.contains(cure), "{url} {arguments:?}: {told}");
    }
}
