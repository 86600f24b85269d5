//! `/sync-logs`: reading runs.

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use chrono::{DateTime, Utc};
use deskhand_jobs::JobId;
use serde::{Deserialize, Serialize};

use crate::access::Caller;
use crate::http::{Answer, Data, List, Page, Path, Query, data};
use crate::work_orders::model::{Counts, RowError, RunStatus, SyncLog, SyncLogId, SyncType, SystemId};
use crate::work_orders::{LogFilter, WorkOrders};

pub(super) fn router() -> Router<WorkOrders> {
    Router::new().route("/", get(list)).route("/{id}", get(show))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Narrow {
    system: Option<SystemId>,
    status: Option<RunStatus>,
}

/// A run as it is shown; the counts also under the names that the first users know.
#[derive(Serialize)]
struct View {
    id: SyncLogId,
    system: SystemId,
    job_id: JobId,
    sync_type: SyncType,
    status: RunStatus,
    #[serde(flatten)]
    counts: Counts,
    total_count: i64,
    success_count: i64,
    failed_count: i64,
    pages: i64,
    row_errors: Vec<RowError>,
    error_message: Option<String>,
    started_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
    execution_time_ms: Option<i64>,
    /// In seconds.
    execution_time: Option<f64>,
}

impl From<SyncLog> for View {
    fn from(log: SyncLog) -> Self {
        let execution_time_ms = log.execution_time_ms();
        Self {
            id: log.id,
            system: log.system,
            job_id: log.job,
            sync_type: log.sync_type,
            status: log.status,
            counts: log.counts,
            total_count: log.counts.fetched,
            success_count: log.counts.fetched - log.counts.failed,
            failed_count: log.counts.failed,
            pages: log.pages,
            row_errors: log.row_errors,
            error_message: log.error_message,
            started_at: log.started_at,
            ended_at: log.ended_at,
            execution_time_ms,
            execution_time: execution_time_ms.map(|ms| ms as f64 / 1_000.0),
        }
    }
}

async fn list(
    State(service): State<WorkOrders>,
    caller: Caller,
    Query(narrow): Query<Narrow>,
    Page(page): Page,
) -> Answer<List<View>> {
    let filter = LogFilter { system: narrow.system, status: narrow.status };
    Ok(service.sync_logs(&caller.tenant, &filter, page).await?.map(View::from).into())
}

async fn show(State(service): State<WorkOrders>, caller: Caller, Path(id): Path<SyncLogId>) -> Answer<Data<View>> {
    Ok(data(service.sync_log(&caller.tenant, id).await?.into()))
}
