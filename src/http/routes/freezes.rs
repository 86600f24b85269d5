//! `/api/v1/freeze-windows`: the maintenance calendar.

use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::Caller;
use crate::app::App;
use crate::dispatch::freezes::{Draft, FreezeId, FreezeWindow, Policy, service};
use crate::http::{Answer, Body, Created, Data, List, Path, Problem, data, instant};

pub(in crate::http) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(show, rewrite, remove))
}

/// A freeze window as somebody wants it: `starts_at` and `ends_at`, or `cron` and `duration_ms`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// The version that was seen; needed to rewrite one.
    version: Option<i64>,
    /// Its name: one of a tenant.
    name: String,
    /// Why schedules rest.
    reason: String,
    /// When it begins; with `cron`, the first instant at which it may open.
    #[serde(default, deserialize_with = "instant")]
    starts_at: Option<DateTime<Utc>>,
    /// When it ends; with `cron`, the instant from which it opens no more.
    #[serde(default, deserialize_with = "instant")]
    ends_at: Option<DateTime<Utc>>,
    /// When it opens again and again: a crontab line of five fields.
    cron: Option<String>,
    /// The time zone in which the line is read; UTC if left out.
    zone: Option<String>,
    /// For how long it opens by its line, in milliseconds.
    duration_ms: Option<i64>,
    /// The names of the schedules that it covers. If neither schedules nor kinds are named, it covers everything.
    #[serde(default)]
    schedules: Vec<String>,
    /// What kinds of jobs it covers: `approvals` covers `approvals.check_timeouts` and its like.
    #[serde(default)]
    kinds: Vec<String>,
    /// What happens to slots that are due in it.
    policy: Policy,
    /// Whether it counts; true if left out.
    enabled: Option<bool>,
}

impl From<Wanted> for Draft {
    fn from(wanted: Wanted) -> Self {
        Self {
            name: wanted.name,
            reason: wanted.reason,
            starts_at: wanted.starts_at,
            ends_at: wanted.ends_at,
            cron: wanted.cron,
            zone: wanted.zone,
            duration_ms: wanted.duration_ms,
            schedules: wanted.schedules,
            kinds: wanted.kinds,
            policy: wanted.policy,
            enabled: wanted.enabled.unwrap_or(true),
        }
    }
}

/// Lists the freeze windows.
#[utoipa::path(
    get, path = "/api/v1/freeze-windows", operation_id = "list_freeze_windows", tag = "freeze windows",
    responses((status = 200, description = "All windows, by name.", body = List<FreezeWindow>)),
    security(("token" = ["schedules:read"]))
)]
async fn list(State(app): State<App>, caller: Caller) -> Answer<List<FreezeWindow>> {
    Ok(List::whole(service::list(&app.db, caller.tenant()).await?))
}

/// Shows a freeze window.
#[utoipa::path(
    get, path = "/api/v1/freeze-windows/{id}", operation_id = "show_freeze_window", tag = "freeze windows",
    params(("id" = FreezeId, Path, description = "The window.")),
    responses((status = 200, description = "The window.", body = Data<FreezeWindow>)),
    security(("token" = ["schedules:read"]))
)]
async fn show(State(app): State<App>, caller: Caller, Path(id): Path<FreezeId>) -> Answer<Data<FreezeWindow>> {
    Ok(data(service::get(&app.db, caller.tenant(), id).await?))
}

/// Enters a freeze window into the calendar.
#[utoipa::path(
    post, path = "/api/v1/freeze-windows", operation_id = "create_freeze_window", tag = "freeze windows",
    request_body = Wanted,
    responses((status = 201, description = "The window.", body = Data<FreezeWindow>)),
    security(("token" = ["freezes:write"]))
)]
async fn create(State(app): State<App>, caller: Caller, Body(wanted): Body<Wanted>) -> Answer<Created<FreezeWindow>> {
    Ok(Created(service::create(&app.db, &caller.actor, wanted.into()).await?))
}

/// Rewrites a freeze window as a whole: what is left out is not kept. What it deferred is judged again.
#[utoipa::path(
    put, path = "/api/v1/freeze-windows/{id}", operation_id = "rewrite_freeze_window", tag = "freeze windows",
    params(("id" = FreezeId, Path, description = "The window.")),
    request_body = Wanted,
    responses((status = 200, description = "The window.", body = Data<FreezeWindow>)),
    security(("token" = ["freezes:write"]))
)]
async fn rewrite(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<FreezeId>,
    Body(wanted): Body<Wanted>,
) -> Answer<Data<FreezeWindow>> {
    let missing =
        || Problem::field("/version", "say which version you have seen: the window may have changed meanwhile");
    let version = wanted.version.ok_or_else(missing)?;
    Ok(data(service::rewrite(&app.db, &caller.actor, id, version, wanted.into()).await?))
}

/// Takes a freeze window out of the calendar. What it deferred fires, unless another window covers it.
#[utoipa::path(
    delete, path = "/api/v1/freeze-windows/{id}", operation_id = "remove_freeze_window", tag = "freeze windows",
    params(("id" = FreezeId, Path, description = "The window.")),
    responses((status = 204, description = "It is gone.")),
    security(("token" = ["freezes:write"]))
)]
async fn remove(State(app): State<App>, caller: Caller, Path(id): Path<FreezeId>) -> Answer<StatusCode> {
    service::remove(&app.db, &caller.actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
