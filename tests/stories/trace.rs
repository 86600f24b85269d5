//! One trace, from a request through the database, the queue and a handler in another process into a call of another system: the
//! same id in every header, in every line and at the collector.

use std::collections::BTreeSet;
use std::path::Path;

use axum::http::StatusCode;
use deskhand_jobs::TraceContext;
use serde_json::{Value, json};

use crate::fakes::collector::{Collector, Span};
use crate::fakes::jira::{Deployment, Jira, PASSWORD, USER};
use crate::faults::process::{Process, until};
use crate::fixtures::TestApp;
use crate::fixtures::app::TOKEN;
use crate::fixtures::databases::on_postgres;

/// What the collector calls server, client, producer, consumer, internal.
const INTERNAL: i32 = 1;
const SERVER: i32 = 2;
const CLIENT: i32 = 3;
const PRODUCER: i32 = 4;
const CONSUMER: i32 = 5;

#[tokio::test]
async fn on_embedded_storage() {
    one_trace(&[]).await;
}

#[tokio::test]
async fn on_postgres_with_the_embedded_queue() {
    on_postgres(async |fresh| one_trace(&[("DESKHAND_DATABASE__URL", &fresh.url)]).await).await;
}

#[tokio::test]
async fn on_redis_with_the_embedded_database() {
    let Ok(redis) = std::env::var("DESKHAND_TEST_REDIS_URL") else { return };
    let prefix = format!("trace-{:016x}", rand::random::<u64>());
    one_trace(&[("DESKHAND_QUEUE__URL", &format!("{redis}/6")), ("DESKHAND_QUEUE__PREFIX", &prefix)]).await;
}

#[tokio::test]
async fn on_servers() {
    let Ok(redis) = std::env::var("DESKHAND_TEST_REDIS_URL") else { return };
    let prefix = format!("trace-{:016x}", rand::random::<u64>());
    on_postgres(async |fresh| {
        let (queue, database) = (format!("{redis}/6"), fresh.url.as_str());
        let settings = [
            ("DESKHAND_DATABASE__URL", database),
            ("DESKHAND_QUEUE__URL", &queue),
            ("DESKHAND_QUEUE__PREFIX", &prefix),
        ];
        one_trace(&settings).await;
    })
    .await;
}

async fn one_trace(storage: &[(&str, &str)]) {
    let files = tempfile::tempdir().expect("a temporary directory");
    let (collector, jira) = (Collector::start().await, Jira::start(Deployment::Server, 3).await);
    let directory = files.path().to_str().expect("plain");
    let mut settings = vec![
        ("DESKHAND_DATA_DIR", directory),
        ("DESKHAND_ADMIN_TOKEN", TOKEN),
        ("DESKHAND_SERVER__LISTEN", "127.0.0.1:0"),
        ("DESKHAND_LOG", "info,deskhand=debug,deskhand_jobs=debug"),
        ("DESKHAND_LOG__FORMAT", "json"),
        ("DESKHAND_TELEMETRY__OTLP_ENDPOINT", &collector.url),
        ("DESKHAND_TELEMETRY__SERVICE_NAME", "desk"),
        ("DESKHAND_TELEMETRY__HEADERS__X-KEY", "open sesame"),
    ];
    settings.extend(storage);
    let test = TestApp::with(&settings).await;
    let system = json!({"name": "jira", "system_type": "jira", "deployment": "server", "api_url": jira.url.as_str(),
                        "username": USER, "password": PASSWORD, "sync_interval": 86400});
    let system = test.post("/api/v1/work-order-systems", system).await.json();
    let path = format!("/api/v1/work-order-systems/{}/sync", system["data"]["id"].as_str().expect("an id"));

    let (api_log, worker_log) = (files.path().join("api.log"), files.path().join("worker.log"));
    let mut api = Process::start_logging(&["api"], &settings, &api_log);
    let mut worker = Process::start_logging(&["worker"], &settings, &worker_log);
    let url = until("the API says where it is", async || {
        let out = read(&api_log.with_extension("out"));
        out.lines().find_map(|line| Some(line.split_once("serves ")?.1.to_owned()))
    })
    .await;

    let (caller, unrecorded) = (TraceContext::root(), TraceContext::root().traceparent().replace("-01", "-00"));
    let client = reqwest::Client::new();
    let ask = async |request: reqwest::RequestBuilder, traceparent: String| {
        let request = request.bearer_auth(TOKEN).header("traceparent", traceparent).header("x-request-id", "the-story");
        request.send().await.expect("answers")
    };
    let listed = ask(client.get(format!("{url}/api/v1/jobs")), unrecorded.clone()).await;
    assert_eq!(listed.status(), StatusCode::OK);
    let asked = ask(client.post(format!("{url}{path}")), caller.traceparent()).await;
    assert_eq!(asked.status(), StatusCode::ACCEPTED);
    let asked: Value = serde_json::from_str(&asked.text().await.expect("text")).expect("JSON");
    let job = asked["data"]["job_id"].as_str().expect("a job").to_owned();
    until("the job succeeds", async || {
        let state = test.get(&format!("/api/v1/jobs/{job}")).await.json()["data"]["state"].take();
        (state == "succeeded").then_some(())
    })
    .await;
    // A stop in good order sends the last spans.
    assert_eq!((worker.stop().await, api.stop().await), (Some(0), Some(0)));

    let trace = caller.trace_id().to_string();
    let spans = collector.spans(&trace);
    let tree = connected(&spans, &caller, &job);
    let outside: BTreeSet<String> = jira.traceparents().into_iter().collect();
    let called: BTreeSet<String> = tree.calls.iter().map(|id| format!("00-{trace}-{id}-01")).collect();
    assert!(!called.is_empty() && outside == called, "{outside:?} {called:?} {spans:#?}");
    assert!(collector.keys().iter().all(|key| key == "open sesame"), "{:?}", collector.keys());
    let not_recorded = unrecorded.split('-').nth(1).expect("an id");
    assert_eq!(collector.spans(not_recorded).len(), 0, "its caller does not record it");

    let request = lines(&api_log, "request_id", "the-story");
    let of_request: Vec<&Value> = request.iter().filter(|line| line["trace_id"] == trace.as_str()).collect();
    assert!(request.iter().all(|line| line["trace_id"] == trace.as_str() || line["trace_id"] == not_recorded));
    said(&of_request, &["goes into the database", "POST /api/v1/work-order-systems/{id}/sync 202"]);
    let of_job = lines(&worker_log, "job_id", &job);
    assert!(of_job.iter().all(|line| line["trace_id"] == trace.as_str()), "{of_job:?}");
    said(
        &of_job.iter().collect::<Vec<_>>(),
        &["goes into the queue", "the sync of jira ended: success", "ended an attempt"],
    );
    let by_handler =
        of_job.iter().find(|line| line["message"].as_str().is_some_and(|text| text.contains("the sync of")));
    let by_handler = by_handler.expect("checked above");
    for (name, value) in [
        ("kind", "work_orders.sync_system".into()),
        ("queue", "default".into()),
        ("attempt", 1.into()),
        ("tenant", "default".into()),
        ("target", "deskhand::work_orders::service::run".into()),
    ] as [(&str, Value); 5]
    {
        assert_eq!(by_handler[name], value, "{name} of {by_handler}");
    }
}

