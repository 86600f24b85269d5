//! Looking into a queue, and running what is due in it, without a worker.

use crate::id::{QueueName, WorkerId};
use crate::job::{Envelope, Job};
use crate::queue::{Page, Queue, Result, Settlement, State, Verdict, WorkerInfo};
use crate::registry::Registry;
use crate::worker;

/// Returns the jobs of a kind that wait, ready or scheduled, in every queue.
///
/// # Errors
/// If the store does not answer.
pub async fn enqueued<J: Job>(queue: &dyn Queue) -> Result<Vec<J>> {
    let mut found = Vec::new();
    for info in queue.queues().await? {
        for state in [State::Ready, State::Scheduled] {
            for record in queue.list(&info.name, state, Page::first(10_000)).await?.jobs {
                let payload = record.payload.unwrap_or_default();
                let envelope = Envelope::decode(record.id, record.queue, &payload).ok();
                let of_kind = envelope.filter(|envelope| envelope.kind.as_str() == J::KIND);
                found.extend(of_kind.and_then(|envelope| serde_json::from_str(envelope.args.get()).ok()));
            }
        }
    }
    Ok(found)
}

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
        let verdict = worker::once(&job, registry).await;
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
