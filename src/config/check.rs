//! What the types of the settings cannot say.

use axum::http::{HeaderName, HeaderValue};
use deskhand_jobs::queue::redis::SCHEMES;

use super::load::Error;
use super::settings::{Config, Telemetry};
use crate::dispatch::remote::in_front;

/// Shorter tokens can be guessed.
const MIN_TOKEN_CHARS: usize = 16;

const DATABASES: [&str; 3] = ["sqlite", "postgres", "postgresql"];

impl Config {
    /// Checks what the types of the settings cannot say.
    ///
    /// # Errors
    /// [`Error`] names the key, what was given and the cure.
    pub fn check(&self) -> Result<(), Error> {
        check(self)
    }
}

fn check(config: &Config) -> Result<(), Error> {
    scheme("database.url", &config.database.url, &DATABASES)?;
    scheme("queue.url", &config.queue.url, &[&["sqlite"], &SCHEMES[..]].concat())?;
    demand(config.database.url != config.queue.url, || {
        "database.url and queue.url name the same file: give the queue a file of its own".to_owned()
    })?;
    demand(!config.data_dir.as_os_str().is_empty(), || {
        "data_dir is empty: name a directory, such as ./data".to_owned()
    })?;
    let prefix = &config.queue.prefix;
    // Braces would move the keys of a queue apart in a cluster.
    let plain = prefix.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.:".contains(&b));
    demand(plain && (1..=64).contains(&prefix.len()), || {
        format!("queue.prefix is {prefix:?}: give it 1 to 64 letters, digits and '_', '-', '.', ':'")
    })?;
    let listen = config.server.listen;
    demand(listen.port() == 0 || config.server.health_listen != Some(listen), || {
        "server.health_listen is the address of server.listen: give it another port, or leave it empty; the API tells how it is itself"
            .to_owned()
    })?;
    filter(&config.log.filter)?;
    for (logger, path) in &config.log.files {
        demand(!logger.is_empty() && path.file_name().is_some(), || {
            format!("log.files.{logger:?} is {}: name a logger or target, and a file", path.display())
        })?;
    }
    telemetry(&config.telemetry)?;
    let token = config.admin_token.chars().count();
    demand(token == 0 || token >= MIN_TOKEN_CHARS, || {
        format!(
            "admin_token has {token} characters: give it at least {MIN_TOKEN_CHARS}, or leave it empty and one is made"
        )
    })?;
    range("server.body_limit_bytes", config.server.body_limit_bytes, 1024, 64 * 1024 * 1024)?;
    for origin in &config.server.cors_origins {
        let plain = url::Url::parse(origin).is_ok_and(|url| url.origin().ascii_serialization() == *origin);
        demand(plain, || {
            format!(
                "server.cors_origins has {origin:?}: an origin is scheme, host and port, as in https://desk.example.com"
            )
        })?;
    }
    range("metrics.drain_target_s", config.metrics.drain_target_s as usize, 1, 86_400)?;
    range("access.session_idle_s", config.access.session_idle_s as usize, 60, 366 * 86_400)?;
    range("access.session_max_s", config.access.session_max_s as usize, 60, 366 * 86_400)?;
    range("access.password_memory_kib", config.access.password_memory_kib as usize, 8_192, 1_048_576)?;
    range("access.password_passes", config.access.password_passes as usize, 1, 100)?;
    let oidc = &config.access.oidc;
    for (key, value) in [("client_id", &oidc.client_id), ("redirect_url", &oidc.redirect_url)] {
        demand(oidc.issuer.is_empty() || !value.is_empty(), || {
            format!("access.oidc.{key} is empty: the provider of access.oidc.issuer needs it")
        })?;
    }
    for (key, value) in [("issuer", &oidc.issuer), ("redirect_url", &oidc.redirect_url)] {
        let fits = value.is_empty() || url::Url::parse(value).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        demand(fits, || format!("access.oidc.{key} is {value:?}: give it an address that begins with https://"))?;
    }
    range("worker.concurrency", config.worker.concurrency, 1, 10_000)?;
    range("worker.grace_s", config.worker.grace_s as usize, 0, 3600)?;
    outbound(&config.outbound)?;
    range("work_orders.fan_out.parts", config.work_orders.fan_out.parts.get() as usize, 1, 64)?;

    for queue in config.worker.queues.names() {
        demand(in_front(queue).is_none(), || {
            format!(
                "worker.queues names {queue}, which belongs to a remote queue of a tenant: it is served over HTTP only"
            )
        })?;
    }
    for declared in config.declared_schedules() {
        if let Err(fault) = declared.definition.check_times() {
            // The pointer names the field: `/cron: …`.
            let fault = fault.to_string();
            return Err(Error(format!("schedules.{}.{}", declared.name, fault.trim_start_matches('/'))));
        }
    }
    Ok(())
}

