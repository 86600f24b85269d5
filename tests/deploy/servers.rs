//! Units of systemd, the image, and the compose file.

use serde_json::Value;

use super::{is_a_command, text, texts, yaml};

/// Returns the values of a key in a unit.
fn values<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    unit.lines()
        .filter_map(|line| line.split_once('='))
        .filter(|(name, _)| *name == key)
        .map(|(_, value)| value)
        .collect()
}

fn seconds(text: &str) -> u64 {
    text.trim_end_matches('s').parse().unwrap_or_else(|_| panic!("{text:?} is no number of seconds"))
}

/// The grace of a worker, unless something sets another.
fn default_grace_s() -> u64 {
    deskhand::config::load(None, []).expect("valid").worker.grace_s
}

#[test]
fn units_run_commands_and_wait_for_the_grace() {
    let units = texts(&["config/deploy/systemd"]);
    assert_eq!(units.len(), 4);
    for (path, unit) in units {
        let place = path.display().to_string();
        let typed = values(&unit, "ExecStart").remove(0);
        let typed = typed.strip_prefix("/usr/local/bin/deskhand ").expect("the program");
        is_a_command(&place, &typed.split_whitespace().collect::<Vec<_>>());
        let works = typed.starts_with("serve") || typed.starts_with("worker");
        let set =
            values(&unit, "Environment").into_iter().find_map(|line| line.strip_prefix("DESKHAND_WORKER__GRACE_S="));
        let grace_s = set.map_or_else(default_grace_s, seconds);
        assert!(!works || seconds(values(&unit, "TimeoutStopSec")[0]) >= grace_s + 15, "{place}");
        for (key, value) in [("KillSignal", "SIGTERM"), ("NoNewPrivileges", "yes"), ("Restart", "on-failure")] {
            assert_eq!(values(&unit, key), [value], "{place}: {key}");
        }
    }
}

#[test]
fn the_image_runs_commands_as_nobody_in_particular() {
    let file = text("config/deploy/Dockerfile");
    let words = |instruction: &str| -> Vec<String> {
        let line = file
            .lines()
            .filter(|line| line.starts_with(instruction))
            .find_map(|line| line.find('[').map(|at| &line[at..]));
        serde_json::from_str(line.expect("a list of words")).expect("JSON")
    };
    assert_eq!(words("ENTRYPOINT"), ["deskhand"]);
    let health = words("HEALTHCHECK");
    is_a_command("HEALTHCHECK", &health[1..].iter().map(String::as_str).collect::<Vec<_>>());
    is_a_command("CMD", &words("CMD").iter().map(String::as_str).collect::<Vec<_>>());
    let users: Vec<&str> = file.lines().filter(|line| line.starts_with("USER ")).collect();
    assert!(users.len() == 1 && !users[0].contains("root"), "{users:?}");
    assert!(file.contains(concat!("deskhand:", env!("CARGO_PKG_VERSION"))), "the version of the image");
}

#[test]
fn the_compose_file_has_every_role_on_servers_that_keep_jobs() {
    let file = yaml(&text("config/deploy/compose.yaml")).remove(0);
    let services = &file["services"];
    for role in ["migrate", "api", "scheduler", "worker"] {
        let service = &services[role];
        let command = service["command"].as_array().unwrap_or_else(|| panic!("{role} has no command"));
        is_a_command(role, &command.iter().map(|word| word.as_str().expect("a word")).collect::<Vec<_>>());
        let environment = &service["environment"];
        let grace_s = environment["DESKHAND_WORKER__GRACE_S"].as_str().map_or_else(default_grace_s, seconds);
        let stop_s = seconds(service["stop_grace_period"].as_str().expect("seconds"));
        assert!(stop_s >= grace_s + 15, "{role}: {stop_s} s for a grace of {grace_s} s");
        assert!(
            environment["DESKHAND_DATABASE__URL"].as_str().is_some_and(|url| url.starts_with("postgres://")),
            "{role}"
        );
    }
    assert_eq!(services["worker"]["deploy"]["replicas"], 2);
    let redis: Vec<&str> =
        services["redis"]["command"].as_array().expect("words").iter().filter_map(Value::as_str).collect();
    for pair in [["--appendonly", "yes"], ["--maxmemory-policy", "noeviction"]] {
        assert!(redis.windows(2).any(|words| words == pair), "{pair:?}");
    }
}
