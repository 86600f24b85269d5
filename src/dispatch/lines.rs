//! The rows of jobs that are enqueued: made by whoever enqueues, written many at once.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike, Utc};
use deskhand_jobs::{Envelope, TraceContext};
use sqlx::AssertSqlSafe;
use tracing::Span;

use super::model::LedgerState;
use crate::base::{Error, Result, TenantId};
use crate::db::{Conn, Text, Tx, parts, placeholders};

/// What makes a repeated request the same request.
#[derive(Debug, Clone)]
pub(crate) struct Idempotency {
    /// The client's key.
    pub(crate) key: String,
    /// The hash of what it asked for.
    pub(crate) hash: String,
}

/// A job that waits to be written. The span of its enqueuing lasts until it is dropped.
#[derive(Debug)]
pub(crate) struct Line {
    pub(super) job: Envelope,
    pub(super) tenant: TenantId,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) idempotency: Option<Idempotency>,
    /// When it is due, if not at once.
    pub(super) run_at: Option<DateTime<Utc>>,
    /// Where it begins: pending, or waiting for the members of its batch.
    pub(super) state: LedgerState,
    options_text: String,
    headers_text: String,
    _span: Span,
}

impl Line {
    /// Writes what travels as text. The attempts of the job will be children of its enqueuing, which is a child of what enqueues it. A
    /// job without a tenant belongs to the default tenant.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the tenant is no tenant or the time cannot be kept.
    pub(crate) fn new(job: Envelope, idempotency: Option<Idempotency>) -> Result<Self> {
        let tenant = match &job.tenant {
            None => TenantId::default(),
            Some(tenant) => TenantId::new(tenant.clone())?,
        };
        let run_at = job.run_at_ms.map(due).transpose()?;
        let caller = TraceContext::from_headers(&job.headers);
        let trace = caller.as_ref().map_or_else(TraceContext::root, TraceContext::child);
        let mut headers = job.headers.clone();
        trace.write_headers(&mut headers);
        let span = tracing::trace_span!(
            "enqueue", job_id = %job.id, kind = %job.kind, queue = %job.options.queue, %tenant, trace_id = %trace.trace_id(),
            span_id = %trace.span_id(), parent_span_id = caller.map(|caller| tracing::field::display(caller.span_id())),
            otel.kind = "producer", otel.sampled = trace.is_sampled()
        );
        let (id, trace_id) = (job.id, trace.trace_id());
        tracing::debug!(job_id = %id, kind = %job.kind, queue = %job.options.queue, %trace_id, "job {id} goes into the database");
        let json = |what: serde_json::Result<String>| {
            what.map_err(|error| Error::internal(format!("cannot write the options of job {id}"), error))
        };
        let (options_text, headers_text) =
            (json(serde_json::to_string(&job.options))?, json(serde_json::to_string(&headers))?);
        let state = LedgerState::Pending;
        Ok(Self { job, tenant, headers, idempotency, run_at, state, options_text, headers_text, _span: span })
    }

    /// Lets it wait for the members of the batch that it closes.
    pub(super) fn waiting(mut self) -> Self {
        self.state = LedgerState::Waiting;
        self
    }

    fn batch(&self) -> Option<String> {
        self.job.batch.map(|batch| batch.to_string())
    }

    fn key(&self) -> Option<&str> {
        self.idempotency.as_ref().map(|i| i.key.as_str())
    }

    fn hash(&self) -> Option<&str> {
        self.idempotency.as_ref().map(|i| i.hash.as_str())
    }
}

fn due(ms: i64) -> Result<DateTime<Utc>> {
    // Beyond four digits of the year, times in SQLite would no longer sort as text.
    DateTime::from_timestamp_millis(ms)
        .filter(|at| (1970..=9999).contains(&at.year()))
        .ok_or_else(|| Error::field("/run_at", format!("{ms} ms since 1970 is not between the years 1970 and 9999")))
}

/// How many values a row has of its own.
const VALUES: usize = 14;

const INSERT: &str = "INSERT INTO jobs (id, tenant_id, kind, queue, priority, args, options, headers, run_at, created_at, \
                                        idempotency_key, idempotency_hash, state, batch)";

/// Writes rows; returns how many of them, since one whose id or idempotency key is there already is left out.
pub(super) async fn insert(tx: &mut Tx, lines: &[&Line]) -> Result<u64> {
    let now = tx.now();
    let mut written = 0;
    match tx.conn() {
        Conn::Sqlite(c) => {
            for part in parts(lines) {
                let sql = format!("{INSERT} VALUES {} ON CONFLICT DO NOTHING", placeholders(part.len(), VALUES, ""));
                let mut insert = sqlx::query(AssertSqlSafe(sql));
                for line in part {
                    let job = &line.job;
                    insert = insert
                        .bind(Text(job.id))
                        .bind(line.tenant.as_str())
                        .bind(job.kind.as_str())
                        .bind(job.options.queue.as_str())
                        .bind(i64::from(job.options.priority.rank()))
                        .bind(job.args.get())
                        .bind(&line.options_text)
                        .bind(&line.headers_text)
                        .bind(line.run_at.unwrap_or(now))
                        .bind(now)
                        .bind(line.key())
                        .bind(line.hash())
                        .bind(line.state.as_str())
                        .bind(line.batch());
                }
                written += insert.execute(&mut *c).await?.rows_affected();
            }
        }
        // A column of values each: one text for any number of rows, so it is planned once.
        Conn::Postgres(c) => {
            fn column<'a, T>(lines: &[&'a Line], value: impl Fn(&'a Line) -> T) -> Vec<T> {
                lines.iter().map(|line| value(line)).collect()
            }
            let sql = format!(
                "{INSERT} SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], \
                 $7::text[], $8::text[], $9::timestamptz[], $10::timestamptz[], $11::text[], $12::text[], $13::text[], $14::text[]) ON CONFLICT DO NOTHING"
            );
            written += sqlx::query(AssertSqlSafe(sql))
                .bind(column(lines, |line| line.job.id.to_string()))
                .bind(column(lines, |line| line.tenant.as_str()))
                .bind(column(lines, |line| line.job.kind.as_str()))
                .bind(column(lines, |line| line.job.options.queue.as_str()))
                .bind(column(lines, |line| i64::from(line.job.options.priority.rank())))
                .bind(column(lines, |line| line.job.args.get()))
                .bind(column(lines, |line| line.options_text.as_str()))
                .bind(column(lines, |line| line.headers_text.as_str()))
                .bind(column(lines, |line| line.run_at.unwrap_or(now)))
                .bind(column(lines, |_| now))
                .bind(column(lines, Line::key))
                .bind(column(lines, Line::hash))
                .bind(column(lines, |line| line.state.as_str()))
                .bind(column(lines, Line::batch))
                .execute(c)
                .await?
                .rows_affected();
        }
    }
    Ok(written)
}
