//! Batches: opened, joined, left, closed, cancelled, looked at.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sqlx::types::Json;

use super::apply::{Held, id_list, list};
use super::columns::held;
use super::fault::{Fault, Result};
use super::open::{Change, SqliteQueue};
use super::record::{batch_id, job_id, queue_name};
use super::step::{Goal, cancelled};
use crate::id::{BatchId, JobId, QueueName};
use crate::job::Envelope;
use crate::queue::audit::Findings;
use crate::queue::{
    Batch, BatchCancelled, BatchInfo, BatchTotals, Drift, DriftKind, Gate, Opened, Refusal, Sealed, State, refusal,
};

/// How many waiting members one transaction of a cancellation ends.
const CANCELLED_AT_ONCE: i64 = 100;

/// How the members of batches ended in one change.
#[derive(Default)]
pub(super) struct Ended(BTreeMap<String, BatchTotals>);

impl Ended {
    /// Counts where a member went, if that is an end.
    pub(super) fn count(&mut self, batch: &str, goal: Goal) {
        if !goal.is_end() {
            return;
        }
        let totals = self.0.entry(batch.to_owned()).or_default();
        match goal {
            Goal::Succeeded => totals.succeeded += 1,
            Goal::Dead(_) => totals.dead += 1,
            _ => totals.cancelled += 1,
        }
    }
}

/// A row of `batches` as the port shows it.
#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    queue: String,
    opened_at_ms: i64,
    sealed: bool,
    stopped: bool,
    total: i64,
    succeeded: i64,
    dead: i64,
    cancelled: i64,
    then_id: Vec<u8>,
}

/// What closing a batch takes.
#[derive(sqlx::FromRow)]
struct Closing {
    queue: String,
    then_id: Vec<u8>,
    then_payload: Vec<u8>,
    then_run_at_ms: Option<i64>,
    totals: String,
}

impl SqliteQueue {
    pub(super) async fn open_one(&self, batch: &Batch) -> Result<Opened> {
        let then = batch.then();
        let mut change = self.begin().await?;
        change.name_queues(std::slice::from_ref(batch.queue())).await?;
        let sql = "SELECT (SELECT count(*) FROM batches WHERE id = ?1), (SELECT count(*) FROM jobs WHERE id = ?2)";
        let (open, closed): (bool, bool) = sqlx::query_as(sql)
            .bind(batch.id().to_string())
            .bind(then.id.as_bytes().as_slice())
            .fetch_one(&mut *change.tx)
            .await?;
        if open || closed {
            return Ok(if open { Opened::Already } else { Opened::Closed });
        }
        let sql = "INSERT INTO batches (id, queue, opened_at_ms, then_id, then_payload, then_run_at_ms) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        sqlx::query(sql)
            .bind(batch.id().to_string())
            .bind(batch.queue().as_str())
            .bind(change.now_ms)
            .bind(then.id.as_bytes().as_slice())
            .bind(then.encode())
            .bind(then.run_at_ms)
            .execute(&mut *change.tx)
            .await?;
        change.commit().await?;
        Ok(Opened::Created)
    }

    pub(super) async fn seal(&self, queue: &QueueName, id: BatchId) -> Result<Sealed> {
        let mut change = self.begin().await?;
        let sql = "UPDATE batches SET sealed = 1 WHERE id = ?1 AND queue = ?2 \
                   RETURNING total - succeeded - dead - cancelled";
        let left: Option<i64> =
            sqlx::query_scalar(sql).bind(id.to_string()).bind(queue.as_str()).fetch_optional(&mut *change.tx).await?;
        let answer = match left {
            None => return Ok(Sealed::Unknown),
            Some(1..) => Sealed::Waiting { left: left.unwrap_or_default() as u64 },
            Some(_) => {
                change.close_batch(&id.to_string()).await?;
                Sealed::Closed
            }
        };
        change.commit().await?;
        if answer == Sealed::Closed {
            self.bells.ring([queue]);
        }
        Ok(answer)
    }

