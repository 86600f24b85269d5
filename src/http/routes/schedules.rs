//! `/api/v1/schedules`: what runs when; run now, pause, resume, look ahead.

use axum::extract::State;
use chrono::{DateTime, Utc};
use deskhand_jobs::JobId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::Caller;
use crate::app::App;
use crate::dispatch::schedules::{Fire, Slot, service};
use crate::http::{
    Accepted, Answer, Body, Data, List, Page, Paging, Path, Query, ScheduleView, Unfiltered, data, instant,
};

/// How many fires are told if nobody says how many.
const NEXT: usize = 20;

pub(in crate::http) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show))
        .routes(routes!(slots))
        .routes(routes!(next))
        .routes(routes!(run_now))
        .routes(routes!(pause))
        .routes(routes!(resume))
}

/// Lists the schedules.
#[utoipa::path(
    get, path = "/api/v1/schedules", operation_id = "list_schedules", tag = "schedules",
    responses((status = 200, description = "All schedules.", body = List<ScheduleView>)),
    security(("token" = ["schedules:read"]))
)]
async fn list(State(app): State<App>, caller: Caller) -> Answer<List<ScheduleView>> {
    let schedules = service::list(&app.db, caller.tenant()).await?;
    Ok(List::whole(schedules.into_iter().map(|schedule| ScheduleView::new(schedule, &app.registry)).collect()))
}

/// Shows a schedule.
#[utoipa::path(
    get, path = "/api/v1/schedules/{name}", operation_id = "show_schedule", tag = "schedules",
    params(("name" = String, Path, description = "The schedule.")),
    responses((status = 200, description = "The schedule.", body = Data<ScheduleView>)),
    security(("token" = ["schedules:read"]))
)]
async fn show(State(app): State<App>, caller: Caller, Path(name): Path<String>) -> Answer<Data<ScheduleView>> {
    Ok(data(ScheduleView::new(service::get(&app.db, caller.tenant(), &name).await?, &app.registry)))
}

/// Lists what became of the slots of a schedule.
#[utoipa::path(
    get, path = "/api/v1/schedules/{name}/slots", operation_id = "list_slots", tag = "schedules",
    params(("name" = String, Path, description = "The schedule."), Paging),
    responses((status = 200, description = "Slots, the latest first.", body = List<Slot>)),
    security(("token" = ["schedules:read"]))
)]
async fn slots(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    _: Query<Unfiltered>,
    Page(page): Page,
) -> Answer<List<Slot>> {
    Ok(service::slots(&app.db, caller.tenant(), &name, page).await?.into())
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct HowMany {
    /// How many, at most 100; 20 if it is left out.
    count: Option<usize>,
}

/// Says when a schedule fires next: the nights when clocks change are marked, and what freeze windows will do.
#[utoipa::path(
    get, path = "/api/v1/schedules/{name}/next", operation_id = "preview_schedule", tag = "schedules",
    params(("name" = String, Path, description = "The schedule."), HowMany),
    responses((status = 200, description = "Times, the next first.", body = List<Fire>)),
    security(("token" = ["schedules:read"]))
)]
async fn next(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    Query(HowMany { count }): Query<HowMany>,
) -> Answer<List<Fire>> {
    Ok(List::whole(service::next_fires(&app.db, caller.tenant(), &name, count.unwrap_or(NEXT)).await?))
}

/// A job that was enqueued.
#[derive(Serialize, ToSchema)]
struct Enqueued {
    /// The job.
    job_id: JobId,
}

/// Enqueues one job of a schedule now; its slots are not disturbed.
#[utoipa::path(
    post, path = "/api/v1/schedules/{name}/run", operation_id = "run_schedule", tag = "schedules",
    params(("name" = String, Path, description = "The schedule.")),
    responses((status = 202, description = "The job.", body = Data<Enqueued>)),
    security(("token" = ["schedules:write"]))
)]
async fn run_now(State(app): State<App>, caller: Caller, Path(name): Path<String>) -> Answer<Accepted<Enqueued>> {
    let job_id = service::run_now(&app.db, &app.registry, &caller.actor, &name).await?;
    tracing::info!(schedule = name, actor = %caller.actor, %job_id, "schedule {name} was run by hand");
    Ok(Accepted(Enqueued { job_id }))
}

/// Why and until when a schedule is paused.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Pause {
    /// Why.
    reason: Option<String>,
    /// Until when; until somebody resumes it if it is left out.
    #[serde(default, deserialize_with = "instant")]
    until: Option<DateTime<Utc>>,
}

/// Stops a schedule from firing, until an instant or until somebody resumes it.
#[utoipa::path(
    post, path = "/api/v1/schedules/{name}/pause", operation_id = "pause_schedule", tag = "schedules",
    params(("name" = String, Path, description = "The schedule.")),
    request_body = Option<Pause>,
    responses((status = 200, description = "The schedule.", body = Data<ScheduleView>)),
    security(("token" = ["schedules:write"]))
)]
async fn pause(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    body: Option<Body<Pause>>,
) -> Answer<Data<ScheduleView>> {
    let Pause { reason, until } = body.map(|Body(pause)| pause).unwrap_or_default();
    let reason = reason.or_else(|| caller.actor.reason.clone());
    let reason = reason.unwrap_or_else(|| format!("paused by {}", caller.actor));
    let schedule = service::pause(&app.db, &caller.actor, &name, &reason, until).await?;
    Ok(data(ScheduleView::new(schedule, &app.registry)))
}

/// Lets a paused schedule fire again; what was due in the pause is not made up for.
#[utoipa::path(
    post, path = "/api/v1/schedules/{name}/resume", operation_id = "resume_schedule", tag = "schedules",
    params(("name" = String, Path, description = "The schedule.")),
    responses((status = 200, description = "The schedule.", body = Data<ScheduleView>)),
    security(("token" = ["schedules:write"]))
)]
async fn resume(State(app): State<App>, caller: Caller, Path(name): Path<String>) -> Answer<Data<ScheduleView>> {
    Ok(data(ScheduleView::new(service::resume(&app.db, &caller.actor, &name).await?, &app.registry)))
}