fn outbound(settings: &crate::outbound::Settings) -> Result<(), Error> {
    range("outbound.connect_timeout_s", settings.connect_timeout_s as usize, 1, 300)?;
    range("outbound.timeout_s", settings.timeout_s as usize, 1, 3600)?;
    range("outbound.max_answer_bytes", settings.max_answer_bytes, 1024, 1024 * 1024 * 1024)?;
    range("outbound.per_host", settings.per_host, 1, 1000)?;
    range("outbound.circuit_failures", settings.circuit_failures as usize, 0, 1000)?;
    range("outbound.circuit_open_s", settings.circuit_open_s as usize, 1, 3600)
}

fn telemetry(settings: &Telemetry) -> Result<(), Error> {
    if !settings.otlp_endpoint.is_empty() {
        scheme("telemetry.otlp_endpoint", &settings.otlp_endpoint, &["http", "https"])?;
        let has_host = url::Url::parse(&settings.otlp_endpoint).is_ok_and(|url| url.has_host());
        demand(has_host, || {
            "telemetry.otlp_endpoint is no address: give it one such as http://127.0.0.1:4318".to_owned()
        })?;
    }
    demand(!settings.service_name.is_empty(), || {
        "telemetry.service_name is empty: name this program, such as deskhand".to_owned()
    })?;
    demand((0.0..=1.0).contains(&settings.sample_ratio), || {
        format!("telemetry.sample_ratio is {}: give it a value from 0 to 1", settings.sample_ratio)
    })?;
    for (name, value) in &settings.headers {
        let fits = HeaderName::from_bytes(name.as_bytes()).is_ok() && HeaderValue::from_str(value.expose()).is_ok();
        // The value is a secret and is not shown.
        demand(fits, || {
            format!("telemetry.headers.{name} cannot be sent: give it a name and a value as HTTP has them")
        })?;
    }
    Ok(())
}

/// A single word that is no level would be taken for the name of a part of the program, and all the rest be silent.
fn filter(log: &str) -> Result<(), Error> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let is_word = log.bytes().all(|b| b.is_ascii_alphanumeric());
    demand(!is_word || LEVELS.contains(&log.to_ascii_lowercase().as_str()), || {
        format!("log.filter is {log:?}: give it a level ({}) or a list such as info,deskhand=debug", LEVELS.join(", "))
    })
}

fn demand(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(Error(otherwise())) }
}

fn range(key: &str, given: usize, from: usize, to: usize) -> Result<(), Error> {
    demand((from..=to).contains(&given), || format!("{key} is {given}: give it a value from {from} to {to}"))
}

fn scheme(key: &str, url: &str, known: &[&str]) -> Result<(), Error> {
    let scheme = url.split_once("://").map(|(scheme, _)| scheme);
    // The rest of the URL may hold a password and is not shown.
    demand(scheme.is_some_and(|scheme| known.contains(&scheme)), || {
        let given = scheme.map_or_else(|| "has no scheme".to_owned(), |scheme| format!("begins with {scheme}://"));
        let known = known.iter().map(|scheme| format!("{scheme}://")).collect::<Vec<_>>().join(", ");
        format!("{key} {given}: what is supported is {known}")
    })
}

#[cfg(test)]
mod tests {
    use super::super::load::load;

