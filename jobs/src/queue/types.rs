//! The values of the port.

use serde::{Deserialize, Serialize};

use super::{BatchTotals, LogLine, Progress, Refusal};
use crate::id::{BatchId, GroupKey, JobId, QueueName, WorkerId};
use crate::options::{Limits, Priority};

/// Shorthand for results of a store.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong with a store itself.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store cannot be reached or did not answer in time; the same call may succeed later.
    #[error("the queue at {store} does not answer")]
    Unavailable {
        /// Which store, without credentials.
        store: String,
        /// What the client said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The store refused the operation; the text names the cause and the cure.
    #[error("the queue at {store} refused: {message}")]
    Refused {
        /// Which store, without credentials.
        store: String,
        /// Cause and cure.
        message: String,
    },
    /// The store holds something that this program did not write.
    #[error("the queue at {store} holds unreadable data: {message}")]
    Corrupt {
        /// Which store, without credentials.
        store: String,
        /// What was found where.
        message: String,
    },
    /// A page was asked for behind a cursor that no page of this list gave; the text names the cure.
    #[error("{0}")]
    Cursor(String),
}

/// The states of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Waits for its time.
    Scheduled,
    /// Waits for a worker.
    Ready,
    /// A worker has it.
    Running,
    /// Ended well.
    Succeeded,
    /// Ended badly; waits for a person.
    Dead,
    /// Ended because somebody wanted so.
    Cancelled,
}

impl State {
    /// All states.
    pub const ALL: [Self; 6] =
        [Self::Scheduled, Self::Ready, Self::Running, Self::Succeeded, Self::Dead, Self::Cancelled];

    /// Returns the name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Ready => "ready",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
        }
    }

    /// Reads the name on the wire.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The answer to one pushed job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// The job is in the store.
    Created,
    /// The store knew the id already.
    Duplicate,
    /// Another job holds the unique key; this one was not taken.
    Conflict {
        /// Who holds the key.
        holder: JobId,
    },
    /// The job is in the store; the one that held its unique key had not started and has ended as cancelled.
    Replaced {
        /// Who held the key.
        old: JobId,
    },
    /// The batch that it was to be a member of does not take it; this one was not taken.
    Refused(Refusal),
}

/// The proof of ownership of running jobs: opaque, made by the store at each claim, never the same twice.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Lease(pub(crate) std::sync::Arc<str>);

impl Lease {
    /// Takes back what [`Lease::as_str`] gave. A text that is no lease is one that nobody has: what shows it is stale.
    pub fn from_text(text: &str) -> Self {
        Self(text.into())
    }

    /// Returns the text, for a door through which somebody else works. It is a proof of ownership: seal it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The answer to a claim.
#[derive(Debug, Clone, Default)]
pub struct Claim {
    /// The jobs, in the order in which they should start.
    pub jobs: Vec<Claimed>,
    /// How late the jobs were found that became ready by this claim, because they were due.
    pub late: Vec<Late>,
    /// How long until the next scheduled job of these queues is due; `None` if there is none.
    pub next_due_ms: Option<u64>,
    /// The store does not believe this worker alive: it must stop what it runs and register as a new one.
    pub lost: bool,
    /// A part of the store did not answer, and the worker may have been given jobs of which it does not hear.
    pub unheard: bool,
}

impl Claim {
    /// Adds what was claimed from other queues, or later.
    pub(crate) fn add(&mut self, other: Self) {
        self.jobs.extend(other.jobs);
        self.late.extend(other.late);
        self.next_due_ms = [self.next_due_ms, other.next_due_ms].into_iter().flatten().min();
        self.lost |= other.lost;
        self.unheard |= other.unheard;
    }
}

/// How late due jobs of a queue were found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Late {
    /// The queue.
    pub queue: QueueName,
    /// For each job, the milliseconds since it was due.
    pub ms: Vec<u64>,
}

/// A job that a worker has taken.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// The job.
    pub id: JobId,
    /// Its queue.
    pub queue: QueueName,
    /// What to show when settling.
    pub lease: Lease,
    /// The encoded [`Envelope`](crate::job::Envelope), undecoded: a bad payload must be an outcome.
    pub payload: bytes::Bytes,
    /// What happened to the job before.
    pub history: History,
    /// When it was claimed, by the store's clock.
    pub claimed_at_ms: i64,
}

