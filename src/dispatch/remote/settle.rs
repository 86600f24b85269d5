//! Ends of attempts, and what they tell while they run.

use chrono::{DateTime, Utc};
use deskhand_jobs::queue::{LogLine, Progress, Report, Settled, Settlement, Verdict};
use deskhand_jobs::{JobId, MAX_RESULT_BYTES, WorkerId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::outcome::Finished;
use super::ticket::Ticket;
use super::work::{KIND_LABEL, RemoteWork, patiently};
use crate::base::{Actor, Error, FieldError, Result};

/// The most ends, and the most reports, of one request.
const MOST: usize = 1_000;

/// The most lines of one report: as many as a job keeps.
const MOST_LINES: usize = deskhand_jobs::queue::MAX_LOG_LINES;

/// Whether what was told of a job counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// Done as asked.
    Applied,
    /// The lease is no longer the job's, or never was: nothing was changed. Another worker may have the job.
    Stale,
    /// The part of the store that has the job does not answer: tell it again.
    Unanswered,
}

impl From<Settled> for Answer {
    fn from(settled: Settled) -> Self {
        match settled {
            Settled::Applied => Self::Applied,
            Settled::Stale => Self::Stale,
            Settled::Unanswered => Self::Unanswered,
        }
    }
}

/// What became of one end or report.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SettledJob {
    /// The job.
    pub id: JobId,
    /// Whether it counts.
    pub answer: Answer,
    /// What was left out of it, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_out: Option<String>,
}

/// What a running job tells.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Told {
    /// The job.
    pub id: JobId,
    /// The lease from the claim.
    pub lease: String,
    /// How far it is.
    #[serde(default)]
    pub progress: Option<Progress>,
    /// How many lines this attempt has told before the first of these; so a report may be repeated.
    #[serde(default)]
    pub before: u64,
    /// Short lines for its log, the oldest first; a job keeps the last 50, each of at most 500 bytes.
    #[serde(default)]
    pub lines: Vec<String>,
}

impl RemoteWork {
    /// Ends attempts. Each stands for itself: a stale one harms no other. Answers in the same order.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the caller has no such worker, [`Error::Invalid`] for ends that do not say what they need to.
    pub async fn settle(&self, actor: &Actor, id: WorkerId, results: Vec<Finished>) -> Result<Vec<SettledJob>> {
        let checked = results.iter().enumerate().map(|(n, result)| result.check(&format!("/results/{n}")));
        let wrong: Vec<FieldError> = checked.filter_map(std::result::Result::err).collect();
        if !wrong.is_empty() {
            return Err(Error::Invalid(wrong));
        }
        bounded(results.len(), "/results")?;
        self.worker(actor, id).await?;
        let mut answers = Vec::with_capacity(results.len());
        let (mut places, mut settlements, mut claimed) = (Vec::new(), Vec::new(), Vec::new());
        for result in results {
            let left_out = result.oversized_bytes().map(|bytes| {
                format!("the result of {bytes} bytes is larger than {MAX_RESULT_BYTES}: keep it elsewhere and return a reference")
            });
            let ticket = self.ticket(id, result.id, &result.lease);
            answers.push(SettledJob { id: result.id, answer: Answer::Stale, left_out });
            let Some(ticket) = ticket else { continue };
            places.push(answers.len() - 1);
            claimed.push(DateTime::from_timestamp_millis(ticket.claimed_at_ms));
            let verdict = result.verdict(&ticket, rand::random());
            settlements.push(Settlement { id: ticket.id, queue: ticket.queue.clone(), lease: ticket.lease(), verdict });
        }
        if settlements.is_empty() {
            return Ok(answers);
        }
        let settled = patiently(self.queue.settle(&settlements)).await?;
        let now = self.db.clock().now();
        for (((place, settlement), claimed_at), settled) in
            places.into_iter().zip(&settlements).zip(claimed).zip(settled)
        {
            answers[place].answer = settled.into();
            if settled == Settled::Applied {
                self.count(settlement, claimed_at, now);
            }
        }
        self.settled.notify_one();
        Ok(answers)
    }

    /// Keeps what running jobs tell. Answers in the same order.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the caller has no such worker, [`Error::Invalid`] for more lines than a job keeps.
    pub async fn report(&self, actor: &Actor, id: WorkerId, told: Vec<Told>) -> Result<Vec<SettledJob>> {
        bounded(told.len(), "/reports")?;
        if let Some(place) = told.iter().position(|told| told.lines.len() > MOST_LINES) {
            let message = format!("a report has at most {MOST_LINES} lines");
            return Err(Error::field(format!("/reports/{place}/lines"), message));
        }
        self.worker(actor, id).await?;
        let now_ms = self.db.clock().now().timestamp_millis();
        let mut answers = Vec::with_capacity(told.len());
        let (mut places, mut reports) = (Vec::new(), Vec::new());
        for Told { id: job, lease, progress, before, lines } in told {
            let ticket = self.ticket(id, job, &lease);
            answers.push(SettledJob { id: job, answer: Answer::Stale, left_out: None });
            let Some(ticket) = ticket else { continue };
            places.push(answers.len() - 1);
            let lines = lines.iter().map(|line| LogLine::new(ticket.attempt(), now_ms, line)).collect();
            reports.push(Report {
                id: job,
                queue: ticket.queue.clone(),
                lease: ticket.lease(),
                progress,
                before,
                lines,
            });
        }
        if !reports.is_empty() {
            for (place, settled) in places.into_iter().zip(patiently(self.queue.report(&reports)).await?) {
                answers[place].answer = settled.into();
            }
        }
        Ok(answers)
    }

    /// Opens a lease that was sealed for this worker and this job.
    fn ticket(&self, worker: WorkerId, job: JobId, lease: &str) -> Option<Ticket> {
        Ticket::open(&self.vault, worker, lease).filter(|ticket| ticket.id == job)
    }

    fn count(&self, settlement: &Settlement, claimed_at: Option<DateTime<Utc>>, now: DateTime<Utc>) {
        let took = claimed_at.and_then(|at| (now - at).to_std().ok()).unwrap_or_default();
        self.figures.finished(&settlement.queue, KIND_LABEL, &settlement.verdict, took);
        if let Verdict::Dead { reason, error } = &settlement.verdict {
            let (id, reason) = (settlement.id, reason.as_str());
            tracing::warn!(job_id = %id, reason, error, "job {id} is dead");
        }
    }
}

fn bounded(count: usize, pointer: &str) -> Result<()> {
    if (1..=MOST).contains(&count) {
        return Ok(());
    }
    Err(Error::field(pointer, format!("a request has 1 to {MOST} of them")))
}
