//! The outbox on PostgreSQL: jobs committed with their business rows, the way into the queue, and back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use deskhand::db::{Build, Db, Tx};
use deskhand::dispatch::{Enqueue, Keeper, Relay};
use deskhand::on;
use deskhand_jobs::queue::redis::RedisQueue;
use deskhand_jobs::queue::{Endings, Queue};
use deskhand_jobs::worker::{Config, Worker};
use deskhand_jobs::{Envelope, Job, Options, Outcome, QueueName, Registry, Run, outcome};
use sea_query::{Alias, Query};
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::database::{Scratch, clear, prefix, redis};
use super::load::milliseconds;
use super::{per_second, quantile, sorted};

/// Jobs and business rows of one transaction.
const BATCH: usize = 500;
/// Jobs of one measure.
const JOBS: usize = 50_000;
/// Jobs that are timed one by one.
const TIMED: usize = 200;

/// Does nothing, and carries 100 bytes.
#[derive(Serialize, Deserialize)]
struct Nothing {
    ballast: String,
}

impl Job for Nothing {
    const KIND: &'static str = "bench.nothing";
    type Context = mpsc::UnboundedSender<Instant>;

    fn options(&self) -> Options {
        Options { queue: QueueName::new("bench").expect("plain"), ..Options::default() }
    }

    async fn run(self, started: Self::Context, _: Run) -> outcome::Result {
        // Nobody listens once everything is measured.
        let _ = started.send(Instant::now());
        Ok(Outcome::Done)
    }
}

fn job() -> anyhow::Result<Envelope> {
    Ok(Envelope::new(&Nothing { ballast: "x".repeat(86) })?)
}

/// Measures it all, if both servers are there.
pub(crate) async fn measure() -> anyhow::Result<()> {
    let (Some(redis), Some(server)) = (redis(), Scratch::postgres().await?) else { return Ok(()) };
    let prefix = prefix();
    let measured = all(&server.url, &redis, &prefix).await;
    clear(&redis, &prefix).await?;
    server.remove().await?;
    measured
}

async fn all(database: &str, redis: &str, prefix: &str) -> anyhow::Result<()> {
    let db = Db::open(database).await?;
    db.migrate().await?;
    let queue: Arc<dyn Queue> = Arc::new(RedisQueue::open(redis, prefix, Endings::Keep).await?);
    let mut tx = db.begin().await?;
    let table = "CREATE TABLE bench_orders (id TEXT PRIMARY KEY, customer TEXT NOT NULL, body TEXT NOT NULL)";
    on!(tx, |c| sqlx::query(table).execute(c).await.map(|_| ()))?;
    tx.commit().await?;

    let (mut bare, mut with_jobs) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        bare.push(commit(&db, false).await?);
        with_jobs.push(commit(&db, true).await?);
    }
    let (bare, with_jobs) = (middle(bare), middle(with_jobs));
    println!("  rows of {BATCH} committed alone          {bare:>8.0}/s");
    println!("  the same, each with its job       {with_jobs:>8.0}/s   ratio {:.2}", with_jobs / bare);

    let relay = Relay::new(db.clone(), queue.clone());
    let start = Instant::now();
    let mut relayed = 0;
    while relayed < 3 * JOBS {
        relayed += relay.push_due().await?;
    }
    let relayed = per_second(relayed, start);
    println!("  relayed into Redis                {relayed:>8.0}/s   ratio {:.2}", relayed / bare);

    let mut loops = Loops::start(&db, &queue)?;
    let start = Instant::now();
    loops.started(3 * JOBS).await?;
    loops.written(&db).await?;
    println!("  run, and their ends written back  {:>8.0}/s", per_second(3 * JOBS, start));

    let start = Instant::now();
    commit(&db, true).await?;
    loops.started(JOBS).await?;
    loops.written(&db).await?;
    println!("  committed, relayed, run, written  {:>8.0}/s", per_second(JOBS, start));

    for (name, door) in [("of the same process", db.clone()), ("of another process", Db::open(database).await?)] {
        let times_ms = sorted(loops.times_ms(&door).await?);
        println!(
            "  from a commit {name:<19} to the start: p50 {:.2} ms, p99 {:.2} ms",
            quantile(&times_ms, 0.5),
            quantile(&times_ms, 0.99)
        );
    }
    loops.stop().await
}

