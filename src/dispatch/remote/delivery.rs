//! Jobs on their way to a remote worker. What does not get there goes back at once.

use deskhand_jobs::outcome;
use deskhand_jobs::queue::{Settlement, Verdict};
use tokio::runtime::Handle;

use super::claim::Handed;
use super::ticket::Ticket;
use super::work::{RemoteWork, patiently};

/// Jobs that were claimed. Dropped before [`Delivery::delivered`], it hands them back; that burns no attempt.
#[derive(Debug)]
#[must_use]
pub struct Delivery {
    jobs: Vec<Handed>,
    back: Vec<Settlement>,
    work: Option<RemoteWork>,
}

impl Delivery {
    pub(super) fn new(work: RemoteWork) -> Self {
        Self { jobs: Vec::new(), back: Vec::new(), work: Some(work) }
    }

    pub(super) fn empty() -> Self {
        Self { jobs: Vec::new(), back: Vec::new(), work: None }
    }

    pub(super) fn add(&mut self, job: Handed, ticket: &Ticket) {
        let (id, queue, lease) = (ticket.id, ticket.queue.clone(), ticket.lease());
        self.back.push(Settlement { id, queue, lease, verdict: Verdict::HandBack });
        self.jobs.push(job);
    }

    /// Says whether there is no job.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Returns the jobs, the first first.
    pub fn jobs(&self) -> &[Handed] {
        &self.jobs
    }

    /// Notes that the worker has them, as far as anybody here can tell.
    pub fn delivered(&mut self) {
        self.back.clear();
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        let Some(work) = self.work.take().filter(|_| !self.back.is_empty()) else { return };
        let back = std::mem::take(&mut self.back);
        // Outside of a runtime everything ends; then the lease does, too.
        let Ok(runtime) = Handle::try_current() else { return };
        runtime.spawn(async move {
            let count = back.len();
            match patiently(work.queue.settle(&back)).await {
                Ok(_) => tracing::info!(jobs = count, "{count} jobs went back, because their worker was gone"),
                Err(error) => {
                    tracing::warn!(
                        error = outcome::chain(&error),
                        "{count} jobs wait for the end of their worker's lease"
                    );
                }
            }
        });
    }
}
