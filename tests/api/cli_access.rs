//! Tenants, people, roles and tokens on the command line, with the real program.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn deskhand(data: &Path, arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_deskhand"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DESKHAND_")) {
        command.env_remove(name);
    }
    command.args(arguments).env("DESKHAND_DATA_DIR", data);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    // A program that refuses at once reads nothing.
    let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
    child.wait_with_output().expect("the program ends")
}

#[test]
fn people_get_roles_in_tenants_and_tokens_get_scopes() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let run = |arguments: &[&str], input: &str| {
        let output = deskhand(data.path(), arguments, input);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned(), error)
    };
    let fine = |arguments: &[&str], input: &str| {
        let (success, text, error) = run(arguments, input);
        assert!(success, "{arguments:?}: {error}");
        text
    };
    let json = |arguments: &[&str]| -> Value { serde_json::from_str(&fine(arguments, "")).expect("JSON") };
    fine(&["tenant", "create", "acme", "--name", "Acme Ltd"], "");
    fine(&["role", "create", "ops", "--label", "运维", "--scope", "jobs:read", "--tenant", "acme"], "");
    let create = ["user", "create", "Dana", "--zone", "Asia/Shanghai", "--role", "viewer"];
    let (success, _, error) = run(&create, "short\n");
    assert!(!success && error.contains("12 to 256 characters"), "{error}");
    fine(&create, "correct horse battery\n");
    let (success, _, error) = run(&create, "correct horse battery\n");
    assert!(!success && error.contains("there is a user named dana"), "{error}");
    let (success, _, error) = run(&["user", "create", "eli", "--role", "nonesuch"], "");
    assert!(!success && error.contains("there is no role nonesuch"), "{error}");

    fine(&["user", "grant", "dana", "--role", "ops", "--tenant", "acme", "--business", "7"], "");
    let holders =
        |business: &str| json(&["role", "holders", "ops", "--tenant", "acme", "--business", business, "--json"]);
    assert_eq!(holders("7")[0]["name"], "dana");
    assert_eq!(holders("8"), serde_json::json!([]));
    fine(&["user", "revoke", "dana", "--role", "ops", "--tenant", "acme", "--business", "7"], "");
    assert_eq!(holders("7"), serde_json::json!([]));
    assert_eq!(json(&["role", "list", "--tenant", "acme", "--json"])[4]["label"], "运维");
    fine(&["role", "delete", "ops", "--tenant", "acme"], "");

    fine(&["user", "set-password", "dana", "--keep"], "another horse battery\n");
    for (command, disabled) in [("disable", true), ("enable", false)] {
        fine(&["user", command, "dana"], "");
        assert_eq!(json(&["user", "list", "--json"])[0]["disabled_at"].is_string(), disabled);
        fine(&["tenant", command, "acme"], "");
        assert_eq!(json(&["tenant", "list", "--json"])[0]["disabled_at"].is_string(), disabled);
    }
    fine(&["user", "unlock", "dana"], "");

    let token = fine(&["token", "create", "ci", "--scope", "jobs:write", "--role", "viewer"], "");
    assert!(token.starts_with("dkh_") && token.trim().len() == 53, "{token}");
    let listed = json(&["token", "list", "--json"]);
    assert_eq!(listed[0]["scopes"], "jobs:read jobs:write queues:read schedules:read work_orders:read metrics:read");
    let (success, _, error) = run(&["token", "create", "cd", "--scope", "jobs:juggle"], "");
    assert!(!success && error.contains("is no scope"), "{error}");
    fine(&["token", "revoke", "ci"], "");
    assert!(json(&["audit", "list", "--json"]).to_string().contains("token.revoke"));
}
