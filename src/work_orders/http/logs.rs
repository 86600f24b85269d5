//! `/sync-logs`: reading runs.

use axum::extract::State;
use chrono::{DateTime, Utc};
use deskhand_jobs::JobId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::Caller;
use crate::app::App;
use crate::http::{Answer, Data, List, Page, Paging, Path, Query, data};
use crate::work_orders::model::{Counts, RowError, RunStatus, SyncLog, SyncLogId, SyncType, SystemId};
use crate::work_orders::{LogFilter, WorkOrders};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Narrow {
    /// Of this system.
    system: Option<SystemId>,
    /// That ended so.
    status: Option<RunStatus>,
}

/// A run as it is shown; the counts also under the names that the first users know.
#[derive(Serialize, ToSchema)]
#[schema(as = SyncLog)]
struct View {
    /// The run.
    id: SyncLogId,
    /// Which system was read.
    system: SystemId,
    /// The job that read it.
    job_id: JobId,
    /// What kind of run it was.
    sync_type: SyncType,
    /// How it ended; pending while it goes on.
    status: RunStatus,
    #[serde(flatten)]
    counts: Counts,
    /// Tickets that were read.
    total_count: i64,
    /// Tickets that were stored.
    success_count: i64,
    /// Tickets that could not be stored.
    failed_count: i64,
    /// Pages that were read.
    pages: i64,
    /// The first tickets that could not be stored, and why.
    row_errors: Vec<RowError>,
    /// Why the run failed.
    error_message: Option<String>,
    /// When it began.
    started_at: DateTime<Utc>,
    /// When it ended.
    ended_at: Option<DateTime<Utc>>,
    /// How long it took, in milliseconds.
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

/// Lists the runs of synchronisations.
#[utoipa::path(
    get, path = "/sync-logs", operation_id = "list_sync_logs", tag = "sync logs",
    params(Narrow, Paging),
    responses((status = 200, description = "Runs, the latest first.", body = List<View>)),
    security(("token" = ["work_orders:read"]))
)]
async fn list(
    State(service): State<WorkOrders>,
    caller: Caller,
    Query(narrow): Query<Narrow>,
    Page(page): Page,
) -> Answer<List<View>> {
    let filter = LogFilter { system: narrow.system, status: narrow.status };
    Ok(service.sync_logs(caller.tenant(), &filter, page).await?.map(View::from).into())
}

/// Shows a run.
#[utoipa::path(
    get, path = "/sync-logs/{id}", operation_id = "show_sync_log", tag = "sync logs",
    params(("id" = SyncLogId, Path, description = "The run.")),
    responses((status = 200, description = "The run.", body = Data<View>)),
    security(("token" = ["work_orders:read"]))
)]
async fn show(State(service): State<WorkOrders>, caller: Caller, Path(id): Path<SyncLogId>) -> Answer<Data<View>> {
    Ok(data(service.sync_log(caller.tenant(), id).await?.into()))
}
