//! The lists, with a million jobs in the ledger and a hundred thousand of them in the queue.

use std::time::Instant;

use deskhand::db::Db;
use deskhand::on;

use super::database::{Scratch, clear, prefix, redis};
use super::load::{Client, milliseconds};
use super::process::Process;
use super::{quantile, sorted};

/// Rows of the ledger.
const ROWS: i64 = 1_000_000;
/// Requests of one figure.
const ASKED: usize = 200;

/// What is asked for. `0193…` is the id in the middle of all.
const PATHS: [&str; 33] = [
    "/jobs",
    "/jobs?size=200",
    "/jobs?page=400",
    "/jobs?page=40000",
    "/jobs?kind=bench.common",
    "/jobs?kind=bench.rare",
    "/jobs?kind=bench.none",
    "/jobs?queue=common",
    "/jobs?queue=rare",
    "/jobs?queue=none",
    "/jobs?queue=common&kind=bench.rare",
    "/jobs?queue=rare&kind=bench.common",
    "/jobs?state=pending",
    "/jobs?state=pushed",
    "/jobs?state=succeeded",
    "/jobs?state=succeeded&page=400",
    "/jobs?state=succeeded&kind=bench.rare",
    "/jobs?state=succeeded&queue=rare",
    "/jobs?state=succeeded&queue=rare&kind=bench.common",
    "/jobs?state=dead&kind=bench.rare",
    "/jobs?state=cancelled",
    "/jobs?state=ready",
    "/jobs?state=ready&queue=common",
    "/jobs?state=ready&cursor=",
    "/jobs?cursor=01930003-0d40-7d40-8000-000000030d40",
    "/jobs?queue=rare&cursor=01930007-a120-7120-8000-00000007a120",
    "/dead",
    "/dead?kind=bench.rare",
    "/dead?queue=rare",
    "/dead?after=2026-01-11T00:00:00Z&before=2026-01-11T01:00:00Z",
    "/dead?fingerprint=0000000000000007",
    "/dead/groups",
    "/queues",
];

/// Measures every list on each database.
pub(crate) async fn measure() -> anyhow::Result<()> {
    lists(Scratch::sqlite()?, None).await?;
    if let (Some(redis), Some(server)) = (redis(), Scratch::postgres().await?) {
        let prefix = prefix();
        let measured = lists(server, Some((&redis, &prefix))).await;
        clear(&redis, &prefix).await?;
        measured?;
    }
    Ok(())
}

async fn lists(database: Scratch, queue: Option<(&str, &str)>) -> anyhow::Result<()> {
    let db = Db::open(&database.url).await?;
    db.migrate().await?;
    fill(&db).await?;
    db.close().await;
    let process = Process::start(&database.url, queue.unwrap_or_default(), "api,scheduler").await?;
    let mut client = Client::connect(&process.address).await?;
    while !client.send("GET", "/api/v1/jobs?state=pending&size=1", "").await?.1.starts_with(br#"{"data":[]"#) {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    for path in PATHS {
        let path = format!("/api/v1{path}");
        let mut times_ms = Vec::with_capacity(ASKED);
        let began = Instant::now();
        let mut first = String::new();
        while times_ms.len() < ASKED && (began.elapsed().as_secs() < 5 || times_ms.len() < 3) {
            let asked = Instant::now();
            let (status, body) = client.send("GET", &path, "").await?;
            anyhow::ensure!(status == 200, "{path}: {status} {}", String::from_utf8_lossy(body));
            if times_ms.is_empty() {
                first = total_of(body);
            }
            times_ms.push(milliseconds(asked.elapsed()));
        }
        let times_ms = sorted(times_ms);
        let (p50, p99) = (quantile(&times_ms, 0.5), quantile(&times_ms, 0.99));
        let mark = if p99 > 20.0 { "  over 20 ms" } else { "" };
        println!("  {:<9} {path:<75} p50 {p50:>8.2} ms   p99 {p99:>8.2} ms   total {first:<7}{mark}", database.name);
    }
    drop(process);
    database.remove().await
}

