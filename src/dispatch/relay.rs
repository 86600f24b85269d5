//! The relay: pushes what is due from the database into the queue. Several may run; pushing an id twice is one job.

use std::cell::LazyCell;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use deskhand_jobs::queue::{Pushed, Queue};
use deskhand_jobs::{Envelope, JobId, TraceContext};
use futures_util::future::try_join_all;
use tokio_util::sync::CancellationToken;
use tracing::Span;
use tracing::field::display;

use super::batches;
use super::entry::Row;
use super::figures;
use super::listener::Listener;
use super::outage::Outage;
use super::rounds::{Loop, Rounds};
use crate::base::clock::later;
use crate::base::error::BoxError;
use crate::base::{Error, Result};
use crate::db::{Backend, Conn, Db, Text, Tx};
use crate::on;

/// The most jobs of one push.
const BATCH: usize = 500;
/// The most bytes of arguments of one push, unless a single job has more: what takes the queue longer than [`PUSH_TIMEOUT`] would
/// be tried again for ever, and everything behind it would wait.
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// What is due within this time is pushed already, so that a hiccup of the database delays nothing; what is later waits here.
const AHEAD: Duration = Duration::from_mins(1);
/// Its place among the loops of a process: it looks every [`TICK`], and a push takes up to [`PUSH_TIMEOUT`].
const LOOP: Loop = Loop { name: "relay", patience: Duration::from_secs(30), at_once: true };
/// The safety net under all wake-ups.
const TICK: Duration = Duration::from_secs(5);
/// How many batches are on their way at once while there are many.
const LANES: usize = 2;
/// How long the rows of a batch may stay locked while the queue thinks.
const PUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// Pushes what is due.
#[derive(Clone)]
pub struct Relay {
    db: Db,
    queue: Arc<dyn Queue>,
    ahead: Duration,
    rounds: Rounds,
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay").field("db", &self.db.url()).finish_non_exhaustive()
    }
}

impl Relay {
    /// Makes a relay from a database into a queue.
    pub fn new(db: Db, queue: Arc<dyn Queue>) -> Self {
        Self { db, queue, ahead: AHEAD, rounds: Rounds::default() }
    }

    /// Changes how long before its time a job is pushed; zero for tests, whose clock is not the queue's.
    #[must_use]
    pub fn ahead(self, ahead: Duration) -> Self {
        Self { ahead, ..self }
    }

    /// Notes its good rounds here.
    #[must_use]
    pub fn noting(self, rounds: Rounds) -> Self {
        rounds.begin(LOOP);
        Self { rounds, ..self }
    }

    /// Pushes one batch of what is due; returns how many rows it took care of.
    ///
    /// # Errors
    /// [`Error`] if the database or the queue does not answer; then the rows wait on.
    pub async fn push_due(&self) -> Result<usize> {
        self.push_some().await.map(|(count, _)| count)
    }

    /// Pushes one batch; returns how many rows it took care of, and whether more may be due.
    async fn push_some(&self) -> Result<(usize, bool)> {
        // The rows stay locked while the queue takes them: nobody can cancel in the database what is on its way into the queue.
        let mut tx = self.db.begin().await?;
        let now = tx.now();
        let mut rows = due(&mut tx, later(now, self.ahead)).await?;
        let is_full = rows.len() == BATCH;
        let fits = fitting(rows.iter().map(Row::size_bytes));
        let more = is_full || fits < rows.len();
        rows.truncate(fits);
        if rows.is_empty() {
            return Ok((0, false));
        }
        let (mut jobs, mut ended) = (Vec::with_capacity(rows.len()), Vec::new());
        for row in &rows {
            match row.envelope(now) {
                Ok(job) => jobs.push(job),
                Err(error) => {
                    bury(&mut tx, row, &error, now).await?;
                    ended.push(row.id.0);
                }
            }
        }
        ended.extend(self.push(&mut tx, &jobs, now).await?);
        batches::leave(&mut tx, &ended).await?;
        tx.commit().await?;
        let now = self.db.clock().now();
        for row in rows.iter().filter(|row| row.is_new()) {
            figures::push_lag(now - Ord::max(row.created_at, row.run_at - self.ahead));
        }
        Ok((rows.len(), more))
    }