struct Tree {
    calls: Vec<String>,
}

/// Checks that the spans are one tree under the caller, with everything that happened in it.
fn connected(spans: &[Span], caller: &TraceContext, job: &str) -> Tree {
    let ids: BTreeSet<&str> = spans.iter().map(|span| span.id.as_str()).collect();
    assert_eq!(ids.len(), spans.len(), "an id names one span: {spans:#?}");
    let caller = caller.span_id().to_string();
    assert!(spans.iter().all(|span| span.parent == caller || ids.contains(span.parent.as_str())), "{spans:#?}");
    assert!(spans.iter().all(|span| span.service == "desk"), "{spans:#?}");
    let one = |kind: i32, name: &str| {
        let found: Vec<&Span> = spans.iter().filter(|span| span.kind == kind && span.name == name).collect();
        assert_eq!(found.len(), 1, "{name} of kind {kind} among {spans:#?}");
        found[0]
    };
    let request = one(SERVER, "POST /api/v1/work-order-systems/{id}/sync");
    let enqueue = one(PRODUCER, "enqueue work_orders.sync_system");
    let push = one(INTERNAL, "push work_orders.sync_system");
    let attempt = one(CONSUMER, "process work_orders.sync_system");
    let calls: Vec<&Span> = spans.iter().filter(|span| span.kind == CLIENT).collect();
    assert_eq!(request.parent, caller);
    assert_eq!((&enqueue.parent, &push.parent, &attempt.parent), (&request.id, &enqueue.id, &enqueue.id));
    assert!(calls.iter().all(|call| call.parent == attempt.id), "{calls:#?}");
    for (span, key, value) in [
        (request, "http.request.method", "POST"),
        (request, "http.response.status_code", "202"),
        (request, "deskhand.request_id", "the-story"),
        (attempt, "messaging.message.id", job),
        (attempt, "messaging.destination.name", "default"),
        (attempt, "deskhand.outcome", "succeeded"),
        (calls[0], "http.request.method", "GET"),
        (calls[0], "http.response.status_code", "200"),
    ] {
        assert_eq!(span.attribute(key).as_deref(), Some(value), "{key} of {span:#?}");
    }
    Tree { calls: calls.iter().map(|call| call.id.clone()).collect() }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// Reads the lines that bear a value; every line of the log has to be an object.
fn lines(path: &Path, name: &str, value: &str) -> Vec<Value> {
    let text = read(path);
    let all =
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap_or_else(|_| panic!("not JSON: {line}")));
    all.filter(|line| line[name] == value).collect()
}

fn said(lines: &[&Value], parts: &[&str]) {
    for part in parts {
        let found = lines.iter().any(|line| line["message"].as_str().is_some_and(|text| text.contains(part)));
        assert!(found, "no line says {part:?} among {lines:#?}");
    }
}