/// What happened to a job so far; three counters that are kept apart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// Attempts that failed.
    pub failures: u32,
    /// Times that it was taken back from a worker that died.
    pub recoveries: u32,
    /// Times that a stopping worker gave it back.
    pub hand_backs: u32,
    /// Since when it has been set aside because no worker knew its kind.
    pub aside_since_ms: Option<i64>,
    /// The last error, or the reason of the end.
    pub last_error: Option<String>,
    /// Times that it was redriven from among the dead; the other counters begin anew each time.
    #[serde(default)]
    pub generation: u32,
    /// How the batch went that this job closes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<BatchTotals>,
}

/// The end of one attempt, as told to the store.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// The job.
    pub id: JobId,
    /// Its queue.
    pub queue: QueueName,
    /// The lease from the claim.
    pub lease: Lease,
    /// What becomes of it.
    pub verdict: Verdict,
}

/// What becomes of a running job.
///
/// A job that somebody asked to cancel while it ran becomes cancelled instead of ready or scheduled again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Ended well.
    Succeeded,
    /// Ended well, and this came of it.
    SucceededWith {
        /// At most [`MAX_RESULT_BYTES`](crate::MAX_RESULT_BYTES) as JSON text; the worker sees to that.
        result: serde_json::Value,
    },
    /// Failed; scheduled again. One more failure.
    Retry {
        /// How far away.
        delay_ms: u64,
        /// What went wrong.
        error: String,
    },
    /// Scheduled again; no counter moves.
    Snooze {
        /// How far away.
        delay_ms: u64,
    },
    /// No handler here; scheduled again, and the store notes since when. No counter moves.
    SetAside {
        /// How far away.
        delay_ms: u64,
    },
    /// Not finished by a worker that stops: ready at once, before others of its priority. One more hand-back.
    HandBack,
    /// Ended as not wanted.
    Cancelled {
        /// Why.
        reason: String,
    },
    /// Ended badly.
    Dead {
        /// Which way.
        reason: DeadReason,
        /// What went wrong.
        error: String,
    },
}

/// Why a job is dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum DeadReason {
    /// The last allowed attempt failed.
    Exhausted,
    /// The handler said that it cannot succeed.
    Failed,
    /// Workers died while running it, too often.
    Poison,
    /// The payload or the arguments cannot be read.
    Decode,
    /// No worker knew its kind for a day.
    UnknownKind,
}

impl DeadReason {
    /// All reasons.
    pub const ALL: [Self; 5] = [Self::Exhausted, Self::Failed, Self::Poison, Self::Decode, Self::UnknownKind];

    /// Returns the name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exhausted => "exhausted",
            Self::Failed => "failed",
            Self::Poison => "poison",
            Self::Decode => "decode",
            Self::UnknownKind => "unknown_kind",
        }
    }

    /// Reads the name on the wire.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name)
    }

    /// Says whether the attempt that led here counts as a failure of the job.
    pub fn counts_as_failure(self) -> bool {
        matches!(self, Self::Exhausted | Self::Failed)
    }
}

/// The answer to one settlement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// Done as asked.
    Applied,
    /// The lease was no longer the job's: nothing was changed.
    Stale,
    /// The part of the store that has this job did not answer, unlike others: to be told again.
    Unanswered,
}

/// The answer to a beat.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Beat {
    /// The store took this worker for dead: it must stop what it runs and register as a new one.
    pub lost: bool,
    /// How many jobs were taken back from dead workers by this call.
    pub rescued: usize,
    /// How long until the first lease of another worker runs out, unless that worker beats before; `None` if there is no
    /// other, or this one is lost.
    pub next_expiry_ms: Option<u64>,
    /// Queues whose part of the store took this worker for dead, unlike others: it must stop the jobs it runs of these. It is
    /// registered there anew.
    pub lost_queues: Vec<QueueName>,
    /// Queues whose part of the store did not answer, unlike others: its leases there were not renewed.
    pub silent_queues: Vec<QueueName>,
}

/// The answer to a cancellation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancelled {
    /// It waited and has ended.
    Ended,
    /// It runs and was asked to stop.
    Asked,
    /// It is dead or ended already.
    AlreadyEnded,
    /// The store does not know it.
    Unknown,
}

/// A worker process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerInfo {
    /// One life of the process.
    pub id: WorkerId,
    /// Host and process, for people.
    pub name: String,
    /// The queues it serves, the first first.
    pub queues: Vec<QueueName>,
    /// How many jobs it runs at once.
    pub concurrency: usize,
    /// When it started, by its own clock.
    pub started_at_ms: i64,
}

