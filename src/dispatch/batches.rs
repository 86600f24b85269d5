//! Batches: jobs that are written together, and one job that runs when all of them have ended.
//!
//! ```text
//!   closing job:  waiting ──the last member ends──▶ pending ──▶ like any other job
//!   members:      pending ──▶ pushed ──▶ succeeded | dead | cancelled
//! ```
//!
//! The database alone decides; the queue runs members and the closing job without knowing of batches. So a member may be in any
//! queue, and a queue that lost everything costs a batch nothing: its members are sent again like all jobs.
//!
//! 1. The closing job is a row in state `waiting`. Its id is the id of the batch, and its members name it. Nesting is allowed: a closing job
//!    may be a member of another batch.
//! 2. Who writes the end of a member looks, in the same transaction, whether it was the last, while it holds the row of the closing job.
//!    Of two that write the last two ends at once, the second sees both. The reconciler looks again each minute.
//! 3. As long as a batch is open anybody may add members, which who runs as a member always can: it has not ended. Who does not know
//!    the members at once writes one that finds them.
//! 4. A dead member has ended. Redriven before the batch closes it keeps the batch open, later it is a job of its own.

use std::collections::{BTreeMap, BTreeSet};

use deskhand_jobs::queue::BatchTotals;
use deskhand_jobs::{BatchId, JobId};

use super::lines::Line;
use super::model::LedgerState;
use super::outbox::announce;
use crate::base::{Error, Result, TenantId};
use crate::db::{Backend, Db, Text, Tx};
use crate::on;

/// The header with which the closing job is told how its batch went.
const TOTALS: &str = "batch-totals";

/// How many batches the reconciler closes in one transaction.
const AT_ONCE: i64 = 100;

/// Returns the batch that a job closes, if it closes one: the two have one id.
pub fn closed_by(job: JobId) -> BatchId {
    BatchId::from_slice(job.as_bytes()).expect("the ids of jobs and of batches are as long")
}

/// Reads from the headers of a run how the batch went that the job closes; `None` if it closes none.
pub fn totals(headers: &BTreeMap<String, String>) -> Option<BatchTotals> {
    serde_json::from_str(headers.get(TOTALS)?).ok()
}

/// Counts the members of a batch by where they are.
///
/// # Errors
/// [`Error`] of the database.
pub async fn members(tx: &mut Tx, tenant: &TenantId, batch: BatchId) -> Result<BatchTotals> {
    let sql = "SELECT state, count(*) FROM jobs WHERE tenant_id = $1 AND batch = $2 GROUP BY state";
    let counts: Vec<(LedgerState, i64)> =
        on!(tx, |c| sqlx::query_as(sql).bind(tenant).bind(Text(batch)).fetch_all(c).await)?;
    let mut totals = BatchTotals::default();
    for (state, count) in counts {
        let count = u64::try_from(count).unwrap_or_default();
        totals.total += count;
        match state {
            LedgerState::Succeeded => totals.succeeded += count,
            LedgerState::Dead => totals.dead += count,
            LedgerState::Cancelled => totals.cancelled += count,
            LedgerState::Waiting | LedgerState::Pending | LedgerState::Pushed => {}
        }
    }
    Ok(totals)
}

/// Refuses members of batches that are not open, and keeps the others open until the end of the transaction.
pub(super) async fn join(tx: &mut Tx, lines: &[Line]) -> Result<()> {
    let named: BTreeSet<(BatchId, &TenantId)> =
        lines.iter().filter_map(|line| Some((line.job.batch?, &line.tenant))).collect();
    for (batch, tenant) in named {
        // Others may add members at the same time; who wants to close the batch waits for them. SQLite has one writer.
        let sql = match tx.backend() {
            Backend::Sqlite => "SELECT 1 FROM jobs WHERE id = $1 AND tenant_id = $2 AND state = 'waiting'",
            Backend::Postgres => "SELECT 1 FROM jobs WHERE id = $1 AND tenant_id = $2 AND state = 'waiting' FOR SHARE",
        };
        let open: Option<i32> =
            on!(tx, |c| sqlx::query_scalar(sql).bind(Text(batch)).bind(tenant).fetch_optional(c).await)?;
        if open.is_none() {
            let message = format!("batch {batch} has closed or was never opened: open another one");
            return Err(Error::conflict("batch_closed", message));
        }
    }
    Ok(())
}

