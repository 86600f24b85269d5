//! `docs/metrics.md` and the program say the same of the figures.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use deskhand::http;
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

use crate::fixtures::TestApp;

/// Notes what is described to it.
#[derive(Default)]
struct Described(Mutex<BTreeMap<String, &'static str>>);

impl Described {
    fn note(&self, name: &KeyName, kind: &'static str) {
        let before = self.0.lock().expect("one thread").insert(name.as_str().to_owned(), kind);
        assert_eq!(before, None, "{} is described twice", name.as_str());
    }
}

impl Recorder for Described {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        self.note(&name, "counter");
    }

    fn describe_gauge(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        self.note(&name, "gauge");
    }

    fn describe_histogram(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        self.note(&name, "histogram");
    }

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

fn described() -> BTreeMap<String, &'static str> {
    let described = Described::default();
    metrics::with_local_recorder(&described, http::metrics::describe);
    described.0.into_inner().expect("one thread")
}

/// Reads the rows of the page whose first cell is a name.
fn documented() -> BTreeMap<String, String> {
    let page = include_str!("../../docs/metrics.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| {
        let mut cells = row.split('|').map(|cell| cell.trim().trim_end_matches('`').to_owned());
        let mut next = || cells.next().expect("a cell");
        (next(), next())
    })
    .collect()
}

#[test]
fn every_figure_stands_in_the_document_and_the_document_invents_none() {
    let program: BTreeMap<String, String> =
        described().into_iter().map(|(name, kind)| (name, kind.to_owned())).collect();
    assert_eq!(program, documented());
}

#[test]
fn names_follow_the_conventions() {
    for (name, kind) in described() {
        assert!(name.starts_with("deskhand_") || name.starts_with("process_"), "{name}");
        // The one exception has this name with everybody, and is a gauge because the recorder counts whole numbers only.
        let counts = name.ends_with("_total") && name != "process_cpu_seconds_total";
        assert_eq!(kind == "counter", counts, "{name} is a {kind}");
        assert!(kind != "histogram" || name.ends_with("_seconds"), "{name} has no buckets of its own");
    }
}

#[test]
fn every_name_in_the_code_is_described() {
    let described = described();
    let named: BTreeSet<String> =
        ["src", "jobs/src"].iter().flat_map(|directory| names_in(Path::new(directory))).collect();
    assert!(named.len() > 20, "{named:?}");
    let unknown: Vec<&String> = named.iter().filter(|name| !described.contains_key(*name)).collect();
    assert!(unknown.is_empty(), "describe these figures, and give them a line in docs/metrics.md: {unknown:?}");
}

/// Returns the texts in code that look like the name of a figure.
fn names_in(directory: &Path) -> Vec<String> {
    // The channel of the database, and cookies.
    const OTHERS: [&str; 3] = ["deskhand_jobs", "deskhand_oidc", "deskhand_session"];
    let mut found = Vec::new();
    let mut waiting = vec![PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(directory)];
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(std::fs::read_dir(&path).expect("readable").flatten().map(|entry| entry.path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).expect("readable");
            let quoted = text.split('"').filter(|text| text.starts_with("deskhand_") || text.starts_with("process_"));
            let plain = quoted.filter(|text| text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
            found.extend(plain.filter(|text| !OTHERS.contains(text)).map(str::to_owned));
        }
    }
    found
}

#[tokio::test]
async fn a_scrape_tells_of_the_process_the_database_and_the_outbox() {
    let test = TestApp::new().await;
    http::metrics::record().expect("records");
    test.post("/api/v1/jobs", serde_json::json!({"kind": "work_orders.sync"})).await;
    assert_eq!(test.call_with("wrong", "GET", "/api/v1/jobs", None).await.status, 401);
    let text = test.get("/metrics").await.text;
    for line in [
        "deskhand_outbox_pending ",
        "deskhand_outbox_oldest_seconds ",
        "deskhand_database_up 1",
        "process_resident_memory_bytes ",
        "process_open_fds ",
        "deskhand_build_info{version=",
        r#"deskhand_db_connections{pool="writer",state="idle"} "#,
        r#"deskhand_db_transaction_seconds_count{access="write"} "#,
        r#"deskhand_http_auth_failures_total{status="401"} "#,
        "deskhand_http_requests_in_flight ",
        r#"route="/api/v1/jobs",status="401""#,
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
}