    /// Pushes jobs; returns those that the queue does not take, which have ended.
    async fn push(&self, tx: &mut Tx, jobs: &[Envelope], now: DateTime<Utc>) -> Result<Vec<JobId>> {
        if jobs.is_empty() {
            return Ok(Vec::new());
        }
        let spans: Vec<Span> = jobs.iter().map(span).collect();
        let answers = tokio::time::timeout(PUSH_TIMEOUT, self.queue.push(jobs))
            .await
            .map_err(|elapsed| Error::unavailable("the queue", elapsed))??;
        drop(spans);
        let (mut taken, mut ended) = (Vec::with_capacity(jobs.len()), Vec::new());
        for (job, answer) in jobs.iter().zip(answers) {
            figures::pushed(&answer);
            match answer {
                // Who was replaced has an ending like any other: the keeper writes it.
                Pushed::Created | Pushed::Duplicate | Pushed::Replaced { .. } => taken.push(job.id),
                Pushed::Conflict { holder } => {
                    let reason = format!("duplicate of job {holder}, which holds its unique key");
                    stand_back(tx, job.id, &reason, now).await?;
                    ended.push(job.id);
                }
                Pushed::Refused(refusal) => {
                    stand_back(tx, job.id, &refusal.to_string(), now).await?;
                    ended.push(job.id);
                }
            }
        }
        mark_pushed(tx, &taken, now).await?;
        Ok(ended)
    }

    /// Pushes until it is told to stop. Whatever fails, it goes on.
    pub async fn run(&self, stop: CancellationToken) {
        let mut enqueued = self.db.enqueued();
        let listener = Listener::start(&self.db, &stop);
        let mut outage = Outage::new("the relay").noting(&self.rounds, LOOP);
        let mut is_busy = false;
        loop {
            let round = tokio::select! {
                () = stop.cancelled() => break,
                round = self.round(&outage, is_busy) => round,
            };
            is_busy = matches!(round, Ok(Next::Now));
            match round {
                Ok(Next::Now) => outage.over(),
                Ok(Next::At(due)) => {
                    outage.over();
                    tokio::select! {
                        () = stop.cancelled() => break,
                        _ = enqueued.changed() => {}
                        () = listener.heard() => {}
                        () = self.db.clock().sleep_until(due) => {}
                        () = tokio::time::sleep(TICK) => {}
                    }
                }
                Err(error) => {
                    let wait = outage.failed(&error);
                    tokio::select! {
                        () = stop.cancelled() => break,
                        () = tokio::time::sleep(wait) => {}
                    }
                }
            }
        }
    }

    async fn round(&self, outage: &Outage, is_busy: bool) -> Result<Next> {
        if outage.lasts() {
            // Before rows are locked for a queue that may still be away.
            self.queue.check().await?;
        }
        // Where rows can be skipped that another one holds, one batch is read while another is on its way into the queue.
        let lanes = if is_busy && self.db.backend() == Backend::Postgres { LANES } else { 1 };
        let pushed = try_join_all((0..lanes).map(|_| self.push_some())).await?;
        if pushed.iter().any(|(_, more)| *more) {
            return Ok(Next::Now);
        }
        let mut tx = self.db.read().await?;
        let sql = "SELECT min(run_at) FROM jobs WHERE state = 'pending' AND run_at > $1";
        // What is due already and was not pushed is in the hands of another relay.
        let pushed_up_to = later(tx.now(), self.ahead);
        let next: Option<DateTime<Utc>> = on!(tx, |c| sqlx::query_scalar(sql).bind(pushed_up_to).fetch_one(c).await)?;
        let due = next.map_or(DateTime::<Utc>::MAX_UTC, |next| next - self.ahead);
        Ok(Next::At(due))
    }
}

/// Begins the span of the push of one job, a child of its enqueuing. Costs nothing unless somebody wants it.
fn span(job: &Envelope) -> Span {
    let enqueued = LazyCell::new(|| TraceContext::from_headers(&job.headers));
    let of_trace = || enqueued.as_ref().map(|trace| display(trace.trace_id()));
    let span = tracing::trace_span!(
        "push", job_id = %job.id, kind = %job.kind, queue = %job.options.queue, tenant = job.tenant, trace_id = of_trace(),
        span_id = enqueued.as_ref().map(|trace| display(trace.child().span_id())),
        parent_span_id = enqueued.as_ref().map(|trace| display(trace.span_id())),
        otel.kind = "internal", otel.sampled = enqueued.as_ref().is_some_and(TraceContext::is_sampled)
    );
    let id = job.id;
    tracing::debug!(job_id = %id, kind = %job.kind, queue = %job.options.queue, trace_id = of_trace(), "job {id} goes into the queue");
    span
}

