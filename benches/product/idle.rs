//! A process that has nothing to do.

use std::time::Duration;

use super::database::{Scratch, clear, prefix, redis};
use super::load::milliseconds;
use super::process::Process;

/// How long it is watched.
const WATCHED: Duration = Duration::from_secs(30);

/// Measures what `deskhand serve` takes while nothing happens, and how soon it is ready on a database that is there.
pub(crate) async fn measure() -> anyhow::Result<()> {
    let embedded = Scratch::sqlite()?;
    idle(&embedded, ("", "")).await?;
    if let (Some(redis), Some(server)) = (redis(), Scratch::postgres().await?) {
        let prefix = prefix();
        let idle = idle(&server, (&redis, &prefix)).await;
        clear(&redis, &prefix).await?;
        server.remove().await?;
        idle?;
    }
    Ok(())
}

async fn idle(database: &Scratch, queue: (&str, &str)) -> anyhow::Result<()> {
    let first = Process::start(&database.url, queue, "api,scheduler,worker").await?;
    drop(first);
    let process = Process::start(&database.url, queue, "api,scheduler,worker").await?;
    // What it does at the start is not idle.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before_s = process.cpu_s()?;
    tokio::time::sleep(WATCHED).await;
    println!(
        "  {:<9} {:>5.2} % of a core   {:>5.1} MB   ready after {:>4.0} ms",
        database.name,
        (process.cpu_s()? - before_s) / WATCHED.as_secs_f64() * 100.0,
        process.resident_mb()?,
        milliseconds(process.ready_after),
    );
    Ok(())
}