/// Commits business rows in batches, alone or with their jobs; returns how many a second.
async fn commit(db: &Db, with_jobs: bool) -> anyhow::Result<f64> {
    let start = Instant::now();
    for _ in 0..JOBS / BATCH {
        let jobs: Vec<Envelope> = (0..BATCH).map(|_| job()).collect::<Result<_, _>>()?;
        let mut tx = db.begin().await?;
        let mut insert = Query::insert();
        insert.into_table(Alias::new("bench_orders")).columns(["id", "customer", "body"].map(Alias::new));
        for job in &jobs {
            insert.values_panic([job.id.to_string().into(), "somebody".into(), "y".repeat(100).into()]);
        }
        write(&mut tx, &insert).await?;
        if with_jobs {
            tx.enqueue_many(&jobs).await?;
        }
        tx.commit().await?;
    }
    Ok(per_second(JOBS, start))
}

async fn write(tx: &mut Tx, insert: &sea_query::InsertStatement) -> anyhow::Result<()> {
    on!(tx, |c| {
        let (sql, values) = c.build(insert);
        sqlx::query_with(sql, values).execute(c).await.map(|_| ())
    })?;
    Ok(())
}

fn middle(mut figures: Vec<f64>) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// A relay, a worker and a keeper at work.
struct Loops {
    stop: CancellationToken,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    starts: mpsc::UnboundedReceiver<Instant>,
}

impl Loops {
    fn start(db: &Db, queue: &Arc<dyn Queue>) -> anyhow::Result<Self> {
        let (stop, (sender, starts)) = (CancellationToken::new(), mpsc::unbounded_channel());
        let mut registry = Registry::new();
        registry.add::<Nothing>(sender)?;
        let config = Config { queues: "bench".parse()?, concurrency: 256, ..Config::default() };
        let settled = Arc::new(Notify::new());
        let wake = settled.clone();
        let worker = Worker::new(queue.clone(), registry, config).on_settled(move || wake.notify_one());
        let (relay, keeper) = (Relay::new(db.clone(), queue.clone()), Keeper::new(db.clone(), queue.clone()));
        let (of_relay, of_keeper, of_worker) = (stop.clone(), stop.clone(), stop.clone());
        let tasks = vec![
            tokio::spawn(async move { relay.run(of_relay).await }),
            tokio::spawn(async move { keeper.run(of_keeper, settled).await }),
            tokio::spawn(async move {
                worker.run(of_worker).await;
            }),
        ];
        Ok(Self { stop, tasks, starts })
    }

    async fn started(&mut self, jobs: usize) -> anyhow::Result<()> {
        for _ in 0..jobs {
            tokio::time::timeout(Duration::from_mins(1), self.starts.recv()).await?;
        }
        Ok(())
    }

    /// Waits until every row has its end.
    async fn written(&self, db: &Db) -> anyhow::Result<()> {
        let sql = "SELECT 1 FROM jobs WHERE state IN ('pending', 'pushed') LIMIT 1";
        loop {
            let mut tx = db.read().await?;
            let left: Option<i32> = on!(tx, |c| sqlx::query_scalar(sql).fetch_optional(c).await)?;
            if left.is_none() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Commits one job after another and times each from the end of its commit to the first line of its handler.
    async fn times_ms(&mut self, db: &Db) -> anyhow::Result<Vec<f64>> {
        let mut times_ms = Vec::with_capacity(TIMED);
        for _ in 0..TIMED {
            let mut tx = db.begin().await?;
            tx.enqueue(&job()?).await?;
            tx.commit().await?;
            let committed = Instant::now();
            let started = tokio::time::timeout(Duration::from_mins(1), self.starts.recv()).await?;
            times_ms.push(started.map_or(f64::NAN, |at| milliseconds(at.saturating_duration_since(committed))));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(times_ms)
    }

    async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        for task in self.tasks {
            task.await?;
        }
        Ok(())
    }
}
