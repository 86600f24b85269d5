//! One row of the ledger.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use deskhand_jobs::queue::{DeadReason, LogLine, Progress};
use deskhand_jobs::{BatchId, Envelope, JobId, Kind, Options, Priority, QueueName};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::limits::in_queue;
use super::lines::Line;
use super::model::LedgerState;
use crate::base::error::BoxError;
use crate::base::{Error, Result, TenantId};
use crate::db::Text;

/// Everything the database knows of a job.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    /// The job.
    pub id: JobId,
    /// Whose job it is.
    pub tenant_id: TenantId,
    /// What it does.
    pub kind: Kind,
    /// The arguments, as JSON.
    pub args: Box<RawValue>,
    /// How it is run.
    pub options: Options,
    /// What travels along.
    pub headers: BTreeMap<String, String>,
    /// Not before this instant.
    pub run_at: DateTime<Utc>,
    /// Where it is.
    pub state: LedgerState,
    /// The batch that it is a member of: the id of the job that closes it.
    pub batch: Option<BatchId>,
    /// Attempts that failed, known once it has ended.
    pub failures: u32,
    /// Times that it was taken back from a worker that died, known once it has ended.
    pub recoveries: u32,
    /// Times that a stopping worker gave it back, known once it has ended.
    pub hand_backs: u32,
    /// Times that it was redriven from among the dead.
    pub generation: u32,
    /// Why it is dead, if it is.
    pub dead_reason: Option<DeadReason>,
    /// The last error, or the reason of the end.
    pub last_error: Option<String>,
    /// Which worker ran it last.
    pub worker: Option<String>,
    /// When its last attempt started.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// How long its last attempt took, in milliseconds.
    pub duration_ms: Option<i64>,
    /// What came of it, if it succeeded with a result.
    pub result: Option<Value>,
    /// How far its last attempt was, known once it has ended.
    pub progress: Option<Progress>,
    /// What its attempts noted, known once it has ended; empty in lists.
    pub log: Vec<LogLine>,
    /// When it was enqueued.
    pub created_at: DateTime<Utc>,
    /// When the queue took it.
    pub pushed_at: Option<DateTime<Utc>>,
    /// Counts the changes of the row.
    pub version: i64,
    /// The client's key, if it gave one.
    pub idempotency_key: Option<String>,
}

/// The columns of [`Row`], in the order of the table.
pub(super) const COLUMNS: [&str; 26] = [
    "id",
    "tenant_id",
    "kind",
    "queue",
    "priority",
    "args",
    "options",
    "headers",
    "run_at",
    "state",
    "failures",
    "recoveries",
    "hand_backs",
    "dead_reason",
    "last_error",
    "worker",
    "started_at",
    "ended_at",
    "duration_ms",
    "created_at",
    "pushed_at",
    "version",
    "generation",
    "result",
    "progress",
    "batch",
];

/// Columns that only a look at one job reads, because they may be long.
pub(super) const LONG_COLUMNS: [&str; 1] = ["log"];

/// The row as it is stored: text that may turn out to be unreadable, which harms this job and no other.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct Row {
    pub(super) id: Text<JobId>,
    pub(super) tenant_id: TenantId,
    kind: String,
    queue: String,
    priority: i64,
    args: String,
    options: String,
    headers: String,
    pub(super) run_at: DateTime<Utc>,
    state: LedgerState,
    failures: i64,
    recoveries: i64,
    hand_backs: i64,
    dead_reason: Option<String>,
    last_error: Option<String>,
    worker: Option<String>,
    started_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
    duration_ms: Option<i64>,
    pub(super) created_at: DateTime<Utc>,
    pushed_at: Option<DateTime<Utc>>,
    version: i64,
    generation: i64,
    result: Option<String>,
    progress: Option<String>,
    batch: Option<String>,
    #[sqlx(default)]
    log: Option<String>,
    #[sqlx(default)]
    idempotency_key: Option<String>,
}

