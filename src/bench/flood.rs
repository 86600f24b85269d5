//! Many jobs in, many jobs out.

use std::sync::Arc;
use std::time::Instant;

use deskhand_jobs::queue::{Pushed, Queue};
use deskhand_jobs::{Envelope, Options};
use tokio::task::JoinSet;

use super::clock::process_cpu_s;
use super::crew::Crew;
use super::job::{Starts, envelope, plain};
use super::plan::{BATCH, CALLS_AT_ONCE};
use super::stage::Stage;
use crate::base::{Error, Result};

/// What an amount of work took.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::struct_field_names, reason = "the unit is part of a name")]
pub(super) struct Cost {
    pub(super) wall_s: f64,
    /// Of this process.
    pub(super) cpu_s: f64,
    /// Of the server, if there is one.
    pub(super) server_cpu_s: Option<f64>,
}

impl Cost {
    /// Takes the cost of some work.
    pub(super) async fn of<T>(stage: &Stage, work: impl Future<Output = Result<T>>) -> Result<Self> {
        let server_before = stage.server_cpu_s().await?;
        let (cpu_before, start) = (process_cpu_s(), Instant::now());
        work.await?;
        let (wall_s, cpu_s) = (start.elapsed().as_secs_f64(), process_cpu_s() - cpu_before);
        let server_after = stage.server_cpu_s().await?;
        let server_cpu_s = server_after.zip(server_before).map(|(after, before)| after - before);
        Ok(Self { wall_s, cpu_s, server_cpu_s })
    }
}

/// Makes jobs in batches.
pub(super) fn batches(jobs: usize, make: impl Fn(usize) -> Result<Envelope>) -> Result<Vec<Vec<Envelope>>> {
    (0..jobs).step_by(BATCH).map(|first| (first..jobs.min(first + BATCH)).map(&make).collect()).collect()
}

/// Makes plain jobs in batches.
pub(super) fn plain_batches(stage: &Stage, jobs: usize) -> Result<Vec<Vec<Envelope>>> {
    batches(jobs, |_| envelope(stage.plan.payload_bytes, None, plain()))
}

/// Pushes batches, so many calls at a time.
pub(super) async fn push_in_bulk(stage: &Stage, batches: Vec<Vec<Envelope>>) -> Result<()> {
    let mut shares: [Vec<Vec<Envelope>>; CALLS_AT_ONCE] = Default::default();
    for (number, batch) in batches.into_iter().enumerate() {
        shares[number % CALLS_AT_ONCE].push(batch);
    }
    let mut callers: JoinSet<Result<_>> = JoinSet::new();
    for share in shares {
        let queue = Arc::clone(&stage.queue);
        callers.spawn(async move {
            for batch in &share {
                push(&*queue, batch).await?;
            }
            // They are given back so that freeing them costs the measure nothing.
            Ok(share)
        });
    }
    let mut pushed = Vec::new();
    while let Some(caller) = callers.join_next().await {
        pushed.push(caller.map_err(|error| Error::internal("a push of the measures broke", error))??);
    }
    Ok(())
}

/// Pushes jobs one after another.
pub(super) async fn push_singly(stage: &Stage, jobs: &[Envelope]) -> Result<()> {
    for job in jobs {
        push(&*stage.queue, std::slice::from_ref(job)).await?;
    }
    Ok(())
}

/// Pushes a batch; all of it must be new.
pub(super) async fn push(queue: &dyn Queue, jobs: &[Envelope]) -> Result<()> {
    let answers = queue.push(jobs).await?;
    match answers.iter().find(|answer| **answer != Pushed::Created) {
        None => Ok(()),
        Some(other) => Err(Error::internal("the measure does not hold", format!("a push was answered with {other:?}"))),
    }
}

/// Lets a worker run so many jobs that wait, until the store has taken every end.
pub(super) async fn drain(stage: &Stage, jobs: usize) -> Result<()> {
    let starts = Starts::expect(jobs, 0);
    Crew::start(stage, &starts)?.finish(&starts, jobs).await
}

/// Makes single jobs to be pushed one after another.
pub(super) fn singles(stage: &Stage, jobs: usize, options: &Options) -> Result<Vec<Envelope>> {
    (0..jobs).map(|_| envelope(stage.plan.payload_bytes, None, options.clone())).collect()
}