    #[test]
    fn each_rule_refuses_with_the_key_and_the_cure() {
        for (name, value, expected) in [
            (
                "DESKHAND_DATABASE__URL",
                "mysql://u:hidden@h/d",
                "database.url begins with mysql://: what is supported is sqlite://",
            ),
            ("DESKHAND_QUEUE__URL", "queue.db", "queue.url has no scheme"),
            ("DESKHAND_QUEUE__URL", "redis+x://u:hidden@h", "sqlite://, redis://"),
            ("DESKHAND_QUEUE__URL", "sqlite://./data/deskhand.db", "a file of its own"),
            ("DESKHAND_ADMIN_TOKEN", "short", "at least 16"),
            ("DESKHAND_WORKER__CONCURRENCY", "0", "from 1 to 10000"),
            (
                "DESKHAND_ACCESS__PASSWORD_MEMORY_KIB",
                "64",
                "access.password_memory_kib is 64: give it a value from 8192",
            ),
            ("DESKHAND_ACCESS__OIDC__ISSUER", "https://id.example.com", "access.oidc.client_id is empty"),
            ("DESKHAND_ACCESS__OIDC__REDIRECT_URL", "desk", "access.oidc.redirect_url is \"desk\""),
            ("DESKHAND_DATA_DIR", "", "data_dir is empty: name a directory"),
            ("DESKHAND_QUEUE__PREFIX", "", "queue.prefix is \"\""),
            ("DESKHAND_QUEUE__PREFIX", "{desk}", "queue.prefix is \"{desk}\""),
            ("DESKHAND_LOG", "verbose", "log.filter is \"verbose\": give it a level"),
            ("DESKHAND_LOG__FORMAT", "xml", "DESKHAND_LOG__FORMAT"),
            ("DESKHAND_TELEMETRY__OTLP_ENDPOINT", "collector:4318", "telemetry.otlp_endpoint has no scheme"),
            ("DESKHAND_TELEMETRY__OTLP_ENDPOINT", "grpc://u:hidden@c", "what is supported is http://, https://"),
            ("DESKHAND_TELEMETRY__SAMPLE_RATIO", "1.5", "telemetry.sample_ratio is 1.5: give it a value from 0 to 1"),
            ("DESKHAND_TELEMETRY__SERVICE_NAME", "", "telemetry.service_name is empty"),
            ("DESKHAND_TELEMETRY__HEADERS__X", "hidden\n", "telemetry.headers.x cannot be sent"),
            (
                "DESKHAND_SERVER__HEALTH_LISTEN",
                "127.0.0.1:8480",
                "server.health_listen is the address of server.listen",
            ),
            ("DESKHAND_SERVER__BODY_LIMIT_BYTES", "1", "server.body_limit_bytes is 1"),
            ("DESKHAND_OUTBOUND__PER_HOST", "0", "outbound.per_host is 0: give it a value from 1"),
            ("DESKHAND_OUTBOUND__PRIVATE", "maybe", "DESKHAND_OUTBOUND__PRIVATE"),
            ("DESKHAND_OUTBOUND__ALLOW", "a b", "write it as hooks.internal or 10.1.0.0/16"),
            ("DESKHAND_OUTBOUND__ALLOW", "10.0.0.1,169.254.169.254", "never called"),
            ("DESKHAND_OUTBOUND__PROXY", "socks5://u:hidden@h", "write it as http://HOST:PORT"),
        ] {
            let text = load(None, [(name.to_owned(), value.to_owned())]).err().expect("refused").to_string();
            assert!(text.contains(expected) && !text.contains("hidden"), "{text}");
        }
    }

    #[test]
    fn an_address_of_several_hosts_is_one_value() {
        let url = "redis+cluster://h1:7000,h2:7001";
        let config = load(None, [("DESKHAND_QUEUE__URL".to_owned(), url.to_owned())]).expect("valid");
        assert_eq!(config.queue.url, url);
    }

    #[test]
    fn a_schedule_that_can_never_fire_is_named() {
        for (lines, key) in [
            ("cron = \"61 * * * *\"", "schedules.nightly.cron"),
            ("cron = \"* * * * *\"\nzone = \"Mars/X\"", "schedules.nightly.zone"),
        ] {
            let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
            let text = format!("[schedules.nightly]\nkind = \"work_orders.sync\"\n{lines}\n");
            std::io::Write::write_all(&mut file, text.as_bytes()).expect("written");
            let text = load(Some(file.path()), []).err().expect("refused").to_string();
            assert!(text.contains(key), "{text}");
        }
    }
}