impl Entry {
    /// Returns what the database knows of a job whose row was written at this instant.
    pub(super) fn waiting(line: &Line, now: DateTime<Utc>) -> Self {
        let job = &line.job;
        Self {
            id: job.id,
            tenant_id: line.tenant.clone(),
            kind: job.kind.clone(),
            args: job.args.clone(),
            options: job.options.clone(),
            headers: line.headers.clone(),
            run_at: line.run_at.unwrap_or(now),
            state: line.state,
            batch: job.batch,
            failures: 0,
            recoveries: 0,
            hand_backs: 0,
            generation: 0,
            dead_reason: None,
            last_error: None,
            worker: None,
            started_at: None,
            ended_at: None,
            duration_ms: None,
            result: None,
            progress: None,
            log: Vec::new(),
            created_at: now,
            pushed_at: None,
            version: 1,
            idempotency_key: line.idempotency.as_ref().map(|given| given.key.clone()),
        }
    }
}

impl Row {
    /// Rebuilds what travels. A job that is due already says so by saying nothing: the queue has its own clock.
    pub(super) fn envelope(&self, now: DateTime<Utc>) -> Result<Envelope, BoxError> {
        let mut options = self.options()?;
        if let Some(unique) = &mut options.unique {
            // The queue knows no tenants; without this one could end the jobs of another. A tenant's name has no colon.
            unique.key = format!("{}:{}", self.tenant_id, unique.key);
        }
        if let Some(group) = &mut options.group {
            // Nor is one tenant to take the slots of another.
            group.key = in_queue(&self.tenant_id, &group.key)?;
        }
        Ok(Envelope {
            id: self.id.0,
            kind: Kind::new(self.kind.as_str())?,
            args: RawValue::from_string(self.args.clone())?,
            options,
            run_at_ms: (self.run_at > now).then(|| self.run_at.timestamp_millis()),
            tenant: Some(self.tenant_id.to_string()),
            headers: serde_json::from_str(&self.headers)?,
            // The queue knows of no batches: the database decides when one closes.
            batch: None,
            parent: None,
        })
    }

    /// Says whether the queue has never had it.
    pub(super) fn is_new(&self) -> bool {
        self.pushed_at.is_none()
    }

    /// Returns about how much travels.
    pub(super) fn size_bytes(&self) -> usize {
        self.args.len() + self.options.len() + self.headers.len()
    }

    fn options(&self) -> Result<Options, BoxError> {
        let mut options: Options = serde_json::from_str(&self.options)?;
        // The columns are what lists filter by; they win.
        options.queue = QueueName::new(self.queue.as_str())?;
        options.priority =
            u8::try_from(self.priority).ok().and_then(Priority::from_rank).ok_or("the priority is out of range")?;
        Ok(options)
    }

    fn read(self) -> Result<Entry, BoxError> {
        let count = |n: i64| u32::try_from(n).unwrap_or_default();
        Ok(Entry {
            id: self.id.0,
            kind: Kind::new(self.kind.as_str())?,
            args: RawValue::from_string(self.args.clone())?,
            options: self.options()?,
            headers: serde_json::from_str(&self.headers)?,
            tenant_id: self.tenant_id,
            run_at: self.run_at,
            state: self.state,
            batch: self.batch.as_deref().map(str::parse).transpose()?,
            failures: count(self.failures),
            recoveries: count(self.recoveries),
            hand_backs: count(self.hand_backs),
            generation: count(self.generation),
            dead_reason: self.dead_reason.as_deref().and_then(DeadReason::from_name),
            last_error: self.last_error,
            worker: self.worker,
            started_at: self.started_at,
            ended_at: self.ended_at,
            duration_ms: self.duration_ms,
            // Written by the keeper; what cannot be read is worth less than the rest of the job.
            result: self.result.and_then(|text| serde_json::from_str(&text).ok()),
            progress: self.progress.and_then(|text| serde_json::from_str(&text).ok()),
            log: self.log.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default(),
            created_at: self.created_at,
            pushed_at: self.pushed_at,
            version: self.version,
            idempotency_key: self.idempotency_key,
        })
    }
}

impl TryFrom<Row> for Entry {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let id = row.id.0;
        row.read().map_err(|source| Error::internal(format!("the ledger row of job {id} cannot be read"), source))
    }
}
