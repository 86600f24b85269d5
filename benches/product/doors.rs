//! The doors for new jobs: one by one, and many at once.

use std::time::{Duration, Instant};

use super::database::{Scratch, clear, prefix, redis};
use super::load::{Client, load, milliseconds};
use super::process::{Process, cpu_s};
use super::quantile;

/// A job for programs elsewhere, of which none asks for it.
const JOB: &str = r#"{"kind":"bench.nothing","queue":"bench","args":{"ballast":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}}"#;

/// Jobs of one request.
const MANY: usize = 1_000;

/// Measures `POST /jobs` over connections that stay open, on each database.
pub(crate) async fn measure_single() -> anyhow::Result<()> {
    for database in Scratch::each().await? {
        for (roles, connections, total) in
            [("api", 1, 1_000), ("api", 16, 5_000), ("api", 128, 40_000), ("api,scheduler,worker", 128, 40_000)]
        {
            single(&database, roles, connections, total).await?;
        }
        database.remove().await?;
    }
    Ok(())
}

async fn single(database: &Scratch, roles: &str, connections: usize, total: usize) -> anyhow::Result<()> {
    let process = Process::start(&database.url, ("", ""), roles).await?;
    declare(&process).await?;
    load(&process.address, ("POST", "/api/v1/jobs", JOB), connections, total / 10).await?;
    let (server_s, own_s) = (process.cpu_s()?, cpu_s("self")?);
    let load = load(&process.address, ("POST", "/api/v1/jobs", JOB), connections, total).await?;
    let per_100k = 100_000.0 / total as f64;
    println!(
        "  {:<9} {roles:<21} {connections:>4} connections {:>8.0}/s   p50 {:>6.2} ms   p99 {:>6.2} ms   CPU s per 100k: server {:.2}, load {:.2}",
        database.name,
        load.per_second,
        quantile(&load.times_ms, 0.5),
        quantile(&load.times_ms, 0.99),
        (process.cpu_s()? - server_s) * per_100k,
        (cpu_s("self")? - own_s) * per_100k,
    );
    Ok(())
}

/// Measures `POST /jobs/bulk`, and how soon the queue has what was accepted.
pub(crate) async fn measure_bulk() -> anyhow::Result<()> {
    let Some(redis) = redis() else { return Ok(()) };
    for database in Scratch::each().await? {
        for (roles, total) in [("api", 200_000), ("api,scheduler", 200_000)] {
            let prefix = prefix();
            let bulk = bulk(&database, (&redis, &prefix), roles, total).await;
            clear(&redis, &prefix).await?;
            bulk?;
        }
        database.remove().await?;
    }
    Ok(())
}

async fn bulk(database: &Scratch, queue: (&str, &str), roles: &str, total: usize) -> anyhow::Result<()> {
    let process = Process::start(&database.url, queue, roles).await?;
    declare(&process).await?;
    let body = format!(r#"{{"jobs":[{}]}}"#, vec![JOB; MANY].join(","));
    let request = ("POST", "/api/v1/jobs/bulk", body.as_str());
    load(&process.address, request, 2, 10).await?;
    let (server_s, start) = (process.cpu_s()?, Instant::now());
    let load = load(&process.address, request, 4, total / MANY).await?;
    let server_s = process.cpu_s()? - server_s;
    print!(
        "  {:<9} {roles:<21} accepted {:>8.0} jobs/s   p50 {:>6.1} ms for {MANY}   server CPU s per 100k: {:.2}",
        database.name,
        load.per_second * MANY as f64,
        quantile(&load.times_ms, 0.5),
        server_s * 100_000.0 / total as f64,
    );
    if roles.contains("scheduler") {
        let mut client = Client::connect(&process.address).await?;
        while !client.send("GET", "/api/v1/jobs?state=pending&size=1", "").await?.1.starts_with(br#"{"data":[]"#) {
            anyhow::ensure!(start.elapsed() < Duration::from_mins(2), "the relay did not come to an end");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        print!("   in the queue {:>8.0} jobs/s", total as f64 / milliseconds(start.elapsed()) * 1_000.0);
    }
    println!();
    Ok(())
}

/// Declares the queue of these jobs.
async fn declare(process: &Process) -> anyhow::Result<()> {
    let mut client = Client::connect(&process.address).await?;
    let (status, body) = client.send("PUT", "/api/v1/remote-queues/bench", "{}").await?;
    anyhow::ensure!((200..300).contains(&status), "{status}: {}", String::from_utf8_lossy(body));
    Ok(())
}