enum Next {
    Now,
    At(DateTime<Utc>),
}

/// Returns how many rows fit into one push, at least one.
fn fitting(sizes_bytes: impl Iterator<Item = usize>) -> usize {
    let mut sum_bytes = 0;
    sizes_bytes
        .enumerate()
        .take_while(|(place, size_bytes)| {
            sum_bytes += size_bytes;
            *place == 0 || sum_bytes <= BATCH_BYTES
        })
        .count()
}

async fn due(tx: &mut Tx, until: DateTime<Utc>) -> Result<Vec<Row>> {
    let sql = match tx.backend() {
        Backend::Sqlite => "SELECT * FROM jobs WHERE state = 'pending' AND run_at <= $1 ORDER BY run_at, id LIMIT $2",
        // Several relays share the work; SQLite has one writer anyway. Who skips what is locked never waits for a row, and what is
        // changed afterwards is held already: no order is needed here.
        Backend::Postgres => {
            "SELECT * FROM jobs WHERE state = 'pending' AND run_at <= $1 ORDER BY run_at, id LIMIT $2 FOR UPDATE SKIP LOCKED"
        }
    };
    // Statistics are of a time when hardly anything was pending. By them Postgres would read and sort all of a burst for a batch of it,
    // instead of going along the index, until it keeps a plan.
    set(tx, "SET LOCAL enable_sort = off").await?;
    let rows = on!(tx, |c| sqlx::query_as(sql).bind(until).bind(BATCH as i64).fetch_all(c).await)?;
    set(tx, "SET LOCAL enable_sort = DEFAULT").await?;
    Ok(rows)
}

/// Tells the planner of Postgres something, for this transaction.
async fn set(tx: &mut Tx, sql: &'static str) -> Result<()> {
    if let Conn::Postgres(c) = tx.conn() {
        sqlx::query(sql).execute(c).await?;
    }
    Ok(())
}

async fn mark_pushed(tx: &mut Tx, ids: &[JobId], now: DateTime<Utc>) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let ids = serde_json::to_string(ids).map_err(|error| Error::internal("cannot write the ids of jobs", error))?;
    // One text for any number of rows; only how a list comes in differs.
    let sql = match tx.backend() {
        Backend::Sqlite => {
            "UPDATE jobs SET state = 'pushed', pushed_at = $1, version = version + 1 WHERE id IN (SELECT value FROM json_each($2))"
        }
        Backend::Postgres => {
            "UPDATE jobs SET state = 'pushed', pushed_at = $1, version = version + 1 \
             WHERE id IN (SELECT json_array_elements_text($2::json))"
        }
    };
    Ok(on!(tx, |c| sqlx::query(sql).bind(now).bind(ids).execute(c).await.map(|_| ()))?)
}

/// Ends a job that the queue does not take, for this reason.
async fn stand_back(tx: &mut Tx, id: JobId, reason: &str, now: DateTime<Utc>) -> Result<()> {
    let sql =
        "UPDATE jobs SET state = 'cancelled', last_error = $1, ended_at = $2, version = version + 1 WHERE id = $3";
    Ok(on!(tx, |c| sqlx::query(sql).bind(reason).bind(now).bind(Text(id)).execute(c).await.map(|_| ()))?)
}

/// Ends a job whose row cannot be read, so that it does not stand in the way of the others.
async fn bury(tx: &mut Tx, row: &Row, error: &BoxError, now: DateTime<Utc>) -> Result<()> {
    tracing::error!(job_id = %row.id.0, error = %error, "the row of job {} cannot be read, it is dead now", row.id.0);
    let sql = "UPDATE jobs SET state = 'dead', dead_reason = 'decode', last_error = $1, ended_at = $2, version = version + 1 \
               WHERE id = $3";
    let reason = error.to_string();
    Ok(on!(tx, |c| sqlx::query(sql).bind(reason).bind(now).bind(row.id).execute(c).await.map(|_| ()))?)
}