fn total_of(body: &[u8]) -> String {
    let json: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    json["total"].as_u64().map(|total| total.to_string()).unwrap_or_default()
}

/// Writes the ledger of a year: nine of ten jobs have ended, a few in a thousand are dead, a hundred thousand wait in a queue that
/// nobody serves, one in ten thousand is of a rare kind or in a rare queue.
async fn fill(db: &Db) -> anyhow::Result<()> {
    let sqlite = format!(
        "WITH RECURSIVE n (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < {last}) {insert} \
         SELECT {id}, 'default', {kind}, {queue}, 2, '{{\"n\":1}}', '{{}}', '{{}}', {at}, {state}, {at}, {ended}, {ended}, {print} FROM n",
        last = ROWS - 1,
        insert = INSERT,
        id = "printf('%08x-%04x-7%03x-8000-%012x', 0x01930000 + n / 65536, n % 65536, n % 4096, n)",
        kind = kind(),
        queue = queue(),
        state = state(),
        at = "strftime('%Y-%m-%dT%H:%M:%S+00:00', 1767225600 + n, 'unixepoch')",
        ended =
            "CASE WHEN n % 10 = 9 THEN NULL ELSE strftime('%Y-%m-%dT%H:%M:%S+00:00', 1767225700 + n, 'unixepoch') END",
        print = "CASE WHEN n % 400 = 8 THEN printf('%016x', n % 97) END",
    );
    let postgres = format!(
        "{insert} SELECT {id}, 'default', {kind}, {queue}, 2, '{{\"n\":1}}', '{{}}', '{{}}', {at}, {state}, {at}, {ended}, {ended}, {print} \
         FROM generate_series(0, {last}) AS n",
        last = ROWS - 1,
        insert = INSERT,
        id = "lpad(to_hex(x'01930000'::int + n / 65536), 8, '0') || '-' || lpad(to_hex(n % 65536), 4, '0') || '-7' || \
              lpad(to_hex(n % 4096), 3, '0') || '-8000-' || lpad(to_hex(n), 12, '0')",
        kind = kind(),
        queue = queue(),
        state = state(),
        at = "to_timestamp(1767225600 + n)",
        ended = "CASE WHEN n % 10 = 9 THEN NULL ELSE to_timestamp(1767225700 + n) END",
        print = "CASE WHEN n % 400 = 8 THEN lpad(to_hex(n % 97), 16, '0') END",
    );
    let mut tx = db.begin().await?;
    let sql = match db.backend() {
        deskhand::db::Backend::Sqlite => sqlite,
        deskhand::db::Backend::Postgres => postgres,
    };
    on!(tx, |c| sqlx::query(sqlx::AssertSqlSafe(sql)).execute(c).await.map(|_| ()))?;
    tx.commit().await?;
    if db.backend() == deskhand::db::Backend::Postgres {
        // What its autovacuum would do after a while; SQLite has nobody who does it.
        let mut tx = db.begin().await?;
        on!(tx, |c| sqlx::query("ANALYZE jobs").execute(c).await.map(|_| ()))?;
        tx.commit().await?;
    }
    Ok(())
}

const INSERT: &str = "INSERT INTO jobs (id, tenant_id, kind, queue, priority, args, options, headers, run_at, state, created_at, ended_at, \
                      ended_through, fingerprint)";

fn kind() -> &'static str {
    "CASE WHEN n % 10000 IN (4001, 4008) THEN 'bench.rare' ELSE 'bench.common' END"
}

fn queue() -> &'static str {
    "CASE WHEN n % 10000 IN (4801, 4808) THEN 'rare' ELSE 'common' END"
}

fn state() -> &'static str {
    "CASE WHEN n % 10 = 9 THEN 'pending' WHEN n % 400 = 8 THEN 'dead' WHEN n % 10 = 7 THEN 'cancelled' ELSE 'succeeded' END"
}
