//! What a remote worker is given as the lease of a job: the engine's lease, and what the verdict on its answer depends on. It is
//! sealed for this worker, so that any process can judge the answer and nobody can change the terms.

use deskhand_jobs::queue::{Claimed, History, Lease};
use deskhand_jobs::retry::Backoff;
use deskhand_jobs::{Envelope, JobId, Options, QueueName, WorkerId};
use serde::{Deserialize, Serialize};

use crate::base::{Secret, Vault};

/// The terms of one attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Ticket {
    #[serde(rename = "i")]
    pub(super) id: JobId,
    #[serde(rename = "q")]
    pub(super) queue: QueueName,
    #[serde(rename = "l")]
    lease: String,
    #[serde(rename = "c")]
    pub(super) claimed_at_ms: i64,
    #[serde(rename = "f")]
    failures: u32,
    #[serde(rename = "m")]
    max_attempts: u32,
    #[serde(rename = "t")]
    timeout_ms: u64,
    #[serde(rename = "b")]
    backoff: Backoff,
}

impl Ticket {
    /// Notes the terms of a job that was claimed.
    pub(super) fn new(claimed: &Claimed, envelope: &Envelope) -> Self {
        Self::of((claimed.id, &claimed.queue), &claimed.lease, claimed.claimed_at_ms, &claimed.history, envelope)
    }

    /// Notes the terms of a job that runs.
    pub(super) fn of(
        (id, queue): (JobId, &QueueName),
        lease: &Lease,
        claimed_at_ms: i64,
        history: &History,
        envelope: &Envelope,
    ) -> Self {
        Self {
            id,
            queue: queue.clone(),
            lease: lease.as_str().to_owned(),
            claimed_at_ms,
            failures: history.failures,
            max_attempts: envelope.options.max_attempts,
            timeout_ms: envelope.options.timeout_ms,
            backoff: envelope.options.backoff,
        }
    }

    /// Seals it for a worker.
    pub(super) fn seal(&self, vault: &Vault, worker: WorkerId) -> String {
        let text = serde_json::to_string(self).unwrap_or_default();
        vault.seal(&Secret::new(text), &place(worker))
    }

    /// Opens what [`Ticket::seal`] made for this worker; `None` for anything else.
    pub(super) fn open(vault: &Vault, worker: WorkerId, sealed: &str) -> Option<Self> {
        let text = vault.open(sealed, &place(worker)).ok()?;
        serde_json::from_str(text.expose()).ok()
    }

    /// Returns the engine's lease.
    pub(super) fn lease(&self) -> Lease {
        Lease::from_text(&self.lease)
    }

    /// Returns the number of the attempt; the first is 1.
    pub(super) fn attempt(&self) -> u32 {
        self.failures.saturating_add(1)
    }

    /// Returns how the job is run, as far as a verdict needs it.
    pub(super) fn options(&self) -> Options {
        Options {
            queue: self.queue.clone(),
            max_attempts: self.max_attempts,
            timeout_ms: self.timeout_ms,
            backoff: self.backoff,
            ..Options::default()
        }
    }

    /// Returns what happened to the job before, as far as a verdict needs it.
    pub(super) fn history(&self) -> History {
        History { failures: self.failures, ..History::default() }
    }
}

fn place(worker: WorkerId) -> String {
    format!("remote_lease:{worker}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_opens_only_for_its_worker_and_unchanged() {
        let vault = Vault::from_key(&[7; 32]);
        let (ours, theirs) = (WorkerId::new(), WorkerId::new());
        let ticket = Ticket {
            id: JobId::new(),
            queue: QueueName::default(),
            lease: "w-7".to_owned(),
            claimed_at_ms: 1,
            failures: 2,
            max_attempts: 3,
            timeout_ms: 4,
            backoff: Backoff::exactly(5),
        };
        let sealed = ticket.seal(&vault, ours);
        assert_eq!(Ticket::open(&vault, ours, &sealed), Some(ticket.clone()));
        assert!(Ticket::open(&vault, theirs, &sealed).is_none());
        assert!(!sealed.contains("w-7"), "it is opaque");
        for wrong in ["", "v1:", "v1:AAAA", &sealed[..sealed.len() - 4]] {
            assert!(Ticket::open(&vault, ours, wrong).is_none(), "{wrong}");
        }
        assert_eq!((ticket.attempt(), ticket.options().max_attempts, ticket.history().failures), (3, 3, 2));
    }
}
