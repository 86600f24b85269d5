//! Commands that ask no database: completions, and the probe of a health check.

use std::process::{Command, Output};

use deskhand::app::{Role, Running};
use tokio_util::sync::CancellationToken;

use crate::fixtures::TestApp;

fn deskhand(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_deskhand"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DESKHAND_")) {
        command.env_remove(name);
    }
    command.args(arguments).envs(variables.iter().copied()).output().expect("the program starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn every_shell_has_its_completions_whatever_the_settings() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let output = deskhand(&["completions", shell], &[("DESKHAND_NONSENSE", "x")]);
        let told = text(&output.stdout);
        assert!(output.status.success() && told.contains("redrive") && told.contains("deskhand"), "{shell}: {told}");
    }
    assert_eq!(deskhand(&["completions", "cmd"], &[]).status.code(), Some(2));
}

#[test]
fn top_prints_one_picture_for_scripts_and_refuses_to_draw_into_a_pipe() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let directory = data.path().to_str().expect("plain");
    let variables = [("DESKHAND_DATA_DIR", directory)];
    assert!(deskhand(&["enqueue", "work_orders.sync"], &variables).status.success());
    let output = deskhand(&["top", "--once"], &variables);
    let told = text(&output.stdout);
    assert!(output.status.success() && told.contains("QUEUE") && told.contains("default"), "{told}");
    let output = deskhand(&["top"], &variables);
    assert!(output.status.code() == Some(1) && text(&output.stderr).contains("--once"), "{}", text(&output.stderr));
}

#[tokio::test]
async fn the_probe_asks_where_the_process_listens() {
    let test = TestApp::new().await;
    let stop = CancellationToken::new();
    let running = Running::start(&test.app, &[Role::Api], &stop).await.expect("starts");
    let address = running.address().expect("serves").to_string();
    let ask = async |arguments: &'static [&'static str], variables: Vec<(&'static str, String)>| {
        let asked = tokio::task::spawn_blocking(move || {
            let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
            deskhand(arguments, &variables)
        });
        asked.await.expect("runs")
    };
    let listen = || ("DESKHAND_SERVER__LISTEN", address.clone());
    let output = ask(&["probe"], vec![listen()]).await;
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(0), "ready\n"), "{}", text(&output.stderr));
    let output = ask(&["probe", "--live"], vec![("DESKHAND_SERVER__HEALTH_LISTEN", address.clone())]).await;
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(0), "alive\n"), "{}", text(&output.stderr));

    // The database goes away, and the process says so.
    test.app.db.close().await;
    let output = ask(&["probe"], vec![listen()]).await;
    let told = text(&output.stderr);
    assert!(output.status.code() == Some(1) && told.contains("answers 503: database"), "{told}");

    stop.cancel();
    running.finished().await;
    let output = ask(&["probe"], vec![listen()]).await;
    let told = text(&output.stderr);
    assert!(
        output.status.code() == Some(1) && told.contains("nothing answers") && told.contains("server.listen"),
        "{told}"
    );
}
