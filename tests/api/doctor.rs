//! What the doctor finds on a desk that was made ill.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::fixtures::databases::on_postgres;

fn deskhand(data: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_deskhand"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DESKHAND_")) {
        command.env_remove(name);
    }
    command.args(arguments).env("DESKHAND_DATA_DIR", data).envs(variables.iter().copied());
    command.output().expect("the program starts")
}

/// Returns the exit code and the findings of a part that are not fine.
fn complaints(data: &Path, arguments: &[&str], variables: &[(&str, &str)], part: &str) -> (Option<i32>, String) {
    let output = deskhand(data, &[&["doctor", "--json"], arguments].concat(), variables);
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let found = found.as_array().expect("a list").iter();
    let told = found.filter(|finding| finding["part"] == part && finding["level"] != "ok");
    let told: Vec<String> =
        told.map(|finding| format!("{} {} {}", finding["level"], finding["detail"], finding["cure"])).collect();
    (output.status.code(), told.join("\n"))
}

#[test]
fn open_doors_stuck_work_and_missing_shape_are_found_with_the_cure() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let at = data.path();
    let (code, told) = complaints(at, &[], &[], "migrations");
    assert!(code == Some(1) && told.contains("deskhand migrate"), "{told}");
    assert!(deskhand(at, &["enqueue", "work_orders.sync"], &[]).status.success());

    let (code, told) = complaints(at, &[], &[], "workers");
    assert!(code == Some(0) && told.contains("1 jobs are ready") && told.contains("deskhand serve"), "{told}");
    assert!(deskhand(at, &["queues", "pause", "default"], &[]).status.success());
    let (code, told) = complaints(at, &[], &[], "queues");
    assert!(code == Some(0) && told.contains("deskhand queues resume default"), "{told}");

    std::fs::set_permissions(at.join("secret.key"), PermissionsExt::from_mode(0o644)).expect("opens the key");
    let (code, told) = complaints(at, &[], &[], "secrets");
    assert!(code == Some(0) && told.contains("0644") && told.contains("chmod 600"), "{told}");
    std::fs::set_permissions(at, PermissionsExt::from_mode(0o777)).expect("opens the directory");
    let settings = at.join("desk.toml");
    std::fs::write(&settings, "admin_token = \"abcdefghijklmnop\"\n").expect("written");
    std::fs::set_permissions(&settings, PermissionsExt::from_mode(0o644)).expect("opens the settings");
    let (code, told) = complaints(at, &["--config", settings.to_str().expect("plain")], &[], "permissions");
    assert!(code == Some(0) && told.contains("chmod 700") && told.contains("desk.toml holds a secret"), "{told}");

    std::fs::write(at.join("secret.key"), "no key").expect("written");
    let (code, told) = complaints(at, &[], &[], "secrets");
    assert!(code == Some(1) && told.contains("openssl rand"), "{told}");
}

#[test]
fn a_queue_that_does_not_answer_is_bad() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let (code, told) = complaints(data.path(), &[], &[("DESKHAND_QUEUE__URL", "redis://127.0.0.1:1")], "queue");
    assert!(code == Some(1) && told.contains("is the server up"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_takes_no_writes_or_forgets_them_is_bad() {
    on_postgres(async |fresh| {
        fresh.db.migrate().await.expect("migrates");
        let data = tempfile::tempdir().expect("a temporary directory");
        let ill = |setting: &str| {
            let mut url = url::Url::parse(&fresh.url).expect("a url");
            url.query_pairs_mut().append_pair("options", &format!("-c {setting}"));
            complaints(data.path(), &[], &[("DESKHAND_DATABASE__URL", url.as_str())], "database")
        };
        let (code, told) = ill("default_transaction_read_only=on");
        assert!(code == Some(1) && told.contains("set to read only"), "{told}");
        let (code, told) = ill("synchronous_commit=off");
        assert!(
            code == Some(1) && told.contains("synchronous_commit=off") && told.contains("to on at the server"),
            "{told}"
        );
        let output = deskhand(data.path(), &["doctor"], &[("DESKHAND_DATABASE__URL", &fresh.url)]);
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(told.contains("the clock of the database server"), "{told}");
    })
    .await;
}
