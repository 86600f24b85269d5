//! The layers put together, and errors that name the key, what was given and the cure.

use std::path::{Path, PathBuf};

use figment::error::Kind;
use figment::providers::{Format, Toml};
use figment::{Figment, Provider};

use super::environment::Environment;
use super::settings::Config;

const DEFAULTS: &str = include_str!("../../config/default.toml");

/// A setting that stops the start; the text names the key, what was given and the cure.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub struct Error(pub(super) String);

/// Reads the defaults, the file if one is given, and the variables of the environment.
///
/// # Errors
/// [`Error`] for a file that cannot be read, a key that does not exist, a value that does not fit.
pub fn load(file: Option<&Path>, environment: impl IntoIterator<Item = (String, String)>) -> Result<Config, Error> {
    let defaults = Toml::string(DEFAULTS);
    let shape = defaults.data().map_err(|error| explain(error, None))?.into_values().next().unwrap_or_default();
    let mut layers = Figment::from(defaults);
    if let Some(path) = file {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Error(format!(
                "cannot read the configuration file {}: {error}; correct the path of --config",
                path.display()
            ))
        })?;
        layers = layers.merge(Toml::string(&text));
    }
    let mut config: Config =
        layers.merge(Environment::new(environment, shape)).extract().map_err(|error| explain(error, file))?;
    fill(&mut config);
    config.check()?;
    Ok(config)
}

/// Puts the places within `data_dir` where nothing else is said.
fn fill(config: &mut Config) {
    let inside = |name: &str| config.data_dir.join(name);
    let sqlite = |name: &str| format!("sqlite://{}", inside(name).display());
    if config.database.url.is_empty() {
        config.database.url = sqlite("deskhand.db");
    }
    if config.queue.url.is_empty() {
        config.queue.url = sqlite("queue.db");
    }
    if config.secrets.key_file == PathBuf::new() {
        config.secrets.key_file = inside("secret.key");
    }
}

fn explain(error: figment::Error, file: Option<&Path>) -> Error {
    let path = error.path.clone();
    let of_environment = error.metadata.as_ref().is_some_and(|metadata| metadata.name == "the environment");
    let variable = |path: &[String]| format!("DESKHAND_{}", path.join("__").to_ascii_uppercase());
    let key = if of_environment { variable(&path) } else { path.join(".") };
    let place = match file {
        Some(file) if !of_environment => format!(" in {}", file.display()),
        _ => String::new(),
    };
    Error(match error.kind {
        Kind::UnknownField(name, known) => {
            // Serde reports the unknown key at its own place, except at the top level.
            let mut full = path;
            if full.last() != Some(&name) {
                full.push(name);
            }
            let (dotted, variable) = (full.join("."), variable(&full));
            let section = if full.len() == 1 {
                "the top level".to_owned()
            } else {
                format!("[{}]", full[..full.len() - 1].join("."))
            };
            format!(
                "there is no setting {dotted} (in the environment {variable}): {section} knows {}",
                known.join(", ")
            )
        }
        // What was given in the place of a secret is likely one.
        Kind::InvalidType(_, expected) | Kind::InvalidValue(_, expected) if holds_secret(&path) => {
            format!("{key}{place} has to be {}", plain(&expected))
        }
        Kind::InvalidType(given, expected) | Kind::InvalidValue(given, expected) => {
            format!("{key}{place} is {given}, but has to be {}", plain(&expected))
        }
        Kind::MissingField(name) => {
            let of = if path.is_empty() { String::new() } else { format!(" of {}", path.join(".")) };
            format!("{name}{of}{place} is missing: give it a value")
        }
        Kind::Message(message) if path.is_empty() => format!("the configuration{place} is not valid TOML: {message}"),
        Kind::Message(message) => format!("{key}{place} does not fit: {message}"),
        other => format!("{key}{place} does not fit: {other}"),
    })
}

/// Says whether a setting is a secret, or may hold one.
fn holds_secret(path: &[String]) -> bool {
    const SECRETS: [&str; 7] = [
        "admin_token",
        "database.url",
        "queue.url",
        "access.oidc.client_secret",
        "outbound.proxy",
        "secrets.key",
        "secrets.previous_keys",
    ];
    let path = path.join(".");
    SECRETS.iter().any(|secret| path == *secret || path.strip_prefix(secret).is_some_and(|rest| rest.starts_with('.')))
}

