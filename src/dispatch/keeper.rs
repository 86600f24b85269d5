//! The keeper of the ledger: writes the ends of jobs from the queue back into the database. Several may run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use deskhand_jobs::fingerprint::Fingerprint;
use deskhand_jobs::queue::{DeadReason, Ending, Queue, State};
use deskhand_jobs::{BatchId, JobId};
use serde::Serialize;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::batches;
use super::figures;
use super::hold::hold;
use super::model::LedgerState;
use super::outage::Outage;
use super::rounds::{Loop, Rounds};
use crate::base::{Error, Result};
use crate::db::{Backend, Db, Text, Tx, written};
use crate::on;

/// The most endings of one round.
const BATCH: usize = 500;
/// The safety net under all wake-ups.
const TICK: Duration = Duration::from_secs(5);
/// Its place among the loops of a process: it looks every [`TICK`].
const LOOP: Loop = Loop { name: "keeper", patience: Duration::from_secs(30), at_once: true };

/// Writes endings back.
#[derive(Clone)]
pub struct Keeper {
    db: Db,
    queue: Arc<dyn Queue>,
    rounds: Rounds,
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeper").field("db", &self.db.url()).finish_non_exhaustive()
    }
}

impl Keeper {
    /// Makes a keeper between a queue that keeps endings and a database.
    pub fn new(db: Db, queue: Arc<dyn Queue>) -> Self {
        Self { db, queue, rounds: Rounds::default() }
    }

    /// Notes its good rounds here.
    #[must_use]
    pub fn noting(self, rounds: Rounds) -> Self {
        rounds.begin(LOOP);
        Self { rounds, ..self }
    }

    /// Writes one batch of endings; returns how many the queue had.
    ///
    /// # Errors
    /// [`Error`] if the database or the queue does not answer; then the endings stay in the queue.
    pub async fn write_endings(&self) -> Result<usize> {
        let endings = self.queue.endings(BATCH).await?;
        if endings.is_empty() {
            return Ok(0);
        }
        let mut tx = self.db.begin().await?;
        write(&mut tx, &endings).await?;
        tx.commit().await?;
        let now = self.db.clock().now();
        for ending in &endings {
            figures::ended(ending.ended_at_ms, now);
        }
        // Only now: whoever asks the queue for a job it does not know finds the end in the database.
        self.queue.forget_endings(&endings).await?;
        Ok(endings.len())
    }

    /// Writes endings until it is told to stop, then once more; `wake` says that there are some.
    pub async fn run(&self, stop: CancellationToken, wake: Arc<Notify>) {
        let mut outage = Outage::new("the keeper of the ledger").noting(&self.rounds, LOOP);
        loop {
            let wait = match self.write_endings().await {
                Ok(count) => {
                    outage.over();
                    if count == BATCH {
                        continue;
                    }
                    None
                }
                Err(error) => Some(outage.failed(&error)),
            };
            if stop.is_cancelled() {
                break;
            }
            let slow = tokio::time::sleep(wait.unwrap_or(TICK));
            tokio::select! {
                () = stop.cancelled() => {}
                () = wake.notified(), if wait.is_none() => {}
                () = slow => {}
            }
        }
    }
}

/// An ending as the statement reads it; times are text as the database driver writes it.
#[derive(Serialize)]
struct Line {
    id: String,
    state: &'static str,
    failures: u32,
    recoveries: u32,
    hand_backs: u32,
    dead_reason: Option<&'static str>,
    last_error: Option<String>,
    fingerprint: Option<Fingerprint>,
    worker: Option<String>,
    started_at: Option<String>,
    ended_at: String,
    duration_ms: Option<i64>,
    /// JSON within JSON, as the columns keep it.
    result: Option<String>,
    progress: Option<String>,
    log: Option<String>,
}

