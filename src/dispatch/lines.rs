//! The rows of jobs that are enqueued: made by whoever enqueues, written many at once.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use chrono::{DateTime, Datelike, Utc};
use deskhand_jobs::retry::Backoff;
use deskhand_jobs::{Envelope, Group, Options, TraceContext, Unique};
use serde::Serialize;
use tracing::Span;

use super::model::LedgerState;
use crate::base::{Error, Result, TenantId};
use crate::db::{Tx, Value, insert_rows};

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
    is_made_now: bool,
    id_text: String,
    options_text: String,
    headers_text: String,
    batch_text: Option<String>,
    _span: Span,
}

impl Line {
    /// Writes what travels as text. The attempts of the job will be children of its enqueuing, which is a child of what enqueues it. A
    /// job without a tenant belongs to the default tenant.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the tenant is no tenant or the time cannot be kept.
    pub(crate) fn new(mut job: Envelope, idempotency: Option<Idempotency>) -> Result<Self> {
        let tenant = match &job.tenant {
            None => TenantId::default(),
            Some(tenant) => TenantId::new(tenant.clone())?,
        };
        let run_at = job.run_at_ms.map(due).transpose()?;
        let caller = TraceContext::from_headers(&job.headers);
        let trace = caller.as_ref().map_or_else(TraceContext::root, TraceContext::child);
        let mut headers = std::mem::take(&mut job.headers);
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
            (json(serde_json::to_string(&Kept::of(&job.options)))?, json(serde_json::to_string(&headers))?);
        Ok(Self {
            tenant,
            headers,
            idempotency,
            run_at,
            state: LedgerState::Pending,
            is_made_now: false,
            id_text: id.to_string(),
            options_text,
            headers_text,
            batch_text: job.batch.map(|batch| batch.to_string()),
            job,
            _span: span,
        })
    }

    /// Lets it wait for the members of the batch that it closes.
    pub(super) fn waiting(mut self) -> Self {
        self.state = LedgerState::Waiting;
        self
    }

    /// Says that its id was made for it just now, so that no row can have it.
    pub(super) fn made_now(mut self) -> Self {
        self.is_made_now = true;
        self
    }

    /// Says whether no row can stand for the same job.
    fn is_unheard_of(&self) -> bool {
        self.is_made_now && self.idempotency.is_none()
    }

    fn values(&self, now: DateTime<Utc>) -> [Value<'_>; 14] {
        let job = &self.job;
        [
            self.id_text.as_str().into(),
            self.tenant.as_str().into(),
            job.kind.as_str().into(),
            job.options.queue.as_str().into(),
            Value::Number(job.options.priority.rank().into()),
            job.args.get().into(),
            self.options_text.as_str().into(),
            self.headers_text.as_str().into(),
            Value::Instant(self.run_at.unwrap_or(now)),
            Value::Instant(now),
            self.idempotency.as_ref().map(|given| given.key.as_str()).into(),
            self.idempotency.as_ref().map(|given| given.hash.as_str()).into(),
            self.state.as_str().into(),
            self.batch_text.as_deref().into(),
        ]
    }
}

static USUAL: LazyLock<Options> = LazyLock::new(Options::default);

/// What is kept of options: those that are not as the engine has them. Queue and priority have columns of their own.
#[derive(Serialize)]
struct Kept<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    max_attempts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backoff: Option<Backoff>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unique: Option<&'a Unique>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'a Group>,
}

impl<'a> Kept<'a> {
    fn of(options: &'a Options) -> Self {
        let usual = &*USUAL;
        Self {
            max_attempts: Some(options.max_attempts).filter(|attempts| *attempts != usual.max_attempts),
            timeout_ms: Some(options.timeout_ms).filter(|ms| *ms != usual.timeout_ms),
            backoff: Some(options.backoff).filter(|backoff| *backoff != usual.backoff),
            unique: options.unique.as_ref(),
            group: options.group.as_ref(),
        }
    }
}

fn due(ms: i64) -> Result<DateTime<Utc>> {
    // Beyond four digits of the year, times in SQLite would no longer sort as text.
    DateTime::from_timestamp_millis(ms)
        .filter(|at| (1970..=9999).contains(&at.year()))
        .ok_or_else(|| Error::field("/run_at", format!("{ms} ms since 1970 is not between the years 1970 and 9999")))
}

/// The columns of a row, in the order of [`Line::values`].
const COLUMNS: [&str; 14] = [
    "id",
    "tenant_id",
    "kind",
    "queue",
    "priority",
    "args",
    "options",
    "headers",
    "run_at",
    "created_at",
    "idempotency_key",
    "idempotency_hash",
    "state",
    "batch",
];

/// Writes rows; returns how many of them, since one whose id or idempotency key is there already is left out.
pub(super) async fn insert(tx: &mut Tx, lines: &[&Line]) -> Result<u64> {
    let now = tx.now();
    let rows: Vec<_> = lines.iter().map(|line| line.values(now)).collect();
    // To look beforehand whether a row is there costs Postgres a quarter of the whole.
    let otherwise = if lines.iter().all(|line| line.is_unheard_of()) { "" } else { "ON CONFLICT DO NOTHING" };
    insert_rows(tx, "jobs", COLUMNS, &rows, otherwise).await
}

#[cfg(test)]
mod tests {
    use deskhand_jobs::UniqueUntil;

    use super::*;

    #[test]
    fn options_that_are_as_usual_are_left_out_and_come_back() {
        let kept = |options: &Options| serde_json::to_string(&Kept::of(options)).expect("JSON");
        assert_eq!(kept(&Options::default()), "{}");
        let unusual = Options {
            max_attempts: 3,
            timeout_ms: 1_000,
            backoff: Backoff::exactly(7),
            unique: Some(Unique::new("k", UniqueUntil::Started)),
            group: Some(Group::new("g".parse().expect("a key")).concurrency(2)),
            ..Options::default()
        };
        for options in [Options::default(), unusual] {
            assert_eq!(serde_json::from_str::<Options>(&kept(&options)).expect("reads"), options);
        }
    }
}
