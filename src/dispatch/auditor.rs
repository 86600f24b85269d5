//! The auditor: has the queue prove from time to time that each job is in exactly one place, and repair what is not so.
//!
//! The [`Reconciler`](super::Reconciler) compares the ledger with the queue; this compares the queue with itself. Several may run:
//! each finding is proved and repaired in one instant.

use std::sync::Arc;
use std::time::Duration;

use deskhand_jobs::QueueName;
use deskhand_jobs::queue::{Audit, Queue};
use tokio_util::sync::CancellationToken;

use super::outage::Outage;
use super::rounds::{Loop, Rounds};
use crate::base::Result;

/// How often there is a round. An audit takes half of the queue's time while it lasts, some seconds for a million jobs.
const EVERY: Duration = Duration::from_mins(10);

/// Its place among the loops of a process: one round every [`EVERY`], the first within that time.
const LOOP: Loop = Loop { name: "auditor", patience: Duration::from_mins(25), at_once: false };

/// Counts what was found, by queue and kind.
pub const DRIFT_TOTAL: &str = "deskhand_drift_total";

/// Audits the queues.
#[derive(Clone)]
pub struct Auditor {
    queue: Arc<dyn Queue>,
    rounds: Rounds,
}

impl std::fmt::Debug for Auditor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Auditor").finish_non_exhaustive()
    }
}

impl Auditor {
    /// Makes an auditor of all queues of a store.
    pub fn new(queue: Arc<dyn Queue>) -> Self {
        Self { queue, rounds: Rounds::default() }
    }

    /// Notes its good rounds here.
    #[must_use]
    pub fn noting(self, rounds: Rounds) -> Self {
        rounds.begin(LOOP);
        Self { rounds, ..self }
    }

    /// Audits each queue once and says, counts and returns what it found.
    ///
    /// # Errors
    /// [`Error`](crate::base::Error) if the queue does not answer.
    pub async fn audit_all(&self, repair: bool) -> Result<Vec<(QueueName, Audit)>> {
        let mut audits = Vec::new();
        for info in self.queue.queues().await? {
            let audit = self.queue.audit(&info.name, repair).await?;
            for drift in &audit.drift {
                let (queue, kind) = (info.name.to_string(), drift.kind.as_str());
                metrics::counter!(DRIFT_TOTAL, "queue" => queue, "kind" => kind).increment(1);
            }
            if let Some(first) = audit.drift.first() {
                let (queue, found) = (&info.name, audit.drift.len());
                tracing::warn!(
                    queue = queue.as_str(),
                    found,
                    repair,
                    ?first,
                    "queue {queue} contradicts itself in {found} places: `deskhand queues audit` shows what is not repaired"
                );
            }
            audits.push((info.name, audit));
        }
        Ok(audits)
    }

    /// Audits and repairs every ten minutes until it is told to stop.
    pub async fn run(&self, stop: CancellationToken) {
        let mut outage = Outage::new("the auditor").noting(&self.rounds, LOOP);
        // Not at once: a process that starts has other things to do, and many may start together.
        let mut wait = EVERY.mul_f64(rand::random_range(0.1..1.0));
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(wait) => {}
            }
            let audited = tokio::select! {
                () = stop.cancelled() => break,
                audited = self.audit_all(true) => audited,
            };
            wait = match audited {
                Ok(_) => {
                    outage.over();
                    EVERY
                }
                Err(error) => outage.failed(&error),
            };
        }
    }
}
