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
use crate::base::Error;
use crate::http::{Answer, Data, List, Page, Paging, Path, Query, Unfiltered, data};
use crate::work_orders::model::{
    Counts, LogStatistics, Performance, RowError, RunStatus, SyncLog, SyncLogId, SyncType, SystemId,
};
use crate::work_orders::{LogFilter, WorkOrders};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(statistics))
        .routes(routes!(recent_failures))
        .routes(routes!(performance_analysis))
        .routes(routes!(show))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Narrow {
    /// Of this system.
    system: Option<SystemId>,
    /// That ended so.
    status: Option<RunStatus>,
    /// Of this kind.
    sync_type: Option<SyncType>,
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
    let filter = LogFilter { system: narrow.system, status: narrow.status, sync_type: narrow.sync_type };
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

/// Counts the runs of synchronisations.
#[utoipa::path(
    get, path = "/sync-logs/statistics", operation_id = "count_sync_logs", tag = "sync logs",
    responses((status = 200, description = "The counts.", body = Data<LogStatistics>)),
    security(("token" = ["work_orders:read"]))
)]
async fn statistics(
    State(service): State<WorkOrders>,
    caller: Caller,
    _: Query<Unfiltered>,
) -> Answer<Data<LogStatistics>> {
    Ok(data(service.sync_log_statistics(caller.tenant()).await?))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Latest {
    /// How many; 10 if it is left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u64>,
}

/// Lists the latest runs that failed.
#[utoipa::path(
    get, path = "/sync-logs/recent_failures", operation_id = "list_failed_sync_logs", tag = "sync logs",
    params(Latest),
    responses((status = 200, description = "Failed runs, the latest first.", body = List<View>)),
    security(("token" = ["work_orders:read"]))
)]
async fn recent_failures(
    State(service): State<WorkOrders>,
    caller: Caller,
    Query(latest): Query<Latest>,
) -> Answer<List<View>> {
    let failed = service.recent_failures(caller.tenant(), latest.limit.unwrap_or(10)).await?;
    Ok(List::whole(failed.into_iter().map(View::from).collect()))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Span {
    /// How many days are looked at; 7 if it is left out.
    #[param(minimum = 1, maximum = 365)]
    days: Option<u32>,
}

/// Says how fast and how well synchronisations went, by system and by day.
#[utoipa::path(
    get, path = "/sync-logs/performance_analysis", operation_id = "analyse_sync_logs", tag = "sync logs",
    params(Span),
    responses((status = 200, description = "Times in seconds, rates in percent.", body = Data<Performance>)),
    security(("token" = ["work_orders:read"]))
)]
async fn performance_analysis(
    State(service): State<WorkOrders>,
    caller: Caller,
    Query(span): Query<Span>,
) -> Answer<Data<Performance>> {
    let days = span.days.unwrap_or(7);
    if !(1..=365).contains(&days) {
        return Err(Error::field("/days", format!("{days} is not between 1 and 365 days")).into());
    }
    Ok(data(service.performance(caller.tenant(), days).await?))
}
