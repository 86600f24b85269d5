//! The outbox: a job written beside the business rows, in their transaction.

use std::future::Future;

use chrono::{DateTime, Datelike, Utc};
use deskhand_jobs::{Envelope, JobId, TraceContext};
use sea_query::{Alias, Query};
use tracing::{Instrument, Span};

use crate::base::{Error, Result, TenantId};
use crate::db::{Backend, Build, Text, Tx};
use crate::on;

/// The channel on which Postgres tells other processes of a commit with jobs.
pub(crate) const CHANNEL: &str = "deskhand_jobs";

/// Enqueues jobs in a transaction.
pub trait Enqueue {
    /// Writes a job that exists if, and only if, the transaction commits. An id that is there already is the same job: nothing
    /// changes. A job without a tenant belongs to the default tenant.
    ///
    /// # Errors
    /// [`Error`] if the tenant is no tenant or the database refuses.
    fn enqueue(&mut self, job: &Envelope) -> impl Future<Output = Result<JobId>> + Send;
}

impl Enqueue for Tx {
    async fn enqueue(&mut self, job: &Envelope) -> Result<JobId> {
        insert(self, job, None).await?;
        Ok(job.id)
    }
}

/// What makes a repeated request the same request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Idempotency<'a> {
    /// The client's key.
    pub(crate) key: &'a str,
    /// The hash of what it asked for.
    pub(crate) hash: &'a str,
}

/// Writes the row; `false` if the id or the idempotency key is there already.
pub(crate) async fn insert(tx: &mut Tx, job: &Envelope, idempotency: Option<Idempotency<'_>>) -> Result<bool> {
    let now = tx.now();
    let tenant = tenant_of(job)?;
    let Written { options, headers, span } = written(job, &tenant)?;
    let sql = "INSERT INTO jobs (id, tenant_id, kind, queue, priority, args, options, headers, run_at, state, created_at, \
                                 idempotency_key, idempotency_hash) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'pending', $10, $11, $12) ON CONFLICT DO NOTHING";
    let written = on!(tx, |c| sqlx::query(sql)
        .bind(Text(job.id))
        .bind(&tenant)
        .bind(job.kind.as_str())
        .bind(job.options.queue.as_str())
        .bind(i64::from(job.options.priority.rank()))
        .bind(job.args.get())
        .bind(options)
        .bind(headers)
        .bind(run_at(job, now)?)
        .bind(now)
        .bind(idempotency.map(|i| i.key))
        .bind(idempotency.map(|i| i.hash))
        .execute(c)
        .instrument(span.clone())
        .await
        .map(|done| done.rows_affected()))?;
    announce(tx).await?;
    Ok(written == 1)
}

/// The columns of a job that waits, in the order of [`insert_many`]'s values.
const COLUMNS: [&str; 11] =
    ["id", "tenant_id", "kind", "queue", "priority", "args", "options", "headers", "run_at", "state", "created_at"];

/// How many rows one statement writes: both databases take 32,000 values and more.
const ROWS: usize = 500;

/// Writes many rows, none of which is there.
pub(crate) async fn insert_many(tx: &mut Tx, jobs: &[Envelope]) -> Result<()> {
    let now = tx.now();
    for part in jobs.chunks(ROWS) {
        let mut insert = Query::insert();
        insert.into_table(Alias::new("jobs")).columns(COLUMNS.map(Alias::new));
        let mut spans = Vec::with_capacity(part.len());
        for job in part {
            let tenant = tenant_of(job)?;
            let Written { options, headers, span } = written(job, &tenant)?;
            spans.push(span);
            insert.values_panic([
                job.id.to_string().into(),
                tenant.as_str().into(),
                job.kind.as_str().into(),
                job.options.queue.as_str().into(),
                i64::from(job.options.priority.rank()).into(),
                job.args.get().into(),
                options.into(),
                headers.into(),
                run_at(job, now)?.into(),
                "pending".into(),
                now.into(),
            ]);
        }
        on!(tx, |c| {
            let (sql, values) = c.build(&insert);
            sqlx::query_with(sql, values).execute(c).await.map(|_| ())
        })?;
    }
    announce(tx).await
}

/// What travels, as text, and the span of its enqueuing, which lasts until it is dropped.
struct Written {
    options: String,
    headers: String,
    span: Span,
}

/// Writes what travels as text. The attempts of the job will be children of its enqueuing, which is a child of what enqueues it.
fn written(job: &Envelope, tenant: &TenantId) -> Result<Written> {
    let json = |what: serde_json::Result<String>| {
        what.map_err(|error| Error::internal(format!("cannot write the options of job {}", job.id), error))
    };
    let caller = TraceContext::from_headers(&job.headers);
    let trace = caller.as_ref().map_or_else(TraceContext::root, TraceContext::child);
    let mut headers = job.headers.clone();
    trace.write_headers(&mut headers);
    let span = tracing::trace_span!(
        "enqueue", job_id = %job.id, kind = %job.kind, queue = %job.options.queue, %tenant, trace_id = %trace.trace_id(),
        span_id = %trace.span_id(), parent_span_id = caller.map(|caller| display(caller.span_id())),
        otel.kind = "producer", otel.sampled = trace.is_sampled()
    );
    let (id, trace_id) = (job.id, trace.trace_id());
    tracing::debug!(job_id = %id, kind = %job.kind, queue = %job.options.queue, %trace_id, "job {id} goes into the database");
    let (options, headers) = (json(serde_json::to_string(&job.options))?, json(serde_json::to_string(&headers))?);
    Ok(Written { options, headers, span })
}

/// Wakes the relays of all processes when the transaction commits.
pub(crate) async fn announce(tx: &mut Tx) -> Result<()> {
    // Only Postgres can tell other processes; beside SQLite there is their slow tick.
    if tx.signal_on_commit() && tx.backend() == Backend::Postgres {
        on!(tx, |c| sqlx::query("SELECT pg_notify($1, '')").bind(CHANNEL).execute(c).await.map(|_| ()))?;
    }
    Ok(())
}

/// Returns whose job it is.
pub(crate) fn tenant_of(job: &Envelope) -> Result<TenantId> {
    job.tenant.as_ref().map_or_else(|| Ok(TenantId::default()), |tenant| Ok(TenantId::new(tenant.clone())?))
}

fn run_at(job: &Envelope, now: DateTime<Utc>) -> Result<DateTime<Utc>> {
    let Some(ms) = job.run_at_ms else { return Ok(now) };
    // Beyond four digits of the year, times in SQLite would no longer sort as text.
    DateTime::from_timestamp_millis(ms)
        .filter(|at| (1970..=9999).contains(&at.year()))
        .ok_or_else(|| Error::field("/run_at", format!("{ms} ms since 1970 is not between the years 1970 and 9999")))
}