impl Line {
    fn new(ending: &Ending) -> Option<Self> {
        let died_of = ending.history.last_error.as_ref().filter(|_| ending.state == State::Dead);
        let started_at_ms = ending.running.map(|(_, at_ms)| at_ms);
        Some(Self {
            id: ending.id.to_string(),
            state: LedgerState::from_end(ending.state)?.as_str(),
            failures: ending.history.failures,
            recoveries: ending.history.recoveries,
            hand_backs: ending.history.hand_backs,
            dead_reason: ending.dead_reason.map(DeadReason::as_str),
            // Postgres has no text with NUL in it.
            last_error: ending.history.last_error.as_ref().map(|text| text.replace('\0', "\u{fffd}")),
            fingerprint: died_of.map(|error| Fingerprint::of(error)),
            worker: ending.running.map(|(worker, _)| worker.to_string()),
            started_at: started_at_ms.map(instant),
            ended_at: instant(ending.ended_at_ms),
            duration_ms: started_at_ms.map(|at_ms| (ending.ended_at_ms - at_ms).max(0)),
            result: ending.result.as_ref().map(serde_json::Value::to_string),
            progress: ending.progress.and_then(|progress| serde_json::to_string(&progress).ok()),
            log: Some(&ending.log).filter(|log| !log.is_empty()).and_then(|log| serde_json::to_string(log).ok()),
        })
    }
}

fn instant(at_ms: i64) -> String {
    written(DateTime::<Utc>::from_timestamp_millis(at_ms).unwrap_or_default())
}

async fn write(tx: &mut Tx, endings: &[Ending]) -> Result<()> {
    // The latest of each job: which of two the statement would take is the database's choice.
    let mut latest: BTreeMap<JobId, &Ending> = BTreeMap::new();
    for ending in endings {
        let kept = latest.entry(ending.id).or_insert(ending);
        if kept.ended_at_ms < ending.ended_at_ms {
            *kept = ending;
        }
    }
    let ids: Vec<JobId> = latest.keys().copied().collect();
    hold(tx, &ids).await?;
    let lines: Vec<Line> = latest.into_values().filter_map(Line::new).collect();
    let json = serde_json::to_string(&lines).map_err(|error| Error::internal("cannot write endings as JSON", error))?;
    // One statement for the whole batch; only how a list of records comes in differs. A row that has ended takes a later end
    // (it was redriven), and a row that was redriven takes any but the end from before: the clock of another queue may be behind.
    let sql = match tx.backend() {
        Backend::Sqlite => concat!(
            "WITH e AS (SELECT value ->> 'id' AS id, value ->> 'state' AS state, value ->> 'failures' AS failures, \
             value ->> 'recoveries' AS recoveries, value ->> 'hand_backs' AS hand_backs, \
             value ->> 'dead_reason' AS dead_reason, value ->> 'last_error' AS last_error, value ->> 'fingerprint' AS fingerprint, \
             value ->> 'worker' AS worker, \
             value ->> 'started_at' AS started_at, value ->> 'ended_at' AS ended_at, \
             value ->> 'duration_ms' AS duration_ms, value ->> 'result' AS result, value ->> 'progress' AS progress, \
             value ->> 'log' AS log FROM json_each($1)) ",
            update!()
        ),
        Backend::Postgres => concat!(
            "WITH e AS (SELECT * FROM json_to_recordset($1::json) AS e (id text, state text, failures bigint, \
             recoveries bigint, hand_backs bigint, dead_reason text, last_error text, fingerprint text, worker text, \
             started_at timestamptz, ended_at timestamptz, duration_ms bigint, result text, progress text, log text)) ",
            update!()
        ),
    };
    let left: Vec<Option<Text<BatchId>>> = on!(tx, |c| sqlx::query_scalar(sql).bind(json).fetch_all(c).await)?;
    batches::close_done(tx, left.into_iter().flatten().map(|batch| batch.0).collect()).await.map(drop)
}

macro_rules! update {
    () => {
        "UPDATE jobs SET state = e.state, failures = e.failures, recoveries = e.recoveries, hand_backs = e.hand_backs, \
         dead_reason = e.dead_reason, last_error = e.last_error, fingerprint = e.fingerprint, worker = e.worker, started_at = e.started_at, \
         ended_at = e.ended_at, ended_through = e.ended_at, duration_ms = e.duration_ms, result = e.result, \
         progress = e.progress, log = e.log, version = version + 1 \
         FROM e WHERE jobs.id = e.id AND (jobs.ended_through IS NULL OR jobs.ended_through < e.ended_at \
         OR (jobs.state IN ('pending', 'pushed') AND jobs.ended_through <> e.ended_at)) \
         RETURNING jobs.batch"
    };
}
use update;