/// A queue and its counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct QueueInfo {
    /// The queue.
    pub name: QueueName,
    /// Whether it hands out nothing.
    pub paused: bool,
    /// How many of its jobs may run at once, over all workers; `None` if nothing limits them.
    pub concurrency: Option<u32>,
    /// Jobs that wait for a worker.
    pub ready: u64,
    /// Since when the job waits that waits longest of those that come next, one of each priority, limited or not, by the store's clock; of a job that
    /// was ready when it was pushed, the time in its id. `None` if none is ready.
    pub oldest_ready_at_ms: Option<i64>,
    /// Jobs that wait for their time.
    pub scheduled: u64,
    /// Jobs that a worker has.
    pub running: u64,
    /// Dead jobs.
    pub dead: u64,
    /// Since the queue was made: jobs accepted.
    pub pushed_total: u64,
    /// Since the queue was made: jobs that succeeded.
    pub succeeded_total: u64,
    /// Since the queue was made: failed attempts.
    pub failed_total: u64,
    /// Since the queue was made: jobs taken back from dead workers.
    pub recovered_total: u64,
}

impl QueueInfo {
    /// Says whether as many of its jobs run as may.
    pub fn is_full(&self) -> bool {
        self.concurrency.is_some_and(|most| self.running >= u64::from(most))
    }
}

/// A group of jobs that share limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GroupInfo {
    /// Its key, within the queue.
    pub key: GroupKey,
    /// What holds now.
    pub limits: Limits,
    /// Whether an operator has said so; then the limits that jobs bring wait until that is taken back.
    pub pinned: bool,
    /// How many of its jobs run.
    pub running: u64,
    /// How many of its jobs wait, for a worker or for their time.
    pub waiting: u64,
    /// When the next of its jobs may start as far as the rate goes, by the store's clock; `None` without a rate.
    pub next_token_at_ms: Option<i64>,
}

/// Everything the store knows of a job.
#[derive(Debug, Clone)]
pub struct JobRecord {
    /// The job.
    pub id: JobId,
    /// Its queue.
    pub queue: QueueName,
    /// Its state.
    pub state: State,
    /// Its place in the queue.
    pub priority: Priority,
    /// The batch that waits for its end.
    pub batch: Option<BatchId>,
    /// The group whose limits it shares; `None` once it has succeeded or been cancelled.
    pub group: Option<GroupKey>,
    /// When it is due, if it is scheduled.
    pub run_at_ms: Option<i64>,
    /// Who has it and since when, if it is running.
    pub running: Option<(WorkerId, i64)>,
    /// By which proof it has it, if it is running.
    pub lease: Option<Lease>,
    /// When it ended, if it has.
    pub ended_at_ms: Option<i64>,
    /// Why it is dead, if it is.
    pub dead_reason: Option<DeadReason>,
    /// What happened to it.
    pub history: History,
    /// What came of it, if it succeeded with a result.
    pub result: Option<serde_json::Value>,
    /// How far the attempt is that runs, or was that ended the job; a new attempt begins without.
    pub progress: Option<Progress>,
    /// What its attempts have noted, the last [`MAX_LOG_LINES`](super::MAX_LOG_LINES).
    pub log: Vec<LogLine>,
    /// The encoded envelope; `None` for an ended job of which only the record is left.
    pub payload: Option<bytes::Bytes>,
}

/// The record of an ended job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// The job.
    pub id: JobId,
    /// Its queue.
    pub queue: QueueName,
    /// Succeeded, dead or cancelled.
    pub state: State,
    /// Why it is dead, if it is.
    pub dead_reason: Option<DeadReason>,
    /// What happened to it.
    pub history: History,
    /// What came of it, if it succeeded with a result.
    pub result: Option<serde_json::Value>,
    /// How far the attempt was that ended it, if it said so.
    pub progress: Option<Progress>,
    /// What its attempts have noted.
    pub log: Vec<LogLine>,
    /// Who ran it when it ended and when that attempt was claimed; `None` if it ended while nobody ran it.
    pub running: Option<(WorkerId, i64)>,
    /// When it ended, by the store's clock.
    pub ended_at_ms: i64,
}

/// What a check of a store found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Health {
    /// Product and version.
    pub version: String,
    /// How durable an accepted job is.
    pub durability: String,
}
