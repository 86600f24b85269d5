//! How long a job waits for a worker that has much to do: a steady stream at a part of what goes through.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::crew::Crew;
use super::flood::{plain_batches, push, push_in_bulk};
use super::job::{Starts, envelope, plain};
use super::plan::LOAD_FOR;
use super::stage::Stage;
use super::statistics::Sorted;
use crate::base::{Error, Result};

/// The part of what goes through that counts as a busy worker.
pub(super) const LOAD: f64 = 0.8;

/// How often the stream pushes what is due.
const TICK: Duration = Duration::from_millis(2);

/// The part of the stream that is not counted, until it flows evenly.
const RUN_UP: f64 = 0.2;

/// Returns how many jobs a second go through while they are pushed and run at the same time.
pub(super) async fn through_per_s(stage: &Stage, jobs: usize) -> Result<f64> {
    let starts = Starts::expect(jobs, 0);
    let batches = plain_batches(stage, jobs)?;
    let crew = Crew::start(stage, &starts)?;
    let start = Instant::now();
    push_in_bulk(stage, batches).await?;
    starts.all_begun().await?;
    let wall_s = start.elapsed().as_secs_f64();
    crew.finish(&starts, jobs).await?;
    Ok(jobs as f64 / wall_s)
}

/// Pushes so many jobs a second; returns the milliseconds from before each push to the first line of its handler.
pub(super) async fn waits_ms(stage: &Stage, per_s: f64) -> Result<Sorted> {
    let jobs = ((per_s * LOAD_FOR.as_secs_f64()) as usize).min(stage.plan.jobs).max(1);
    let starts = Starts::expect(jobs, jobs);
    let mut envelopes = (0..jobs)
        .map(|number| envelope(stage.plan.payload_bytes, Some(number), plain()))
        .collect::<Result<Vec<_>>>()?
        .into_iter();
    let crew = Crew::start(stage, &starts)?;
    let mut ticks = interval(TICK);
    // What a late tick has missed is due at once: the stream does not slow down for the worker.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (mut pushed_ns, mut calls) = (Vec::with_capacity(jobs), JoinSet::new());
    let start = Instant::now();
    while pushed_ns.len() < jobs {
        ticks.tick().await;
        let due = ((start.elapsed().as_secs_f64() * per_s) as usize).min(jobs) - pushed_ns.len();
        let batch: Vec<_> = envelopes.by_ref().take(due).collect();
        if batch.is_empty() {
            continue;
        }
        let now_ns = starts.now_ns();
        pushed_ns.extend(batch.iter().map(|_| now_ns));
        let queue = Arc::clone(&stage.queue);
        calls.spawn(async move { push(&*queue, &batch).await });
    }
    while let Some(call) = calls.join_next().await {
        call.map_err(|error| Error::internal("a push of the measures broke", error))??;
    }
    crew.finish(&starts, jobs).await?;
    let counted = pushed_ns.iter().enumerate().skip((jobs as f64 * RUN_UP) as usize);
    let waits = counted.filter_map(|(number, pushed_ns)| {
        starts.began_ns(number).map(|began_ns| began_ns.saturating_sub(*pushed_ns) as f64 / 1e6)
    });
    Ok(Sorted::new(waits.collect()))
}