/// Puts words of a programmer into words of a reader.
fn plain(expected: &str) -> String {
    match expected {
        "u32" | "u64" | "usize" => "a whole number, 0 or more".to_owned(),
        "a sequence" => "a list, as in [\"a\", \"b\"]".to_owned(),
        "a string" | "path string" => "a text".to_owned(),
        structure if structure.starts_with("struct ") => "a section with keys of its own".to_owned(),
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn with(variables: &[(&str, &str)]) -> Result<Config, Error> {
        load(None, variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    fn refusal(variables: &[(&str, &str)]) -> String {
        with(variables).err().expect("refused").to_string()
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.write_all(text.as_bytes()).expect("written");
        file
    }

    #[test]
    fn the_defaults_are_complete_and_valid() {
        let config = with(&[]).expect("valid");
        assert_eq!(config.server.listen.to_string(), "127.0.0.1:8480");
        assert_eq!(config.database.url, "sqlite://./data/deskhand.db");
        assert_eq!(config.queue.url, "sqlite://./data/queue.db");
        assert_eq!(config.schedules["work_orders.sync"].cron, "@every 1m");
    }

    #[test]
    fn the_environment_wins_over_the_file_and_the_file_over_the_defaults() {
        let file = file("[worker]\nconcurrency = 3\ngrace_s = 5\n");
        let variables = [("DESKHAND_WORKER__CONCURRENCY".to_owned(), "4".to_owned())];
        let config = load(Some(file.path()), variables).expect("valid");
        assert_eq!((config.worker.concurrency, config.worker.grace_s), (4, 5));
        assert_eq!(config.worker.queues.names().len(), 1);
    }

    #[test]
    fn what_a_variable_means_is_said_by_the_default_of_its_key() {
        let config = with(&[
            ("DESKHAND_ADMIN_TOKEN", "123456789012345678901234"),
            ("DESKHAND_WORKER__QUEUES", "mail, sync"),
            ("DESKHAND_METRICS__PUBLIC", "true"),
            ("DESKHAND_DATA_DIR", "/var/lib/deskhand"),
            ("DESKHAND_TEST_REDIS_URL", "redis://127.0.0.1:1"),
            ("PATH", "/bin"),
        ])
        .expect("valid");
        assert_eq!(config.admin_token, "123456789012345678901234");
        assert_eq!(config.worker.queues.names().iter().map(ToString::to_string).collect::<Vec<_>>(), ["mail", "sync"]);
        assert!(config.metrics.public);
        assert_eq!(config.database.url, "sqlite:///var/lib/deskhand/deskhand.db");
        assert_eq!(config.secrets.key_file, Path::new("/var/lib/deskhand/secret.key"));
    }

    #[test]
    fn a_wrong_variable_is_named_with_what_was_given() {
        for (name, value, expected) in [
            ("DESKHAND_WORKER__CONCURRENCY", "many", "\"many\""),
            ("DESKHAND_WORKER__CONCURRENCY", "-1", "-1"),
            ("DESKHAND_METRICS__PUBLIC", "yes", "\"yes\""),
            ("DESKHAND_SERVER__LISTEN", "localhost", "such as 127.0.0.1:8480"),
            ("DESKHAND_SERVER__HEALTH_LISTEN", "8481", "such as 127.0.0.1:8480"),
            ("DESKHAND_SERVER", "x", "\"x\""),
            ("DESKHAND_WORKER__QUEUES", "Mail", "\"Mail\""),
            ("DESKHAND_WORKER__QUEUES", "", "names no queue: name at least one"),
            ("DESKHAND_WORKER__QUEUES", "a,a", "names a twice"),
            ("DESKHAND_WORKER__QUEUES", "a=5,b", "give all a weight, or none"),
        ] {
            let text = refusal(&[(name, value)]);
            assert!(text.contains(name) && text.contains(expected), "{text}");
        }
    }

    #[test]
    fn a_key_that_does_not_exist_is_named_with_those_that_do() {
        let text = refusal(&[("DESKHAND_SERVER__LISTN", "x")]);
        assert!(text.contains("DESKHAND_SERVER__LISTN") && text.contains("body_limit_bytes"), "{text}");
        let file = file("[queue]\nurll = \"x\"\n");
        let text = load(Some(file.path()), []).err().expect("refused").to_string();
        assert!(text.contains("queue.urll") && text.contains("[queue] knows url"), "{text}");
        assert!(refusal(&[("DESKHAND_NONSENSE", "x")]).contains("nonsense"));
    }

    #[test]
    fn what_was_given_in_the_place_of_a_secret_is_not_shown() {
        for text in [
            "[secrets]\nprevious_keys = \"hunter2\"",
            "[secrets]\nprevious_keys = [[\"hunter2\"]]",
            "[secrets]\nkey = [\"hunter2\"]",
            "[outbound]\nproxy = [\"hunter2\"]",
            "[outbound]\nproxy = \"ftp://u:hunter2@h\"",
            "admin_token = 72",
        ] {
            let file = file(text);
            let error = load(Some(file.path()), []).err().expect("refused").to_string();
            assert!(!error.contains("hunter2") && !error.contains("72"), "{error}");
        }
    }

    #[test]
    fn a_bad_file_is_named() {
        let broken = file("[worker\n");
        let text = load(Some(broken.path()), []).err().expect("refused").to_string();
        assert!(text.contains("not valid TOML") && text.contains(&broken.path().display().to_string()), "{text}");
        let text = load(Some(Path::new("/nowhere/x.toml")), []).err().expect("refused").to_string();
        assert!(text.contains("/nowhere/x.toml") && text.contains("--config"), "{text}");
    }

    #[test]
    fn a_file_changes_one_field_of_a_schedule_and_adds_another() {
        let file = file(concat!(
            "[schedules.\"work_orders.sync\"]\nenabled = false\n",
            "[schedules.nightly]\nkind = \"a.b\"\ncron = \"0 3 * * *\"\nargs = { n = 1 }\n"
        ));
        let config = load(Some(file.path()), []).expect("valid");
        assert!(!config.schedules["work_orders.sync"].enabled);
        assert_eq!(config.schedules["nightly"].args["n"], 1);
    }
}
