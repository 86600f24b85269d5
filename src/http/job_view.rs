//! A job as doors show it: the row of the ledger, with what the queue knows while it has the job.

use chrono::{DateTime, Utc};
use deskhand_jobs::queue::{DeadReason, JobRecord, LogLine, Progress};
use deskhand_jobs::{BatchId, Group, JobId, Kind, Priority, QueueName, Unique};
use futures_util::future::join_all;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::app::App;
use crate::base::{Error, PageRequest, Paged, Result, TenantId};
use crate::dispatch::ledger::Filter;
use crate::dispatch::remote::{in_front, shown};
use crate::dispatch::service::Seen;
use crate::dispatch::{Entry, LedgerState, Place, Stand};
use crate::http::Walked;

/// A job as doors show it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Job)]
pub struct JobView {
    /// The job.
    pub id: JobId,
    /// Whose job it is.
    pub tenant: TenantId,
    /// What it does.
    pub kind: Kind,
    /// The arguments.
    #[schema(value_type = Object)]
    pub args: Box<RawValue>,
    /// Its queue.
    pub queue: QueueName,
    /// Whether that is a remote queue, whose jobs are run by workers over HTTP.
    pub remote: bool,
    /// Its place in the queue.
    pub priority: Priority,
    /// `waiting` (for the members of the batch that it closes), `pending` (waits in the database), `scheduled`, `ready`, `running`, `succeeded`, `dead` or `cancelled`; `pushed` if the queue
    /// has it and cannot be asked.
    pub state: &'static str,
    /// The batch that it is a member of: the id of the job that runs when all members have ended.
    pub batch: Option<BatchId>,
    /// Not before this instant.
    pub run_at: DateTime<Utc>,
    /// Attempts that failed.
    pub failures: u32,
    /// The failures after which it is dead.
    pub max_attempts: u32,
    /// Times that it was taken back from a worker that died.
    pub recoveries: u32,
    /// Times that a stopping worker gave it back.
    pub hand_backs: u32,
    /// Times that it was redriven from among the dead.
    pub generation: u32,
    /// Why it is dead, if it is.
    pub dead_reason: Option<DeadReason>,
    /// The last error, or the reason of the end.
    pub last_error: Option<String>,
    /// Which worker has it or had it last.
    pub worker: Option<String>,
    /// When its last attempt started.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// How long its last attempt took, in milliseconds.
    pub duration_ms: Option<i64>,
    /// What came of it, if it succeeded with a result.
    pub result: Option<Value>,
    /// How far the attempt is that runs, or was that ended it.
    pub progress: Option<Progress>,
    /// What its attempts noted, if they noted anything; lists show it only of jobs that the queue has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<Note>,
    /// When it was enqueued.
    pub created_at: DateTime<Utc>,
    /// The longest one attempt may take, in milliseconds.
    pub timeout_ms: u64,
    /// Set if no second job of the key may exist.
    pub unique: Option<Unique>,
    /// Set if it shares limits with others.
    pub group: Option<Group>,
    /// The client's key, if it gave one.
    pub idempotency_key: Option<String>,
    /// Counts the changes of the job's row; who sends it with a change does not overwrite another one.
    pub version: i64,
}

/// A line that a handler noted.
#[derive(Debug, Serialize, ToSchema)]
pub struct Note {
    /// When.
    pub at: DateTime<Utc>,
    /// The attempt that noted it.
    pub attempt: u32,
    /// The line.
    pub text: String,
}

impl From<LogLine> for Note {
    fn from(LogLine { attempt, at_ms, text }: LogLine) -> Self {
        Self { at: DateTime::from_timestamp_millis(at_ms).unwrap_or_default(), attempt, text }
    }
}

impl From<Seen> for JobView {
    fn from(Seen { entry, live }: Seen) -> Self {
        let mut view = Self {
            id: entry.id,
            tenant: entry.tenant_id,
            kind: entry.kind,
            args: entry.args,
            queue: shown(&entry.options.queue),
            remote: in_front(&entry.options.queue).is_some(),
            priority: entry.options.priority,
            state: entry.state.as_str(),
            batch: entry.batch,
            run_at: entry.run_at,
            failures: entry.failures,
            max_attempts: entry.options.max_attempts,
            recoveries: entry.recoveries,
            hand_backs: entry.hand_backs,
            generation: entry.generation,
            dead_reason: entry.dead_reason,
            last_error: entry.last_error,
            worker: entry.worker,
            started_at: entry.started_at,
            ended_at: entry.ended_at,
            duration_ms: entry.duration_ms,
            result: entry.result,
            progress: entry.progress,
            log: entry.log.into_iter().map(Note::from).collect(),
            created_at: entry.created_at,
            timeout_ms: entry.options.timeout_ms,
            unique: entry.options.unique,
            group: entry.options.group,
            idempotency_key: entry.idempotency_key,
            version: entry.version,
        };
        if let Some(live) = live {
            view.update(live);
        }
        view
    }
}