    pub(super) async fn cancel_members(&self, id: BatchId) -> Result<Option<BatchCancelled>> {
        let mut done: Option<BatchCancelled> = None;
        loop {
            let mut change = self.begin().await?;
            let sql = "UPDATE batches SET sealed = 1, stopped = 1 WHERE id = ?1 \
                       RETURNING total = succeeded + dead + cancelled";
            let over: Option<bool> =
                sqlx::query_scalar(sql).bind(id.to_string()).fetch_optional(&mut *change.tx).await?;
            // It may have closed between two parts.
            let Some(over) = over else { return Ok(done) };
            let sum = done.get_or_insert_default();
            // As many as workers run at once; those that were started since the part before are among them.
            let sql = "UPDATE jobs SET cancel_requested = 1 \
                       WHERE batch = ?1 AND batch IS NOT NULL AND state = 'running' AND cancel_requested = 0";
            sum.asked += sqlx::query(sql).bind(id.to_string()).execute(&mut *change.tx).await?.rows_affected();
            let sql = held!(
                "0",
                "(SELECT * FROM jobs WHERE batch = ?1 AND batch IS NOT NULL AND state <> 'running' LIMIT (SELECT ?2))"
            );
            let Json(waiting): Json<Vec<Held>> =
                sqlx::query_scalar(sql).bind(id.to_string()).bind(CANCELLED_AT_ONCE).fetch_one(&mut *change.tx).await?;
            let found = waiting.len();
            sum.ended += found as u64;
            let steps = waiting.into_iter().map(|held| {
                let step = cancelled(held.history.clone(), None);
                (held, step)
            });
            let mut queues = self.apply(&mut change, steps.collect()).await?;
            if over {
                queues.extend(change.close_batch(&id.to_string()).await?);
            }
            change.commit().await?;
            self.bells.ring(&queues);
            if found < CANCELLED_AT_ONCE as usize {
                return Ok(done);
            }
        }
    }

    pub(super) async fn read_batch(&self, id: BatchId) -> Result<Option<BatchInfo>> {
        let row: Option<Row> = sqlx::query_as("SELECT * FROM batches WHERE id = ?1")
            .bind(id.to_string())
            .fetch_optional(&self.readers)
            .await?;
        row.map(Row::info).transpose()
    }

    pub(super) async fn read_batches(
        &self,
        queue: &QueueName,
        after: Option<BatchId>,
        size: usize,
    ) -> Result<Vec<BatchInfo>> {
        let sql = "SELECT * FROM batches WHERE queue = ?1 AND id > ?2 ORDER BY id LIMIT ?3";
        let rows: Vec<Row> = sqlx::query_as(sql)
            .bind(queue.as_str())
            .bind(after.map(|after| after.to_string()).unwrap_or_default())
            .bind(i64::try_from(size).unwrap_or(i64::MAX))
            .fetch_all(&self.readers)
            .await?;
        rows.into_iter().map(Row::info).collect()
    }
}

impl SqliteQueue {
    /// Compares the counts of batches with the members that there are.
    pub(super) async fn audit_batches(&self, queue: &QueueName, repair: bool, findings: &mut Findings) -> Result<()> {
        let sql = "SELECT id, miscounted, sealed AND members = 0 FROM \
                   (SELECT id, sealed, members, total - succeeded - dead - cancelled <> members AS miscounted FROM \
                    (SELECT *, (SELECT count(*) FROM jobs WHERE batch = batches.id AND batch IS NOT NULL) AS members \
                     FROM batches WHERE queue = ?1)) WHERE miscounted OR (sealed AND members = 0)";
        let wrong: Vec<(String, bool, bool)> =
            sqlx::query_as(sql).bind(queue.as_str()).fetch_all(&self.readers).await?;
        for (id, miscounted, unclosed) in wrong {
            let mut note = |kind| {
                findings.add(Drift { kind, id: None, what: format!("batch {id}"), repaired: repair });
            };
            if miscounted {
                note(DriftKind::Count);
            }
            if unclosed {
                note(DriftKind::Unclosed);
            }
            if repair {
                let mut change = self.begin().await?;
                let sql = "UPDATE batches SET total = succeeded + dead + cancelled + \
                           (SELECT count(*) FROM jobs WHERE batch = ?1 AND batch IS NOT NULL) WHERE id = ?1 \
                           RETURNING sealed AND total = succeeded + dead + cancelled";
                let done: Option<bool> = sqlx::query_scalar(sql).bind(&id).fetch_optional(&mut *change.tx).await?;
                if done == Some(true) {
                    change.close_batch(&id).await?;
                }
                change.commit().await?;
                self.bells.ring([queue]);
            }
        }
        Ok(())
    }
}

impl Row {
    fn info(self) -> Result<BatchInfo> {
        Ok(BatchInfo {
            id: batch_id(&self.id)?,
            queue: queue_name(&self.queue)?,
            opened_at_ms: self.opened_at_ms,
            sealed: self.sealed,
            cancelled: self.stopped,
            totals: BatchTotals {
                total: self.total as u64,
                succeeded: self.succeeded as u64,
                dead: self.dead as u64,
                cancelled: self.cancelled as u64,
            },
            then: job_id(&self.then_id)?,
        })
    }
}

