//! The whole program at work with everything logged: no secret is in the log, in an answer, in the database or in the queue.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use deskhand::base::{Key, Secret};
use deskhand::db::Db;
use deskhand::on;
use deskhand::outbound::{Http, Trust};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use url::Url;

use super::sync::file;
use crate::fakes::jira::{Deployment, Fault, Jira, PASSWORD, TOKEN, USER};
use crate::fixtures::databases::on_postgres;
use crate::fixtures::outbound::http;
use crate::fixtures::queues::redis_url;

const LINES: usize = 10_000;
const PATIENCE: Duration = Duration::from_mins(2);
const ADMIN: &str = "an-admin-token-of-the-leak-test";
const WRONG: &str = "hunter2 is/wrong+here";
const PROXY: &str = "the-password-of-the-proxy";

/// A program that logs into a file; it dies with the test.
struct Program {
    child: Child,
    log: PathBuf,
    api: Url,
    http: Http,
    answers: String,
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Program {
    fn start(directory: &Path, settings: &[(&str, &str)]) -> Self {
        let log = directory.join("log");
        // Free now, and most likely still so in a moment.
        let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let listen = free.expect("a free port").to_string();
        let mut command = Command::new(env!("CARGO_BIN_EXE_deskhand"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DESKHAND_")) {
            command.env_remove(name);
        }
        let file = std::fs::File::create(&log).expect("a file for the log");
        let child = command
            .args(["serve"])
            .env("DESKHAND_DATA_DIR", directory)
            .env("DESKHAND_SERVER__LISTEN", &listen)
            .env("DESKHAND_LOG", "trace")
            .envs(settings.iter().copied())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn();
        let api = Url::parse(&format!("http://{listen}")).expect("a url");
        Self { child: child.expect("the program starts"), log, api, http: http(), answers: String::new() }
    }

    fn lines(&self) -> usize {
        std::fs::read(&self.log).expect("the log").split(|byte| *byte == b'\n').count() - 1
    }

    async fn call(&mut self, path: &str, body: Option<&Value>) -> Option<Value> {
        let url = self.api.join(path).expect("a url");
        let request = match body {
            Some(body) => self.http.post(url).json(body),
            None => self.http.get(url),
        };
        let answer = self.http.send(request.bearer_auth(ADMIN), Trust::Admin).await.ok()?;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        self.answers.push_str(&text);
        self.answers.push('\n');
        serde_json::from_str(&text).ok()
    }

    /// Waits until it is ready.
    async fn ready(&mut self) {
        let start = Instant::now();
        while self.call("/ready", None).await.is_none_or(|answer| answer["data"]["ready"] != true) {
            let log = || std::fs::read_to_string(&self.log).unwrap_or_default();
            assert!(start.elapsed() < PATIENCE, "it starts: {}", log().lines().rev().take(5).collect::<String>());
            // The client leaves alone whoever does not answer; a program that starts is no such case.
            self.http = http();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Every form in which a secret might come to light, found in one pass.
struct Forms {
    /// The secret and its form.
    all: BTreeSet<(String, String)>,
    /// Which two bytes a form begins with: megabytes are read.
    starts: Vec<bool>,
}

fn pair(bytes: &[u8]) -> usize {
    usize::from(bytes[0]) << 8 | usize::from(bytes[1])
}

impl Forms {
    fn of(secrets: &[(&str, &str)]) -> Self {
        let all: BTreeSet<(String, String)> = secrets
            .iter()
            .flat_map(|(user, secret)| forms(user, secret).into_iter().map(|form| ((*secret).to_owned(), form)))
            .collect();
        let mut starts = vec![false; 1 << 16];
        for (_, form) in &all {
            starts[pair(form.as_bytes())] = true;
        }
        Self { all, starts }
    }

    fn find(&self, bytes: &[u8]) -> Option<(&str, &str, usize)> {
        let mut starts = (0..bytes.len().saturating_sub(1)).filter(|at| self.starts[pair(&bytes[*at..])]);
        let found = |at: usize| self.all.iter().find(|(_, form)| bytes[at..].starts_with(form.as_bytes()));
        starts.find_map(|at| found(at).map(|(secret, form)| (secret.as_str(), form.as_str(), at)))
    }

    #[track_caller]
    fn are_not_in(&self, place: &str, bytes: &[u8]) {
        if let Some((secret, form, at)) = self.find(bytes) {
            let around = &bytes[at.saturating_sub(200)..(at + form.len() + 50).min(bytes.len())];
            panic!("{place} holds {secret:?} as {form:?}: …{}…", String::from_utf8_lossy(around));
        }
    }
}

/// The forms of one secret: as it is, in a url, in hexadecimal digits, and in base64, alone or with its user.
fn forms(user: &str, secret: &str) -> Vec<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let percent: String = secret
        .bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect();
    let mut texts = vec![secret.to_owned(), percent.clone(), percent.to_lowercase(), secret.replace(' ', "+")];
    let digits = secret.bytes().flat_map(|byte| [byte >> 4, byte & 15]);
    texts.push(digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect());
    for text in [secret, &format!("{user}:{secret}"), &percent] {
        // Within a longer text it may begin at any of three places of a group of four; the groups at its ends depend on what is around.
        for shift in 0..3 {
            let shifted = [vec![b' '; shift], text.as_bytes().to_vec()].concat();
            let whole = shifted.len() / 3 * 4;
            for encoded in [STANDARD_NO_PAD.encode(&shifted), URL_SAFE_NO_PAD.encode(&shifted)] {
                texts.push(encoded[if shift == 0 { 0 } else { 4 }..whole].to_owned());
            }
        }
    }
    // A shorter piece would be found where it means nothing.
    texts.retain(|text| text.len() >= 8);
    texts
}

/// Every column of every table of a database, as text.
async fn database(url: &str) -> Vec<u8> {
    let db = Db::open(url).await.expect("opens");
    let mut tx = db.read().await.expect("begins");
    let sql = if url.starts_with("sqlite") {
        "SELECT t.name, c.name FROM sqlite_master t, pragma_table_info(t.name) c WHERE t.type = 'table'"
    } else {
        "SELECT table_name::text, column_name::text FROM information_schema.columns WHERE table_schema = 'public'"
    };
    let columns: Vec<(String, String)> = on!(tx, |c| sqlx::query_as(sql).fetch_all(c).await).expect("reads");
    assert!(columns.len() > 50, "{columns:?}");
    let mut bytes = Vec::new();
    for (table, column) in columns {
        let sql =
            AssertSqlSafe(format!("SELECT CAST(\"{column}\" AS TEXT) FROM \"{table}\" WHERE \"{column}\" IS NOT NULL"));
        let texts: Vec<String> = on!(tx, |c| sqlx::query_scalar(sql).fetch_all(c).await).unwrap_or_default();
        for text in texts {
            bytes.extend_from_slice(text.as_bytes());
            bytes.push(b'\n');
        }
    }
    bytes
}

/// Every key and value of a queue: the whole files of the embedded one, all that a Redis database has.
fn queue(url: &str) -> Vec<u8> {
    if let Some(path) = url.strip_prefix("sqlite://") {
        return ["", "-wal"].iter().flat_map(|end| std::fs::read(format!("{path}{end}")).unwrap_or_default()).collect();
    }
    let mut connection = redis::Client::open(url).and_then(|client| client.get_connection()).expect("answers");
    let keys: Vec<Vec<u8>> = redis::cmd("KEYS").arg("*").query(&mut connection).expect("answers");
    let mut bytes = Vec::new();
    for key in keys {
        let kind: String = redis::cmd("TYPE").arg(&key).query(&mut connection).expect("answers");
        let mut read = match kind.as_str() {
            "string" => redis::cmd("GET").arg(&key).to_owned(),
            "hash" => redis::cmd("HGETALL").arg(&key).to_owned(),
            "list" => redis::cmd("LRANGE").arg(&key).arg(0).arg(-1).to_owned(),
            "set" => redis::cmd("SMEMBERS").arg(&key).to_owned(),
            "zset" => redis::cmd("ZRANGE").arg(&key).arg(0).arg(-1).to_owned(),
            other => panic!("a {other} in the queue: read it too"),
        };
        let read = std::mem::replace(&mut read, redis::cmd("PING"));
        let value: redis::Value = read.query(&mut connection).expect("answers");
        bytes.extend_from_slice(&key);
        gather(&value, &mut bytes);
    }
    bytes
}

fn gather(value: &redis::Value, bytes: &mut Vec<u8>) {
    match value {
        redis::Value::BulkString(text) => bytes.extend_from_slice(text),
        redis::Value::Array(values) | redis::Value::Set(values) => values.iter().for_each(|value| gather(value, bytes)),
        redis::Value::Map(pairs) => pairs.iter().for_each(|(key, value)| {
            gather(key, bytes);
            gather(value, bytes);
        }),
        _ => {}
    }
    bytes.push(b'\n');
}

async fn nothing_leaks(database_url: &str, queue_url: &str) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let keys = [Key::fresh().to_text(), Key::fresh().to_text()];
    let [current, older] = keys.each_ref().map(Secret::expose);
    let proxy = format!("http://desk:{PROXY}@127.0.0.1:1");
    let mut program = Program::start(
        directory.path(),
        &[
            ("DESKHAND_DATABASE__URL", database_url),
            ("DESKHAND_QUEUE__URL", queue_url),
            ("DESKHAND_ADMIN_TOKEN", ADMIN),
            ("DESKHAND_SECRETS__KEY", current),
            ("DESKHAND_SECRETS__PREVIOUS_KEYS", older),
            ("DESKHAND_OUTBOUND__PROXY", &proxy),
            ("DESKHAND_OUTBOUND__NO_PROXY", "127.0.0.0/8"),
        ],
    );
    program.ready().await;

    let jira = Jira::start(Deployment::Server, 30)
        .await
        .fault(2, Fault::Status(500))
        .fault(3, Fault::HalfJson)
        .fault(4, Fault::Truncated)
        .fault(5, Fault::RateLimited("0".into()));
    let system = |name: &str, login: Value| {
        let mut body =
            json!({"name": name, "system_type": "jira", "deployment": "server", "api_url": jira.url.as_str()});
        body.as_object_mut().expect("an object").extend(login.as_object().expect("an object").clone());
        body
    };
    let mut systems = Vec::new();
    for (name, login) in [
        ("good", json!({"username": USER, "password": PASSWORD})),
        ("by token", json!({"api_key": TOKEN})),
        ("wrong", json!({"username": USER, "password": WRONG})),
        ("away", json!({"username": USER, "password": PASSWORD, "api_url": "http://127.0.0.1:1/"})),
        ("proxied", json!({"username": USER, "password": PASSWORD, "api_url": "http://192.0.2.1/"})),
    ] {
        let made = program.call("/api/v1/work-order-systems", Some(&system(name, login))).await.expect("JSON");
        systems.push(made["data"]["id"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned());
    }
    // What is refused is not repeated either.
    for login in [
        json!({"password": {"nested": PASSWORD}}),
        json!({"api_key": [TOKEN]}),
        json!({"password": PASSWORD, "api_url": "no address"}),
        json!({"password": PASSWORD, "api_key": TOKEN, "username": USER, "unknown_field": 1}),
    ] {
        program.call("/api/v1/work-order-systems", Some(&system("refused", login))).await;
    }

    let start = Instant::now();
    while program.lines() < LINES {
        assert!(start.elapsed() < PATIENCE, "only {} lines", program.lines());
        for id in &systems {
            program.call(&format!("/api/v1/work-order-systems/{id}/test_connection"), Some(&json!({}))).await;
            let job = json!({"kind": "work_orders.sync_system", "args": {"system": id}, "max_attempts": 2});
            program.call("/api/v1/jobs", Some(&job)).await;
            program.call(&format!("/api/v1/work-order-systems/{id}"), None).await;
        }
        for path in
            ["/api/v1/jobs?size=100", "/api/v1/dead", "/api/v1/work-order-systems", "/api/v1/sync-logs", "/metrics"]
        {
            program.call(path, None).await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    let secrets =
        [(USER, PASSWORD), ("", TOKEN), (USER, WRONG), ("desk", PROXY), ("", ADMIN), ("", current), ("", older)];
    let forms = Forms::of(&secrets);
    let log = std::fs::read(&program.log).expect("the log");
    for part in ["jira", "good", "wrong", "127.0.0.1", "TRACE", "DEBUG"] {
        assert!(log.windows(part.len()).any(|window| window == part.as_bytes()), "{part} is logged");
    }
    let text = String::from_utf8_lossy(&log);
    let told = |line: &&str| {
        ["called method=GET host=127.0.0.1:", "status=200", "outcome=2xx", "duration_ms="]
            .iter()
            .all(|part| line.contains(part))
    };
    assert!(text.lines().find(told).is_some_and(|line| !line.contains("jql")), "a call is a line, without its query");
    forms.are_not_in("the log", &log);
    forms.are_not_in("an answer", program.answers.as_bytes());
    let stored = database(database_url).await;
    assert!(stored.windows(3).any(|window| window == b"v2:"), "the sealed texts were looked at");
    forms.are_not_in("the database", &stored);
    let queued = queue(queue_url);
    let kind = b"work_orders.sync_system";
    assert!(queued.windows(kind.len()).any(|window| window == kind), "the jobs were looked at");
    forms.are_not_in("the queue", &queued);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sqlite() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    nothing_leaks(&file(&directory, "deskhand.db"), &file(&directory, "queue.db")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_and_redis() {
    let Some(queue) = redis_url() else { return };
    on_postgres(async |fresh| nothing_leaks(&fresh.url, &queue).await).await;
}

#[test]
fn a_secret_is_found_in_every_form() {
    let forms = Forms::of(&[(USER, PASSWORD)]);
    let encode = |text: &str| STANDARD_NO_PAD.encode(text);
    for text in [
        "x correct horse y".to_owned(),
        "?p=correct%20horse".to_owned(),
        "?p=correct+horse".to_owned(),
        format!("Basic {}", encode(&format!("{USER}:{PASSWORD}"))),
        encode(&format!("x{PASSWORD}y")),
        encode(&format!("xy{PASSWORD}xyz")),
        encode(&format!("xyz{PASSWORD}")),
    ] {
        assert!(forms.find(text.as_bytes()).is_some(), "{text} is told from nothing");
    }
    assert!(forms.find(b"a correct answer, a horse").is_none());
}