impl JobView {
    /// Lists jobs of a tenant, wherever they are; `filter.state` is set from the place.
    ///
    /// # Errors
    /// [`Error`] of the database, or of the queue if only it can tell.
    pub async fn list(
        app: &App,
        tenant: &TenantId,
        place: Option<Place>,
        filter: Filter,
        page: PageRequest,
    ) -> Result<Paged<Self>> {
        let state = match place {
            Some(Place::Queue(state)) => {
                return Ok(app.jobs.list_live(tenant, state, &filter, page).await?.map(Self::from));
            }
            Some(Place::Ledger(state)) => Some(state),
            None => None,
        };
        Ok(Self::page(app, app.jobs.list(tenant, &Filter { state, ..filter }, page).await?).await)
    }

    /// Walks through jobs of a tenant: those that the queues have as they stand there, others the latest first. An empty cursor begins.
    ///
    /// # Errors
    /// [`Error`] of the database or the queue, or if the cursor is of another list.
    pub async fn walk(
        app: &App,
        tenant: &TenantId,
        place: Option<Place>,
        filter: Filter,
        cursor: &str,
        page: PageRequest,
    ) -> Result<Walked<Self>> {
        let state = match place {
            Some(Place::Queue(state)) => state,
            Some(Place::Ledger(state)) => {
                return Self::walk_ledger(app, tenant, Some(state), filter, cursor, page).await;
            }
            None => return Self::walk_ledger(app, tenant, None, filter, cursor, page).await,
        };
        let from = if cursor.is_empty() { None } else { Some(cursor.parse::<Stand>()) };
        let from = from.transpose().map_err(|error| Error::field("/cursor", error.to_string()))?;
        let size = usize::try_from(page.size()).unwrap_or(usize::MAX);
        let (seen, next) = app.jobs.walk_live(tenant, state, &filter, from, size).await?;
        let data = seen.into_iter().map(Self::from).collect();
        Ok(Walked { data, size: page.size(), next: next.map(|stand| stand.to_string()) })
    }

    async fn walk_ledger(
        app: &App,
        tenant: &TenantId,
        state: Option<LedgerState>,
        filter: Filter,
        cursor: &str,
        page: PageRequest,
    ) -> Result<Walked<Self>> {
        let wrong = |_| {
            Error::field("/cursor", format!("{cursor:?} is no cursor of this list: take `next` of the page before"))
        };
        let before = if cursor.is_empty() { None } else { Some(cursor.parse::<JobId>().map_err(wrong)?) };
        let (entries, next) = app.jobs.walk(tenant, &Filter { state, ..filter }, before, page.size()).await?;
        Ok(Walked {
            data: Self::beside_queue(app, entries).await,
            size: page.size(),
            next: next.map(|id| id.to_string()),
        })
    }

    /// Reads a page of the ledger together with the queue. A queue that does not answer leaves the ledger's own knowledge.
    async fn page(app: &App, entries: Paged<Entry>) -> Paged<Self> {
        let Paged { items, total, more, page, size, next } = entries;
        Paged { items: Self::beside_queue(app, items).await, total, more, page, size, next }
    }

    async fn beside_queue(app: &App, entries: Vec<Entry>) -> Vec<Self> {
        let seen = entries.into_iter().map(async |entry| {
            let live = match entry.state {
                LedgerState::Pushed => app.queue.job(entry.id).await.unwrap_or_default(),
                _ => None,
            };
            Self::from(Seen { entry, live })
        });
        join_all(seen).await
    }

    fn update(&mut self, live: JobRecord) {
        let instant = |ms: i64| DateTime::from_timestamp_millis(ms);
        self.state = live.state.as_str();
        self.priority = live.priority;
        self.run_at = live.run_at_ms.and_then(instant).unwrap_or(self.run_at);
        self.failures = live.history.failures;
        self.recoveries = live.history.recoveries;
        self.hand_backs = live.history.hand_backs;
        self.last_error = live.history.last_error.or(self.last_error.take());
        self.dead_reason = live.dead_reason;
        (self.result, self.progress) = (live.result, live.progress);
        self.log = live.log.into_iter().map(Note::from).collect();
        if let Some((worker, since_ms)) = live.running {
            self.worker = Some(worker.to_string());
            self.started_at = instant(since_ms);
        }
        self.ended_at = live.ended_at_ms.and_then(instant);
    }
}
