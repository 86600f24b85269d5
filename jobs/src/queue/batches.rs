//! Batches: jobs of one queue, and one job that runs when all of them have ended.
//!
//! ```text
//!   open ──▶ push members ──▶ seal ──▶ the last member ends ──▶ the closing job is ready
//! ```
//!
//! 1. Members and the closing job live in one queue, because a queue is what changes in one step.
//! 2. A member counts from its acceptance to its end: succeeded, dead, cancelled. A job that is not accepted is no member. A dead
//!    member has ended; redriven later, it is a job of its own.
//! 3. Before the seal everybody may push members. After it only members that run may, and say so with
//!    [`Envelope::parent`](crate::Envelope::parent): a member that runs keeps the batch from closing.
//! 4. The closing job is made in the same atomic step as the end of the last member, or as the seal if there is none left. Then the
//!    batch is forgotten; how it went is in the closing job's history.
//! 5. Every call may be repeated after an answer that got lost. A batch that is opened again after it has closed is known by its
//!    closing job, as long as the store knows that job.

use serde::{Deserialize, Serialize};

use crate::id::{BatchId, JobId, QueueName};
use crate::job::Envelope;

/// A batch that is to be opened.
#[derive(Debug, Clone)]
pub struct Batch {
    id: BatchId,
    then: Envelope,
}

/// Why a job cannot close a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotClosing {
    /// A key could be held by another job when the batch closes, and then the closing job could not be made.
    #[error("a closing job has no unique key: the id of its batch makes it the only one already")]
    Unique,
    /// Who waits for the closing job can be a batch that it opens itself.
    #[error("a closing job is no member of a batch: let it open a batch of its own")]
    Member,
}

impl Batch {
    /// Makes a batch of the queue of its closing job, under a new id.
    ///
    /// # Errors
    /// [`NotClosing`] if the job has a unique key or is a member of a batch.
    pub fn new(then: Envelope) -> Result<Self, NotClosing> {
        Self::with_id(BatchId::new(), then)
    }

    /// Makes a batch under an id that is known already, so that opening it can be repeated. The closing job needs the same id each
    /// time as well.
    ///
    /// # Errors
    /// [`NotClosing`] if the job has a unique key or is a member of a batch.
    pub fn with_id(id: BatchId, then: Envelope) -> Result<Self, NotClosing> {
        if then.options.unique.is_some() {
            return Err(NotClosing::Unique);
        }
        if then.batch.is_some() {
            return Err(NotClosing::Member);
        }
        Ok(Self { id, then })
    }

    /// Returns its id.
    pub fn id(&self) -> BatchId {
        self.id
    }

    /// Returns the queue in which it lives.
    pub fn queue(&self) -> &QueueName {
        &self.then.options.queue
    }

    /// Returns the job that closes it.
    pub fn then(&self) -> &Envelope {
        &self.then
    }
}

/// How the members of a batch ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchTotals {
    /// Members that were accepted.
    pub total: u64,
    /// Of them succeeded.
    pub succeeded: u64,
    /// Of them dead.
    pub dead: u64,
    /// Of them cancelled.
    pub cancelled: u64,
}

impl BatchTotals {
    /// Returns how many have not ended.
    pub fn left(&self) -> u64 {
        self.total.saturating_sub(self.succeeded + self.dead + self.cancelled)
    }

    /// Says whether every member has succeeded.
    pub fn all_succeeded(&self) -> bool {
        self.succeeded == self.total
    }
}

/// A batch that has not closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BatchInfo {
    /// The batch.
    pub id: BatchId,
    /// Its queue.
    pub queue: QueueName,
    /// When it was opened, by the store's clock. One that nobody seals waits for ever, and here is where it shows.
    pub opened_at_ms: i64,
    /// Whether it waits only for its members.
    pub sealed: bool,
    /// Whether somebody cancelled it.
    pub cancelled: bool,
    /// Its members so far.
    pub totals: BatchTotals,
    /// The job that will close it.
    pub then: JobId,
}

/// The answer to the opening of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opened {
    /// It is open now.
    Created,
    /// It was open, or sealed, already.
    Already,
    /// It has closed: the store knows its closing job.
    Closed,
}

/// The answer to the sealing of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sealed {
    /// So many members have not ended.
    Waiting {
        /// How many.
        left: u64,
    },
    /// None was left, and the closing job is made.
    Closed,
    /// The store knows no such batch in the queue: it has closed, or was never opened.
    Unknown,
}

/// What became of the members of a batch that was cancelled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BatchCancelled {
    /// Members that waited and have ended.
    pub ended: u64,
    /// Members that run and were asked to stop.
    pub asked: u64,
}

/// Why a job was not accepted as a member of a batch. The text names the cure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// No batch of this id is open in the queue of the job.
    #[error(
        "no such batch is open in the queue of the job: open it first, and push its members to the queue of its closing job"
    )]
    UnknownBatch,
    /// The batch is sealed and the job does not come from a running member.
    #[error(
        "the batch is sealed: push members before the seal, or from a running member that is named as their parent"
    )]
    SealedBatch,
    /// The batch is cancelled.
    #[error("the batch is cancelled and takes no more: open another one")]
    CancelledBatch,
}

impl Refusal {
    /// All reasons.
    pub const ALL: [Self; 3] = [Self::UnknownBatch, Self::SealedBatch, Self::CancelledBatch];
}

/// What decides whether a batch takes another member.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gate {
    pub sealed: bool,
    pub cancelled: bool,
    /// Whether the job comes from a member that runs.
    pub from_member: bool,
}

/// Decides whether a job may become a member.
pub(crate) fn refusal(gate: Option<Gate>) -> Option<Refusal> {
    match gate {
        None => Some(Refusal::UnknownBatch),
        Some(Gate { cancelled: true, .. }) => Some(Refusal::CancelledBatch),
        Some(Gate { sealed: true, from_member: false, .. }) => Some(Refusal::SealedBatch),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::id::Kind;
    use crate::options::{Options, Unique, UniqueUntil};

    fn job(options: Options) -> Envelope {
        let args = RawValue::from_string("{}".to_owned()).expect("valid JSON");
        Envelope::raw(Kind::new("test.close").expect("valid"), args, options).expect("small")
    }

    #[test]
    fn what_could_keep_a_closing_job_from_being_made_is_refused() {
        let keyed = Options { unique: Some(Unique::new("k", UniqueUntil::Finished)), ..Options::default() };
        assert_eq!(Batch::new(job(keyed)).expect_err("refused"), NotClosing::Unique);
        let member = Envelope { batch: Some(BatchId::new()), ..job(Options::default()) };
        assert_eq!(Batch::new(member).expect_err("refused"), NotClosing::Member);
        assert!(Batch::new(job(Options::default())).is_ok());
    }

    #[test]
    fn a_seal_lets_only_members_in_and_a_cancellation_nobody() {
        let gate = |sealed, cancelled, from_member| refusal(Some(Gate { sealed, cancelled, from_member }));
        assert_eq!(refusal(None), Some(Refusal::UnknownBatch));
        for from_member in [false, true] {
            assert_eq!(gate(false, false, from_member), None);
            assert_eq!(gate(true, true, from_member), Some(Refusal::CancelledBatch));
        }
        assert_eq!(gate(true, false, false), Some(Refusal::SealedBatch));
        assert_eq!(gate(true, false, true), None);
    }
}
