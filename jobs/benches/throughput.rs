//! How many jobs go in and come out, beside what the bare server does with the same bytes in the same run.
//!
//! `make bench` runs it. Figures of one run are to be read against each other: machines differ, ratios less.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use deskhand_jobs::queue::redis::RedisQueue;
use deskhand_jobs::queue::sqlite::SqliteQueue;
use deskhand_jobs::queue::{Endings, Queue};
use deskhand_jobs::worker::{Config, Worker};
use deskhand_jobs::{Envelope, Job, Outcome, Registry, Run, outcome};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

const BATCH: usize = 500;

/// Does nothing, and carries 100 bytes.
#[derive(Serialize, Deserialize)]
struct Nothing {
    ballast: String,
}

impl Job for Nothing {
    const KIND: &'static str = "bench.nothing";
    type Context = Arc<AtomicUsize>;

    async fn run(self, done: Self::Context, _: Run) -> outcome::Result {
        done.fetch_add(1, Ordering::Relaxed);
        Ok(Outcome::Done)
    }
}

fn per_second(count: usize, start: Instant) -> f64 {
    count as f64 / start.elapsed().as_secs_f64()
}

async fn measure(name: &str, queue: Arc<dyn Queue>, jobs: usize) -> anyhow::Result<(f64, f64)> {
    let batches: Vec<Vec<Envelope>> = (0..jobs / BATCH)
        .map(|_| (0..BATCH).map(|_| Envelope::new(&Nothing { ballast: "x".repeat(86) })).collect())
        .collect::<Result<_, _>>()?;
    let start = Instant::now();
    for batch in &batches {
        queue.push(batch).await?;
    }
    let push = per_second(jobs, start);

    let done = Arc::new(AtomicUsize::new(0));
    let mut registry = Registry::new();
    registry.add::<Nothing>(done.clone())?;
    let stop = CancellationToken::new();
    let start = Instant::now();
    let worker = Worker::new(queue.clone(), registry, Config { concurrency: 256, ..Config::default() });
    let running = tokio::spawn(worker.run(stop.clone()));
    while done.load(Ordering::Relaxed) < jobs {
        anyhow::ensure!(start.elapsed() < Duration::from_mins(2), "{name}: the queue was not drained in two minutes");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let drain = per_second(jobs, start);
    stop.cancel();
    running.await?;
    println!("{name:<24} push {push:>9.0}/s   drain {drain:>9.0}/s   ({jobs} jobs)");
    Ok((push, drain))
}

/// A list of the same payloads, in and out, in the same batches: what no queue on this server can beat by much.
async fn bare_redis(url: &str, jobs: usize) -> anyhow::Result<(f64, f64)> {
    let mut connection = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
    let payload = Envelope::new(&Nothing { ballast: "x".repeat(86) })?.encode();
    let start = Instant::now();
    for _ in 0..jobs / BATCH {
        let mut push = redis::cmd("RPUSH");
        push.arg("bench:bare");
        for _ in 0..BATCH {
            push.arg(&payload);
        }
        push.query_async::<()>(&mut connection).await?;
    }
    let push = per_second(jobs, start);
    let start = Instant::now();
    for _ in 0..jobs / BATCH {
        redis::cmd("LPOP").arg("bench:bare").arg(BATCH).query_async::<redis::Value>(&mut connection).await?;
    }
    let pop = per_second(jobs, start);
    println!("{:<24} push {push:>9.0}/s   pop   {pop:>9.0}/s   ({jobs} payloads)", "bare redis list");
    Ok((push, pop))
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let file = SqliteQueue::open(&directory.path().join("queue.db"), Endings::Drop).await?;
    measure("sqlite", Arc::new(file), 50_000).await?;

    let Ok(url) = std::env::var("DESKHAND_TEST_REDIS_URL") else {
        println!("redis is left out: set DESKHAND_TEST_REDIS_URL, or run `make bench`");
        return Ok(());
    };
    let (bare_push, bare_pop) = bare_redis(&url, 200_000).await?;
    for (name, endings) in [("redis", Endings::Drop), ("redis, endings kept", Endings::Keep)] {
        let prefix = format!("bench:{}", deskhand_jobs::JobId::new());
        let store: Arc<dyn Queue> = Arc::new(RedisQueue::open(&url, &prefix, endings).await?);
        let (push, drain) = measure(name, store, 200_000).await?;
        println!("{:<24} push {:>9.2}     drain {:>9.2}", "  ratio to bare", push / bare_push, drain / bare_pop);
    }
    Ok(())
}
