//! Running what is due in a queue, without a worker.

use crate::id::{QueueName, WorkerId};
use crate::queue::{Queue, Result, Settlement, State, Verdict, WorkerInfo};
use crate::registry::Registry;
use crate::worker;

/// The most attempts of one [`drain`]: jobs that enqueue each other for ever are a fault of the test or of the jobs.
const MOST_ATTEMPTS: usize = 10_000;

/// What one attempt came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempted {
    /// The job.
    pub id: crate::id::JobId,
    /// Where it is now.
    pub state: State,
    /// What was settled.
    pub verdict: Verdict,
}

/// Runs every job that is due, one after another, once each, and settles it as a worker would.
///
/// # Errors
/// If the store does not answer.
pub async fn run_due(queue: &dyn Queue, registry: &Registry) -> Result<Vec<Attempted>> {
    let queues: Vec<QueueName> = queue.queues().await?.into_iter().map(|info| info.name).collect();
    let me = WorkerInfo { id: WorkerId::new(), name: "a test".into(), queues, concurrency: 1_000, started_at_ms: 0 };
    queue.beat(&me, true).await?;
    let claim = queue.claim(me.id, &me.queues, 1_000).await?;
    let mut ends = Vec::new();
    for job in claim.jobs {
        let (verdict, told) = worker::once(&job, registry).await;
        if let Some(told) = told {
            queue.report(&[told]).await?;
        }
        let settlement =
            Settlement { id: job.id, queue: job.queue.clone(), lease: job.lease.clone(), verdict: verdict.clone() };
        queue.settle(&[settlement]).await?;
        let state = match &verdict {
            Verdict::Succeeded | Verdict::SucceededWith { .. } => State::Succeeded,
            Verdict::Cancelled { .. } => State::Cancelled,
            Verdict::Dead { .. } => State::Dead,
            Verdict::HandBack => State::Ready,
            Verdict::Retry { .. } | Verdict::Snooze { .. } | Verdict::SetAside { .. } => State::Scheduled,
        };
        ends.push(Attempted { id: job.id, state, verdict });
    }
    queue.leave(me.id, &me.queues).await?;
    Ok(ends)
}

/// Runs what is due, and what that enqueues, until nothing is due any more; what is scheduled for later stays.
///
/// # Errors
/// If the store does not answer.
///
/// # Panics
/// After 10,000 attempts: then jobs enqueue each other for ever.
pub async fn drain(queue: &dyn Queue, registry: &Registry) -> Result<Vec<Attempted>> {
    let mut all = Vec::new();
    loop {
        let ends = run_due(queue, registry).await?;
        if ends.is_empty() {
            return Ok(all);
        }
        all.extend(ends);
        assert!(
            all.len() < MOST_ATTEMPTS,
            "{} attempts and still jobs are due: they enqueue each other for ever",
            all.len()
        );
    }
}
