//! Taking back what a worker does not finish in time. A handler of this program is stopped when its time is up; a program on the
//! other side of a network is only told the time, so somebody has to see to it.

use chrono::{DateTime, TimeDelta, Utc};
use deskhand_jobs::queue::{JobRecord, Page, Settled, Settlement, State};
use deskhand_jobs::verdict::Ending;
use deskhand_jobs::{Envelope, JobId};

use super::model::RemoteWorker;
use super::outcome::judge;
use super::store;
use super::ticket::Ticket;
use super::work::{KIND_LABEL, RemoteWork, patiently};
use crate::base::Result;

/// How long after its deadline a job is taken back: an answer that is under way still counts.
pub(super) const GRACE: TimeDelta = TimeDelta::seconds(5);

/// How many running jobs of a queue one step reads, and how many steps a look takes at most.
const PAGE: usize = 500;
const MAX_PAGES: usize = 40;

/// A running job that is over its time.
struct Overdue {
    settlement: Settlement,
    took: TimeDelta,
}

impl RemoteWork {
    /// Ends the attempts of a worker that ran out of time, as failed; answers which jobs these were.
    pub(super) async fn take_overdue(&self, worker: &RemoteWorker, now: DateTime<Utc>) -> Result<Vec<JobId>> {
        // What is claimed from here on says itself when to look; so it cannot fall between this look and the note of the next.
        let mut tx = self.db.begin().await?;
        store::uncheck(&mut tx, worker).await?;
        tx.commit().await?;
        let (mut overdue, mut next) = (Vec::new(), None);
        for queue in worker.queues_behind() {
            let mut page = Some(Page::first(PAGE));
            for _ in 0..MAX_PAGES {
                let Some(asked) = page else { break };
                let listing = patiently(self.queue.list(&queue, State::Running, asked)).await?;
                page = listing.next.map(|after| Page::after(after, PAGE));
                let theirs = listing.jobs.into_iter().filter(|job| job.running.is_some_and(|(by, _)| by == worker.id));
                for (job, (_, since_ms)) in theirs.filter_map(|job| job.running.map(|running| (job, running))) {
                    let Some(since) = DateTime::from_timestamp_millis(since_ms) else { continue };
                    let Some(ticket) = ticket(&job, since_ms) else { continue };
                    let timeout = i64::try_from(ticket.options().timeout_ms).unwrap_or(i64::MAX);
                    let end = due(since, timeout);
                    if end > now {
                        next = next.into_iter().chain([end]).min();
                        continue;
                    }
                    let verdict = judge(Ending::TimedOut, &ticket, rand::random());
                    let settlement = Settlement { id: job.id, queue: queue.clone(), lease: ticket.lease(), verdict };
                    overdue.push(Overdue { settlement, took: now - since });
                }
            }
        }
        let taken = self.end(overdue).await?;
        if let Some(next) = next {
            let mut tx = self.db.begin().await?;
            store::check_by(&mut tx, worker, next).await?;
            tx.commit().await?;
        }
        Ok(taken)
    }

    async fn end(&self, overdue: Vec<Overdue>) -> Result<Vec<JobId>> {
        if overdue.is_empty() {
            return Ok(Vec::new());
        }
        let (settlements, took): (Vec<_>, Vec<_>) =
            overdue.into_iter().map(|overdue| (overdue.settlement, overdue.took)).unzip();
        let answers = patiently(self.queue.settle(&settlements)).await?;
        let mut taken = Vec::new();
        for ((settlement, took), answer) in settlements.iter().zip(took).zip(answers) {
            if answer == Settled::Applied {
                let took = took.to_std().unwrap_or_default();
                self.figures.finished(&settlement.queue, KIND_LABEL, &settlement.verdict, took);
                tracing::info!(job_id = %settlement.id, "job {} ran longer than it may and was taken back", settlement.id);
                taken.push(settlement.id);
            }
        }
        self.settled.notify_one();
        Ok(taken)
    }
}

/// Returns when a job that was claimed at an instant is taken back.
pub(super) fn due(claimed_at: DateTime<Utc>, timeout_ms: i64) -> DateTime<Utc> {
    let timeout = TimeDelta::try_milliseconds(timeout_ms).unwrap_or(TimeDelta::MAX);
    claimed_at
        .checked_add_signed(timeout)
        .and_then(|at| at.checked_add_signed(GRACE))
        .unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// Returns the terms of a running job as the queue tells them; `None` if it cannot be read, which is the business of its claim.
fn ticket(job: &JobRecord, claimed_at_ms: i64) -> Option<Ticket> {
    let envelope = Envelope::decode(job.id, job.queue.clone(), job.payload.as_ref()?).ok()?;
    Some(Ticket::of((job.id, &job.queue), job.lease.as_ref()?, claimed_at_ms, &job.history, &envelope))
}
