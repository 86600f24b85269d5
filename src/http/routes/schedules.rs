//! `/api/v1/schedules`: what runs when; run now, pause, resume, look ahead.

use axum::extract::State;
use chrono::{DateTime, Utc};
use deskhand_jobs::JobId;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::Caller;
use crate::app::App;
use crate::dispatch::schedules::{CatchUp, Overlap, Schedule, Slot, service};
use crate::http::{Accepted, Answer, Body, Data, List, Page, Paging, Path, Query, Unfiltered, data, instant};

/// How many fires are told if nobody says how many.
const NEXT: usize = 5;

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

/// A schedule as doors show it.
#[derive(Debug, Serialize, ToSchema)]
pub struct ScheduleView {
    /// Its name.
    pub name: String,
    /// What its jobs do.
    pub kind: String,
    /// Their arguments.
    #[schema(value_type = Object)]
    pub args: Box<RawValue>,
    /// When it is due: a crontab line of five fields, or `@every 5m` and its like.
    pub cron: String,
    /// The time zone in which the line is read.
    pub zone: String,
    /// How long at most a slot is delayed, in milliseconds.
    pub jitter_ms: i64,
    /// What happens while the last job runs.
    pub overlap: Overlap,
    /// What happens to missed slots.
    pub catch_up: CatchUp,
    /// How many missed slots fire at most.
    pub catch_up_max: i64,
    /// Whether it runs at all.
    pub enabled: bool,
    /// Whether somebody paused it.
    pub paused: bool,
    /// When the pause ends by itself.
    pub paused_until: Option<DateTime<Utc>>,
    /// Why it is paused.
    pub pause_reason: Option<String>,
    /// When the next slot fires.
    pub next_at: Option<DateTime<Utc>>,
    /// The job of the last slot that fired.
    pub last_job_id: Option<JobId>,
    /// Why the last slot could not fire, if it could not.
    pub last_error: Option<String>,
}

impl From<Schedule> for ScheduleView {
    fn from(schedule: Schedule) -> Self {
        Self {
            name: schedule.name,
            kind: schedule.kind,
            // What is no JSON is shown as nothing; `last_error` tells why its slots do not fire.
            args: RawValue::from_string(schedule.args).unwrap_or_default(),
            cron: schedule.cron,
            zone: schedule.zone,
            jitter_ms: schedule.jitter_ms,
            overlap: schedule.overlap,
            catch_up: schedule.catch_up,
            catch_up_max: schedule.catch_up_max,
            enabled: schedule.enabled,
            paused: schedule.paused,
            paused_until: schedule.paused_until,
            pause_reason: schedule.pause_reason,
            next_at: schedule.next_at,
            last_job_id: schedule.last_job_id.map(|id| id.0),
            last_error: schedule.last_error,
        }
    }
}

/// Lists the schedules.
#[utoipa::path(
    get, path = "/api/v1/schedules", operation_id = "list_schedules", tag = "schedules",
    responses((status = 200, description = "All schedules.", body = List<ScheduleView>)),
    security(("token" = ["schedules:read"]))
)]
async fn list(State(app): State<App>, caller: Caller) -> Answer<List<ScheduleView>> {
    let schedules = service::list(&app.db, caller.tenant()).await?;
    Ok(List::whole(schedules.into_iter().map(ScheduleView::from).collect()))
}

/// Shows a schedule.
#[utoipa::path(
    get, path = "/api/v1/schedules/{name}", operation_id = "show_schedule", tag = "schedules",
    params(("name" = String, Path, description = "The schedule.")),
    responses((status = 200, description = "The schedule.", body = Data<ScheduleView>)),
    security(("token" = ["schedules:read"]))
)]
async fn show(State(app): State<App>, caller: Caller, Path(name): Path<String>) -> Answer<Data<ScheduleView>> {
    Ok(data(service::get(&app.db, caller.tenant(), &name).await?.into()))
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
    /// How many; 5 if it is left out.
    count: Option<usize>,
}

/// Says when a schedule fires next.
#[utoipa::path(
    get, path = "/api/v1/schedules/{name}/next", operation_id = "preview_schedule", tag = "schedules",
    params(("name" = String, Path, description = "The schedule."), HowMany),
    responses((status = 200, description = "Instants, the next first.", body = List<String>)),
    security(("token" = ["schedules:read"]))
)]
async fn next(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    Query(HowMany { count }): Query<HowMany>,
) -> Answer<List<DateTime<Utc>>> {
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
    let job_id = service::run_now(&app.db, &app.registry, caller.tenant(), &name).await?;
    tracing::info!(schedule = name, token = caller.actor.name, %job_id, "schedule {name} was run by hand");
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
    let reason = reason.unwrap_or_else(|| format!("paused with token {}", caller.actor.name));
    Ok(data(service::pause(&app.db, caller.tenant(), &name, &reason, until).await?.into()))
}

/// Lets a paused schedule fire again; what was due in the pause is not made up for.
#[utoipa::path(
    post, path = "/api/v1/schedules/{name}/resume", operation_id = "resume_schedule", tag = "schedules",
    params(("name" = String, Path, description = "The schedule.")),
    responses((status = 200, description = "The schedule.", body = Data<ScheduleView>)),
    security(("token" = ["schedules:write"]))
)]
async fn resume(State(app): State<App>, caller: Caller, Path(name): Path<String>) -> Answer<Data<ScheduleView>> {
    Ok(data(service::resume(&app.db, caller.tenant(), &name).await?.into()))
}
