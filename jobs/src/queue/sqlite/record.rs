//! A stored job as the port shows it.

use bytes::Bytes;

use super::fault::{Fault, Result};
use super::tell::read_log;
use crate::id::{BatchId, GroupKey, JobId, QueueName, WorkerId};
use crate::options::Priority;
use crate::queue::{DeadReason, Ending, History, JobRecord, Lease, Progress, State};

/// A row of `jobs`, but what only the store itself needs.
#[derive(sqlx::FromRow)]
pub(super) struct Stored {
    id: Vec<u8>,
    queue: String,
    state: String,
    priority: u8,
    batch: Option<String>,
    group_key: Option<String>,
    run_at_ms: Option<i64>,
    worker: Option<String>,
    claimed_at_ms: Option<i64>,
    lease: Option<String>,
    #[sqlx(json)]
    history: History,
    dead_reason: Option<String>,
    ended_at_ms: Option<i64>,
    result: Option<String>,
    /// How much is done, of how much, and the log, if it has told anything.
    #[sqlx(json(nullable))]
    told: Option<(Option<u64>, Option<u64>, String)>,
    payload: Option<Vec<u8>>,
}

impl Stored {
    pub(super) fn record(self) -> Result<JobRecord> {
        let (state, dead_reason, result) = (self.state()?, self.dead_reason()?, self.result()?);
        let group = self.group_key.clone().filter(|_| !matches!(state, State::Succeeded | State::Cancelled));
        Ok(JobRecord {
            group: group.map(GroupKey::new).transpose().map_err(|error| Fault::Corrupt(error.to_string()))?,
            id: job_id(&self.id)?,
            queue: queue_name(&self.queue)?,
            state,
            priority: Priority::from_rank(self.priority).ok_or_else(|| strange("a priority", &self.priority))?,
            batch: self.batch.as_deref().map(batch_id).transpose()?,
            run_at_ms: self.run_at_ms,
            running: if state == State::Running { self.claimed()? } else { None },
            lease: self.lease.filter(|_| state == State::Running).map(|lease| Lease(lease.into())),
            ended_at_ms: self.ended_at_ms,
            dead_reason,
            history: self.history,
            result,
            progress: self
                .told
                .as_ref()
                .and_then(progress)
                .filter(|_| !matches!(state, State::Ready | State::Scheduled)),
            log: self.told.as_ref().map(|(.., log)| read_log(log)).unwrap_or_default(),
            payload: self.payload.map(Bytes::from),
        })
    }

    pub(super) fn ending(self) -> Result<Ending> {
        Ok(Ending {
            id: job_id(&self.id)?,
            queue: queue_name(&self.queue)?,
            state: self.state()?,
            dead_reason: self.dead_reason()?,
            running: self.claimed()?,
            result: self.result()?,
            progress: self.told.as_ref().and_then(progress),
            log: self.told.as_ref().map(|(.., log)| read_log(log)).unwrap_or_default(),
            history: self.history,
            ended_at_ms: self.ended_at_ms.ok_or_else(|| Fault::Corrupt("an ending without its instant".into()))?,
        })
    }

    fn state(&self) -> Result<State> {
        State::from_name(&self.state).ok_or_else(|| strange("a state", &self.state))
    }

    fn dead_reason(&self) -> Result<Option<DeadReason>> {
        let Some(name) = &self.dead_reason else { return Ok(None) };
        DeadReason::from_name(name).map(Some).ok_or_else(|| strange("a reason of death", name))
    }

    fn result(&self) -> Result<Option<serde_json::Value>> {
        let Some(text) = &self.result else { return Ok(None) };
        serde_json::from_str(text).map(Some).map_err(|_| strange("a result", text))
    }

    fn claimed(&self) -> Result<Option<(WorkerId, i64)>> {
        let Some((worker, at_ms)) = self.worker.as_ref().zip(self.claimed_at_ms) else { return Ok(None) };
        Ok(Some((worker.parse().map_err(|_| strange("a worker id", worker))?, at_ms)))
    }
}

fn progress((done, total, _): &(Option<u64>, Option<u64>, String)) -> Option<Progress> {
    done.map(|done| Progress { done, total: *total })
}

pub(super) fn job_id(bytes: &[u8]) -> Result<JobId> {
    JobId::from_slice(bytes).ok_or_else(|| strange("a job id", &bytes))
}

pub(super) fn batch_id(text: &str) -> Result<BatchId> {
    text.parse().map_err(|_| strange("a batch id", &text))
}

pub(super) fn queue_name(name: &str) -> Result<QueueName> {
    QueueName::new(name).map_err(|error| Fault::Corrupt(error.to_string()))
}

fn strange(what: &str, value: &dyn std::fmt::Debug) -> Fault {
    Fault::Corrupt(format!("{value:?} is not {what}"))
}
