//! A hundred thousand tickets in one synchronisation: how fast they come in, and what the process that reads them has in memory.

use std::fmt::Write;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Query, Request};
use axum::http::header::CONTENT_TYPE;
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse;
use axum::routing::get;
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::database::Scratch;
use super::load::Client;
use super::per_second;
use super::process::Process;

const TICKETS: usize = 100_000;
/// The most that the process may ever have in memory.
const MOST_MB: f64 = 150.0;
const PATIENCE: Duration = Duration::from_mins(15);
/// As long as a real system needs for a page.
const USUAL: Duration = Duration::from_millis(100);
/// 2024-01-01T00:00:00Z.
const EPOCH_MS: i64 = 1_704_067_200_000;

/// Measures a first synchronisation on each database, and a second one that finds nothing new.
pub(crate) async fn measure() -> anyhow::Result<()> {
    for answers_after in [Duration::ZERO, USUAL] {
        let desk = Desk::start(answers_after)?;
        println!("  the fake alone, answers after {answers_after:?}  {:>7.0} tickets/s", desk.alone().await?);
        for database in Scratch::each().await? {
            let measured = on(&database, &desk).await;
            database.remove().await?;
            measured?;
        }
    }
    Ok(())
}

async fn on(database: &Scratch, desk: &Desk) -> anyhow::Result<()> {
    let process = Process::start(&database.url, ("", ""), "api,scheduler,worker").await?;
    let mut client = Client::connect(&process.address).await?;
    let system = json!({
        "name": "jira", "api_url": desk.url(), "username": "sync", "password": "any", "deployment": "server",
        "sync_interval": 86_400,
    });
    let made = call(&mut client, "POST", "/api/work-order-systems/", &system).await?;
    let path = format!("/api/work-order-systems/{}", made["data"]["id"].as_str().unwrap_or_default());
    let (cpu_s, start) = (process.cpu_s()?, Instant::now());
    let log = run(&mut client, &path, 0).await?;
    let (rate, cpu_s) = (per_second(TICKETS, start), process.cpu_s()? - cpu_s);
    anyhow::ensure!(log["created"] == TICKETS, "not every ticket came in: {log}");
    let peak_mb = process.peak_mb()?;
    println!(
        "  {:<9} first {rate:>7.0} tickets/s   {:>5.1} µs of a core for each   peak {peak_mb:>5.1} MB",
        database.name,
        cpu_s / TICKETS as f64 * 1e6,
    );
    // As after a change of the mapping: everything is read once more.
    let again = json!({"mapping": {"status": {"Parked": "pending"}}});
    call(&mut client, "PUT", &path, &again).await?;
    let start = Instant::now();
    let log = run(&mut client, &path, 1).await?;
    anyhow::ensure!(log["unchanged"] == TICKETS, "something changed: {log}");
    println!("  {:<9} again {:>7.0} tickets/s", database.name, per_second(TICKETS, start));
    anyhow::ensure!(
        process.peak_mb()? < MOST_MB,
        "the process had {:.1} MB, at most {MOST_MB} are allowed",
        process.peak_mb()?
    );
    Ok(())
}