impl Change {
    /// Says at which places of a push there are jobs that their batches do not take.
    pub(super) async fn refusals(&mut self, jobs: &[Envelope]) -> Result<HashMap<usize, Refusal>> {
        let members = || jobs.iter().enumerate().filter_map(|(at, job)| Some((at, job, job.batch?)));
        let named: BTreeSet<BatchId> = members().map(|(.., batch)| batch).collect();
        if named.is_empty() {
            return Ok(HashMap::new());
        }
        let sql = "SELECT id, queue, sealed, stopped FROM batches WHERE id IN (SELECT value FROM json_each(?1))";
        let rows: Vec<(String, String, bool, bool)> =
            sqlx::query_as(sql).bind(list(named)).fetch_all(&mut *self.tx).await?;
        let batches: HashMap<String, (String, bool, bool)> =
            rows.into_iter().map(|(id, queue, sealed, stopped)| (id, (queue, sealed, stopped))).collect();
        let parents: BTreeSet<JobId> = members().filter_map(|(_, job, _)| job.parent).collect();
        let running: HashMap<JobId, String> = self.running_members(parents).await?;
        let judge = |(at, job, batch): (usize, &Envelope, BatchId)| {
            let id = batch.to_string();
            let gate = batches.get(&id).filter(|(queue, ..)| queue == job.options.queue.as_str()).map(
                |(_, sealed, cancelled)| Gate {
                    sealed: *sealed,
                    cancelled: *cancelled,
                    from_member: job.parent.and_then(|parent| running.get(&parent)) == Some(&id),
                },
            );
            Some((at, refusal(gate)?))
        };
        Ok(members().filter_map(judge).collect())
    }

    /// Returns those of the jobs that run and are members, with their batch.
    async fn running_members(&mut self, ids: BTreeSet<JobId>) -> Result<HashMap<JobId, String>> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let ids: Vec<JobId> = ids.into_iter().collect();
        let held = self.held(&id_list(ids.iter().copied())).await?.into_iter();
        let running = held.filter(|held| held.state == State::Running.as_str());
        Ok(running.filter_map(|held| Some((ids[held.at as usize], held.batch?))).collect())
    }

    /// Counts the jobs that have become members.
    pub(super) async fn join_batches(&mut self, accepted: impl Iterator<Item = (&Envelope, i64)>) -> Result<()> {
        let mut joined: BTreeMap<BatchId, i64> = BTreeMap::new();
        for batch in accepted.filter_map(|(job, _)| job.batch) {
            *joined.entry(batch).or_default() += 1;
        }
        for (batch, members) in joined {
            sqlx::query("UPDATE batches SET total = total + ?2 WHERE id = ?1")
                .bind(batch.to_string())
                .bind(members)
                .execute(&mut *self.tx)
                .await?;
        }
        Ok(())
    }

    /// Counts the ends of members and closes the batches that they complete; returns the queues of those.
    pub(super) async fn leave_batches(&mut self, ended: Ended) -> Result<Vec<QueueName>> {
        let mut queues = Vec::new();
        for (batch, totals) in ended.0 {
            let sql = "UPDATE batches SET succeeded = succeeded + ?2, dead = dead + ?3, cancelled = cancelled + ?4 \
                       WHERE id = ?1 RETURNING sealed AND total = succeeded + dead + cancelled";
            let done: Option<bool> = sqlx::query_scalar(sql)
                .bind(&batch)
                .bind(totals.succeeded as i64)
                .bind(totals.dead as i64)
                .bind(totals.cancelled as i64)
                .fetch_optional(&mut *self.tx)
                .await?;
            if done == Some(true) {
                queues.extend(self.close_batch(&batch).await?);
            }
        }
        Ok(queues)
    }

    /// Makes the closing job of a batch and forgets the batch; returns the queue.
    async fn close_batch(&mut self, batch: &str) -> Result<Option<QueueName>> {
        let sql = "DELETE FROM batches WHERE id = ?1 RETURNING queue, then_id, then_payload, then_run_at_ms, \
                   json_array(total, succeeded, dead, cancelled) AS totals";
        let closing: Option<Closing> = sqlx::query_as(sql).bind(batch).fetch_optional(&mut *self.tx).await?;
        let Some(closing) = closing else { return Ok(None) };
        let (id, queue) = (job_id(&closing.then_id)?, queue_name(&closing.queue)?);
        let mut then = Envelope::decode(id, queue.clone(), &closing.then_payload)
            .map_err(|error| Fault::Corrupt(format!("the closing job of batch {batch}: {error}")))?;
        then.run_at_ms = closing.then_run_at_ms;
        let place = self.places(1).await? + 1;
        self.expect_groups(&[(place, &then)]).await?;
        // Somebody may have pushed it by itself; then it is there already.
        if !self.insert(vec![(&then, closing.then_payload, place)]).await?.is_empty() {
            sqlx::query("UPDATE jobs SET totals = ?2 WHERE id = ?1")
                .bind(closing.then_id)
                .bind(closing.totals)
                .execute(&mut *self.tx)
                .await?;
            self.enroll(std::iter::once(&then)).await?;
        }
        Ok(Some(queue))
    }
}