/// Closes the batches of these jobs, which have ended in this transaction, as far as nobody else is left in them.
pub(super) async fn leave(tx: &mut Tx, ended: &[JobId]) -> Result<()> {
    if ended.is_empty() {
        return Ok(());
    }
    let sql = match tx.backend() {
        Backend::Sqlite => {
            "SELECT DISTINCT batch FROM jobs WHERE id IN (SELECT value FROM json_each($1)) AND batch IS NOT NULL"
        }
        Backend::Postgres => {
            "SELECT DISTINCT batch FROM jobs WHERE id IN (SELECT json_array_elements_text($1::json)) AND batch IS NOT NULL"
        }
    };
    let ids = written(ended)?;
    let batches: Vec<Text<BatchId>> = on!(tx, |c| sqlx::query_scalar(sql).bind(ids).fetch_all(c).await)?;
    close_done(tx, batches.into_iter().map(|batch| batch.0).collect()).await.map(drop)
}

/// Lets the closing jobs run of those batches in which nobody is left; returns how many.
pub(super) async fn close_done(tx: &mut Tx, batches: BTreeSet<BatchId>) -> Result<usize> {
    if batches.is_empty() {
        return Ok(0);
    }
    // In the order of their ids, so that of two who hold several neither waits for the other.
    let sql = match tx.backend() {
        Backend::Sqlite => {
            "SELECT id, tenant_id, headers FROM jobs WHERE id IN (SELECT value FROM json_each($1)) AND state = 'waiting' ORDER BY id"
        }
        Backend::Postgres => {
            "SELECT id, tenant_id, headers FROM jobs WHERE id IN (SELECT json_array_elements_text($1::json)) AND state = 'waiting' \
             ORDER BY id FOR UPDATE"
        }
    };
    let ids = written(&batches)?;
    let open: Vec<(Text<BatchId>, TenantId, String)> = on!(tx, |c| sqlx::query_as(sql).bind(ids).fetch_all(c).await)?;
    let mut closed = 0;
    for (batch, tenant, headers) in open {
        if !has_left(tx, batch.0).await? {
            let totals = members(tx, &tenant, batch.0).await?;
            close(tx, batch.0, totals, &headers).await?;
            closed += 1;
        }
    }
    if closed > 0 {
        announce(tx).await?;
    }
    Ok(closed)
}

/// Closes batches in which nobody is left although nobody has closed them: a program that knows no batches wrote the last end.
pub(super) async fn close_forgotten(db: &Db) -> Result<usize> {
    let sql = "SELECT id FROM jobs WHERE state = 'waiting' AND NOT EXISTS (SELECT 1 FROM jobs AS member \
               WHERE member.batch = jobs.id AND member.state IN ('waiting', 'pending', 'pushed')) ORDER BY id LIMIT $1";
    let mut tx = db.read().await?;
    let forgotten: Vec<Text<BatchId>> = on!(tx, |c| sqlx::query_scalar(sql).bind(AT_ONCE).fetch_all(c).await)?;
    tx.rollback().await?;
    if forgotten.is_empty() {
        return Ok(0);
    }
    let mut tx = db.begin().await?;
    let closed = close_done(&mut tx, forgotten.into_iter().map(|batch| batch.0).collect()).await?;
    tx.commit().await?;
    Ok(closed)
}

async fn has_left(tx: &mut Tx, batch: BatchId) -> Result<bool> {
    let sql = "SELECT 1 FROM jobs WHERE batch = $1 AND batch IS NOT NULL AND state IN ('waiting', 'pending', 'pushed') LIMIT 1";
    let found: Option<i32> = on!(tx, |c| sqlx::query_scalar(sql).bind(Text(batch)).fetch_optional(c).await)?;
    Ok(found.is_some())
}

async fn close(tx: &mut Tx, batch: BatchId, totals: BatchTotals, headers: &str) -> Result<()> {
    // What cannot be read is no reason for the ends of others to wait: the job runs without it.
    let mut headers: BTreeMap<String, String> = serde_json::from_str(headers).unwrap_or_default();
    headers.insert(TOTALS.to_owned(), written(&totals)?);
    let (now, headers) = (tx.now(), written(&headers)?);
    let sql = "UPDATE jobs SET state = 'pending', headers = $1, run_at = CASE WHEN run_at > $2 THEN run_at ELSE $2 END, \
               version = version + 1 WHERE id = $3";
    on!(tx, |c| sqlx::query(sql).bind(headers).bind(now).bind(Text(batch)).execute(c).await.map(|_| ()))?;
    tracing::debug!(%batch, total = totals.total, "batch {batch} closes");
    Ok(())
}

fn written<T: serde::Serialize + ?Sized>(what: &T) -> Result<String> {
    serde_json::to_string(what).map_err(|error| Error::internal("cannot write what is told of a batch", error))
}
