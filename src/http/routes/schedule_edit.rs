//! `/api/v1/schedules`: make one, edit it, bring it back to its declaration, remove it.

use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::Caller;
use crate::app::App;
use crate::dispatch::schedules::{CatchUp, Definition, Edit, Overlap, service};
use crate::http::{Answer, Body, Created, Data, Path, ScheduleView, data};

pub(in crate::http) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(create)).routes(routes!(edit, remove)).routes(routes!(reset))
}

/// A schedule that somebody makes. What is left out is as in the configuration.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewSchedule {
    /// Its name: letters, digits and `.`, `_`, `-`.
    #[schema(example = "reports.weekly")]
    name: String,
    /// What its jobs do.
    #[schema(example = "work_orders.sync")]
    kind: String,
    /// Their arguments.
    args: Option<Map<String, Value>>,
    /// When it is due: a crontab line of five fields, or `@every 5m` and its like.
    #[schema(example = "0 6 * * 1")]
    cron: String,
    /// The time zone in which the line is read; UTC.
    zone: Option<String>,
    /// How long at most a slot is delayed, in milliseconds; 0.
    jitter_ms: Option<u32>,
    /// What happens while the last job runs; `skip`.
    overlap: Option<Overlap>,
    /// What happens to missed slots; `latest`.
    catch_up: Option<CatchUp>,
    /// How many missed slots fire at most with `all`; 10.
    catch_up_max: Option<u32>,
    /// Whether it runs; true.
    enabled: Option<bool>,
}

/// Makes a schedule that the configuration does not know.
#[utoipa::path(
    post, path = "/api/v1/schedules", operation_id = "create_schedule", tag = "schedules",
    request_body = NewSchedule,
    responses((status = 201, description = "The schedule.", body = Data<ScheduleView>)),
    security(("token" = ["schedules:write"]))
)]
async fn create(State(app): State<App>, caller: Caller, Body(new): Body<NewSchedule>) -> Answer<Created<ScheduleView>> {
    let NewSchedule { name, kind, args, cron, zone, jitter_ms, overlap, catch_up, catch_up_max, enabled } = new;
    let edit = Edit { args, cron: None, zone, jitter_ms, overlap, catch_up, catch_up_max, enabled };
    let definition = Definition::new(kind, cron).with(edit);
    let schedule = service::create(&app.db, &app.registry, &caller.actor, &name, &definition).await?;
    Ok(Created(ScheduleView::new(schedule, &app.registry)))
}

/// What somebody changes; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Changes {
    /// The version that was seen.
    version: i64,
    /// Other arguments.
    args: Option<Map<String, Value>>,
    /// Another line.
    #[schema(example = "*/10 * * * *")]
    cron: Option<String>,
    /// Another zone.
    zone: Option<String>,
    /// Another jitter, in milliseconds.
    jitter_ms: Option<u32>,
    /// Another overlap.
    overlap: Option<Overlap>,
    /// Another way to catch up.
    catch_up: Option<CatchUp>,
    /// Another number of slots to catch up with.
    catch_up_max: Option<u32>,
    /// On or off.
    enabled: Option<bool>,
}

/// Edits a schedule. From then on it is as people want it, whatever the configuration says.
#[utoipa::path(
    put, path = "/api/v1/schedules/{name}", operation_id = "edit_schedule", tag = "schedules",
    params(("name" = String, Path, description = "The schedule.")),
    request_body = Changes,
    responses((status = 200, description = "The schedule.", body = Data<ScheduleView>)),
    security(("token" = ["schedules:write"]))
)]
async fn edit(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    Body(changes): Body<Changes>,
) -> Answer<Data<ScheduleView>> {
    let Changes { version, args, cron, zone, jitter_ms, overlap, catch_up, catch_up_max, enabled } = changes;
    let edit = Edit { args, cron, zone, jitter_ms, overlap, catch_up, catch_up_max, enabled };
    let schedule = service::edit(&app.db, &app.registry, &caller.actor, &name, version, edit).await?;
    Ok(data(ScheduleView::new(schedule, &app.registry)))
}

/// Brings an edited schedule back to what the configuration declares.
#[utoipa::path(
    post, path = "/api/v1/schedules/{name}/reset", operation_id = "reset_schedule", tag = "schedules",
    params(("name" = String, Path, description = "The schedule.")),
    responses((status = 200, description = "The schedule.", body = Data<ScheduleView>)),
    security(("token" = ["schedules:write"]))
)]
async fn reset(State(app): State<App>, caller: Caller, Path(name): Path<String>) -> Answer<Data<ScheduleView>> {
    let schedule = service::reset(&app.db, &app.registry, &caller.actor, &name).await?;
    Ok(data(ScheduleView::new(schedule, &app.registry)))
}

/// Removes a schedule that the configuration does not declare. Its jobs stay.
#[utoipa::path(
    delete, path = "/api/v1/schedules/{name}", operation_id = "remove_schedule", tag = "schedules",
    params(("name" = String, Path, description = "The schedule.")),
    responses((status = 204, description = "It is gone.")),
    security(("token" = ["schedules:write"]))
)]
async fn remove(State(app): State<App>, caller: Caller, Path(name): Path<String>) -> Answer<StatusCode> {
    service::remove(&app.db, &caller.actor, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}
