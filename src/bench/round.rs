//! One round: everything once, the bare server and ours in turns.

use std::collections::BTreeMap;

use super::bare::Bare;
use super::flood::{Cost, drain, plain_batches, push_in_bulk, push_singly, singles};
use super::job::plain;
use super::stage::{Ground, Stage};
use super::{deep, delay, load, pickup, spread};
use crate::base::Result;

/// What a round has found, by key.
pub(super) type Figures = BTreeMap<&'static str, f64>;

/// Tells where a round is.
#[derive(Clone, Copy)]
pub(super) struct Progress {
    pub(super) tell: fn(&str),
    pub(super) number: usize,
    pub(super) of: usize,
}

impl Progress {
    fn say(self, what: &str) {
        (self.tell)(&format!("round {} of {}: {what}", self.number, self.of));
    }
}

/// Uses everything once, so that connections, scripts and tables are there.
pub(super) async fn warm_up(stage: &Stage) -> Result<()> {
    let jobs = (stage.plan.jobs / 10).clamp(100, 20_000);
    if let Ground::Redis(server) = &stage.ground {
        let bare = Bare::on(server)?;
        bare.push(Bare::batches(jobs, stage.plan.payload_bytes)?).await?;
        bare.drain(jobs).await?;
    }
    push_singly(stage, &singles(stage, 20, &plain())?).await?;
    push_in_bulk(stage, plain_batches(stage, jobs)?).await?;
    drain(stage, jobs + 20).await
}

/// Measures everything once.
pub(super) async fn measure(stage: &Stage, progress: Progress) -> Result<Figures> {
    let mut figures = Figures::new();
    let (jobs, singly) = (stage.plan.jobs, stage.plan.singles());

    progress.say("one by one");
    bare_call(stage, singly, &mut figures).await?;
    let made = singles(stage, singly, &plain())?;
    let single_s = Cost::of(stage, push_singly(stage, &made)).await?.wall_s / singly as f64;
    figures.insert("enqueue_single_per_s", 1.0 / single_s);
    ratio(&mut figures, "single_per_ping", single_s * 1e3, "ping_ms");
    ratio(&mut figures, "single_per_page", single_s * 1e3, "page_on_disk_ms");

    progress.say("in bulk");
    if let Ground::Redis(server) = &stage.ground {
        let bare = Bare::on(server)?;
        let batches = Bare::batches(jobs, stage.plan.payload_bytes)?;
        let push = Cost::of(stage, bare.push(batches)).await?;
        let out = Cost::of(stage, bare.drain(jobs)).await?;
        figures.insert("bare_bulk_per_s", jobs as f64 / push.wall_s);
        figures.insert("bare_drain_per_s", jobs as f64 / out.wall_s);
        per_100k(&mut figures, "bare_redis_cpu_s_per_100k", out.server_cpu_s, jobs);
    }
    let batches = plain_batches(stage, jobs)?;
    let bytes_before = stage.data_bytes().await?;
    let bulk = Cost::of(stage, push_in_bulk(stage, batches)).await?;
    figures.insert("bytes_per_waiting_job", (stage.data_bytes().await? - bytes_before) / jobs as f64);
    let bulk_per_s = jobs as f64 / bulk.wall_s;
    figures.insert("enqueue_bulk_per_s", bulk_per_s);
    ratio(&mut figures, "bulk_ratio", bulk_per_s, "bare_bulk_per_s");
    per_100k(&mut figures, "bulk_cpu_s_per_100k", Some(bulk.cpu_s), jobs);
    per_100k(&mut figures, "bulk_redis_cpu_s_per_100k", bulk.server_cpu_s, jobs);

    progress.say("drain");
    let waiting = jobs + singly;
    let out = Cost::of(stage, drain(stage, waiting)).await?;
    let drain_per_s = waiting as f64 / out.wall_s;
    figures.insert("drain_per_s", drain_per_s);
    ratio(&mut figures, "drain_ratio", drain_per_s, "bare_drain_per_s");
    per_100k(&mut figures, "worker_cpu_s_per_100k", Some(out.cpu_s), waiting);
    per_100k(&mut figures, "redis_cpu_s_per_100k", out.server_cpu_s, waiting);

    progress.say("pick-up");
    let waits = pickup::pickup_ms(stage, stage.plan.pickups()).await?;
    figures.extend([("pickup_p50_ms", waits.at(0.5)), ("pickup_p99_ms", waits.at(0.99))]);
    let through_per_s = load::through_per_s(stage, jobs).await?;
    figures.insert("through_per_s", through_per_s);
    let waits = load::waits_ms(stage, through_per_s * load::LOAD).await?;
    figures.extend([("load_pickup_p50_ms", waits.at(0.5)), ("load_pickup_p99_ms", waits.at(0.99))]);

    progress.say("delays");
    let delayed = stage.plan.delayed(through_per_s);
    let errors = delay::errors_ms(stage, delayed, bulk_per_s).await?;
    figures.extend([
        ("delayed_jobs", delayed as f64),
        ("delay_error_p50_ms", errors.at(0.5)),
        ("delay_error_p99_ms", errors.at(0.99)),
        ("delay_error_max_ms", errors.at(1.0)),
    ]);
    if stage.plan.deep {
        progress.say("priorities, groups, unique keys");
        deep::flavours(stage, &mut figures).await?;
        progress.say("backlogs");
        deep::backlog(stage, &mut figures).await?;
        progress.say("two workers");
        spread::workers(stage, &mut figures).await?;
    }
    Ok(figures)
}

/// Measures the cheapest durable call of the ground.
async fn bare_call(stage: &Stage, times: usize, figures: &mut Figures) -> Result<()> {
    match &stage.ground {
        Ground::Redis(server) => {
            let ping = Cost::of(stage, Bare::on(server)?.ping(times)).await?;
            figures.insert("ping_ms", ping.wall_s * 1e3 / times as f64);
        }
        Ground::Sqlite(file) => {
            figures.insert("page_on_disk_ms", file.page_on_disk_s(times.min(500)).await? * 1e3);
        }
    }
    Ok(())
}

fn ratio(figures: &mut Figures, key: &'static str, ours: f64, bare: &str) {
    if let Some(bare) = figures.get(bare).copied() {
        figures.insert(key, ours / bare);
    }
}

fn per_100k(figures: &mut Figures, key: &'static str, seconds: Option<f64>, jobs: usize) {
    if let Some(seconds) = seconds {
        figures.insert(key, seconds * 1e5 / jobs as f64);
    }
}