/// Asks for a run and waits for its end.
async fn run(client: &mut Client, path: &str, before: usize) -> anyhow::Result<Value> {
    let start = Instant::now();
    call(client, "POST", &format!("{path}/sync/"), &json!({})).await?;
    loop {
        let logs = call(client, "GET", "/api/sync-logs/?sync_type=sync", &Value::Null).await?;
        let all = logs["data"].as_array().map(Vec::as_slice).unwrap_or_default();
        if let Some(log) = all.first().filter(|log| all.len() > before && log["status"] != "pending") {
            anyhow::ensure!(log["status"] == "success", "the run did not end well: {log}");
            return Ok(log.clone());
        }
        anyhow::ensure!(start.elapsed() < PATIENCE, "the run did not end in time: {logs}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn call(client: &mut Client, method: &str, path: &str, body: &Value) -> anyhow::Result<Value> {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let (status, answer) = client.send(method, path, &body).await?;
    anyhow::ensure!((200..300).contains(&status), "{path}: {status}: {}", String::from_utf8_lossy(answer));
    Ok(serde_json::from_slice(answer)?)
}

/// A Jira Data Center that does nothing but answer, on a thread of its own; it stops when this is dropped.
struct Desk {
    address: std::net::SocketAddr,
    _stop: DropGuard,
}

impl Desk {
    fn start(answers_after: Duration) -> anyhow::Result<Self> {
        let stop = CancellationToken::new();
        let (sender, receiver) = std::sync::mpsc::channel();
        let until = stop.clone();
        std::thread::spawn(move || -> anyhow::Result<()> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
                sender.send(listener.local_addr()?)?;
                let routes = Router::new()
                    .route("/rest/api/2/myself", get(async || r#"{"displayName": "Sync"}"#))
                    .route("/rest/api/2/search", get(search))
                    .layer(from_fn(move |request: Request, next: Next| async move {
                        tokio::time::sleep(answers_after).await;
                        next.run(request).await
                    }));
                Ok(axum::serve(listener, routes).with_graceful_shutdown(until.cancelled_owned()).await?)
            })
        });
        Ok(Self { address: receiver.recv()?, _stop: stop.drop_guard() })
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Reads all its pages, and does nothing with them.
    async fn alone(&self) -> anyhow::Result<f64> {
        let mut client = Client::connect(&self.address.to_string()).await?;
        let start = Instant::now();
        for page in 0..TICKETS / 200 {
            let since = EPOCH_MS + page as i64 * 200 * 1_000;
            let path = format!("/rest/api/2/search?jql=updated+%3E%3D+{since}+ORDER&startAt=0&maxResults=200");
            let (status, _) = client.send("GET", &path, "").await?;
            anyhow::ensure!(status == 200, "{path}: {status}");
        }
        Ok(per_second(TICKETS, start))
    }
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Search {
    jql: String,
    start_at: usize,
    max_results: usize,
}

/// The n-th ticket changed n seconds after the first. A large run is read in parts, each of a range.
async fn search(Query(search): Query<Search>) -> impl IntoResponse {
    let [from, until] = ["updated >= ", "updated < "].map(|bound| place(&search.jql, bound));
    let (from, until) = (from.unwrap_or_default(), until.unwrap_or(TICKETS));
    let first = (from + search.start_at).min(until);
    let last = (first + search.max_results).min(until);
    let mut answer = format!(r#"{{"startAt":{},"total":{},"issues":["#, search.start_at, until - from.min(until));
    for n in first..last {
        let comma = if n > first { "," } else { "" };
        let at = chrono::DateTime::from_timestamp_millis(EPOCH_MS + n as i64 * 1_000).unwrap_or_default();
        let at = at.format("%Y-%m-%dT%H:%M:%S%.3f+0000");
        // Six lines of text, as a ticket has.
        let text = "the printer on the second floor prints nothing but stars, and it was fine yesterday.\\n".repeat(6);
        let _ = write!(
            answer,
            r#"{comma}{{"id":"{n}","key":"OPS-{n}","fields":{{"summary":"ticket number {n}","description":"{text}",
            "status":{{"name":"In Progress","statusCategory":{{"key":"indeterminate"}}}},"priority":{{"name":"High"}},
            "reporter":{{"displayName":"Li Wei","emailAddress":"li.wei@example.com"}},"assignee":null,
            "created":"{at}","updated":"{at}","duedate":"2026-12-01","resolutiondate":null,"labels":["printer"],
            "components":[{{"name":"hardware"}}],"issuetype":{{"name":"Incident"}}}}}}"#
        );
    }
    answer.push_str("]}");
    ([(CONTENT_TYPE, "application/json")], answer)
}

/// Reads which ticket is the first that a bound of a search does not leave before it.
fn place(jql: &str, bound: &str) -> Option<usize> {
    let at_ms: i64 = jql.split_once(bound)?.1.split(' ').next()?.parse().ok()?;
    let place = (at_ms - EPOCH_MS).max(0).unsigned_abs().div_ceil(1_000) as usize;
    Some(place.min(TICKETS))
}
