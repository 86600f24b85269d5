//! `/api/v1/queues`: how full they are; pause and resume; limits.

use axum::extract::State;
use deskhand_jobs::queue::{GroupInfo, QueueInfo};
use deskhand_jobs::{GroupKey, Limits, QueueName};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::Caller;
use crate::app::App;
use crate::base::{Error, Result};
use crate::dispatch::remote::{in_front, is_open_to};
use crate::http::{Answer, Body, Data, List, Page, Paging, Path, Problem, Query, Walked, data};

pub(in crate::http) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show))
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(limit))
        .routes(routes!(groups))
        .routes(routes!(fix, unfix))
}

/// Lists the queues.
#[utoipa::path(
    get, path = "/api/v1/queues", operation_id = "list_queues", tag = "queues",
    responses((status = 200, description = "Every queue that has had a job or a worker.", body = List<QueueInfo>)),
    security(("token" = ["queues:read"]))
)]
async fn list(State(app): State<App>, caller: Caller) -> Answer<List<QueueInfo>> {
    let mut queues = app.queue.queues().await?;
    queues.retain(|queue| sees(&caller, &queue.name));
    Ok(List::whole(queues))
}

/// Shows a queue.
#[utoipa::path(
    get, path = "/api/v1/queues/{name}", operation_id = "show_queue", tag = "queues",
    params(("name" = QueueName, Path, description = "The queue.")),
    responses((status = 200, description = "The queue.", body = Data<QueueInfo>)),
    security(("token" = ["queues:read"]))
)]
async fn show(State(app): State<App>, caller: Caller, Path(name): Path<QueueName>) -> Answer<Data<QueueInfo>> {
    Ok(data(find_open(&app, &caller, &name).await?))
}

/// Reads one queue. Steering asks for it too: a queue whose name is misspelt must not look paused.
///
/// # Errors
/// [`Error::NotFound`] names the queues that there are, else [`Error`] of the queue.
pub async fn find_queue(app: &App, name: &QueueName) -> Result<QueueInfo> {
    let mut queues = app.queue.queues().await?;
    match queues.iter().position(|queue| queue.name == *name) {
        Some(place) => Ok(queues.swap_remove(place)),
        None if queues.is_empty() => Err(Error::not_found("queue", &format!("{name}: none has had a job or a worker"))),
        None => {
            let ours = queues.iter().filter(|queue| in_front(&queue.name).is_none());
            let names: Vec<&str> = ours.map(|queue| queue.name.as_str()).collect();
            Err(Error::not_found("queue", &format!("{name}: the queues are {}", names.join(", "))))
        }
    }
}

/// Says whether a caller may see a queue: who steers all sees all, everybody else not the remote queues of others.
fn sees(caller: &Caller, queue: &QueueName) -> bool {
    is_open_to(caller.tenant(), queue) || caller.must_steer_all().is_ok()
}

/// Reads one queue that the caller may see: remote queues of other tenants do not exist.
async fn find_open(app: &App, caller: &Caller, name: &QueueName) -> Result<QueueInfo> {
    if !sees(caller, name) {
        return Err(Error::not_found("queue", name));
    }
    find_queue(app, name).await
}

/// Whether a queue is paused.
#[derive(Serialize, ToSchema)]
struct Switched {
    /// The queue.
    name: QueueName,
    /// Whether it hands out nothing.
    paused: bool,
}

/// Pauses a queue for all tenants; jobs that run go on.
#[utoipa::path(
    post, path = "/api/v1/queues/{name}/pause", operation_id = "pause_queue", tag = "queues",
    params(("name" = QueueName, Path, description = "The queue.")),
    responses((status = 200, description = "The queue hands out nothing.", body = Data<Switched>)),
    security(("token" = ["queues:write"]))
)]
async fn pause(State(app): State<App>, caller: Caller, Path(name): Path<QueueName>) -> Answer<Data<Switched>> {
    caller.must_steer_all()?;
    find_queue(&app, &name).await?;
    app.jobs.pause_queue(&caller.actor, &name).await?;
    tracing::info!(queue = %name, token = caller.actor.name, "queue {name} is paused");
    Ok(data(Switched { name, paused: true }))
}

/// Lets a paused queue hand out jobs again.
#[utoipa::path(
    post, path = "/api/v1/queues/{name}/resume", operation_id = "resume_queue", tag = "queues",
    params(("name" = QueueName, Path, description = "The queue.")),
    responses((status = 200, description = "The queue hands out jobs.", body = Data<Switched>)),
    security(("token" = ["queues:write"]))
)]
async fn resume(State(app): State<App>, caller: Caller, Path(name): Path<QueueName>) -> Answer<Data<Switched>> {
    caller.must_steer_all()?;
    find_queue(&app, &name).await?;
    app.jobs.resume_queue(&caller.actor, &name).await?;
    tracing::info!(queue = %name, token = caller.actor.name, "queue {name} hands out jobs again");
    Ok(data(Switched { name, paused: false }))
}

/// The limit of a queue.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Limit {
    /// How many jobs may run at once; null for as many as workers take. It has to be said: what is left out by mistake must not lift
    /// a limit.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(required = true, minimum = 1)]
    concurrency: Option<u32>,
}

/// Limits how many jobs of a queue run at once, over all workers.
#[utoipa::path(
    put, path = "/api/v1/queues/{name}/limit", operation_id = "limit_queue", tag = "queues",
    params(("name" = QueueName, Path, description = "The queue.")),
    request_body = Limit,
    responses((status = 200, description = "The queue.", body = Data<QueueInfo>)),
    security(("token" = ["queues:write"]))
)]
async fn limit(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<QueueName>,
    Body(Limit { concurrency }): Body<Limit>,
) -> Answer<Data<QueueInfo>> {
    caller.must_steer_all()?;
    find_queue(&app, &name).await?;
    app.jobs.limit_queue(&caller.actor, &name, concurrency).await?;
    let most = concurrency.map_or("as many jobs as workers take".to_owned(), |most| format!("at most {most} jobs"));
    tracing::info!(queue = %name, token = caller.actor.name, "queue {name} runs {most} at once");
    Ok(data(find_open(&app, &caller, &name).await?))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Behind {
    /// Where the page before ended.
    #[serde(default)]
    cursor: String,
}

/// Lists the groups of the tenant in a queue.
#[utoipa::path(
    get, path = "/api/v1/queues/{name}/groups", operation_id = "list_groups", tag = "queues",
    params(("name" = QueueName, Path, description = "The queue."), Behind, Paging),
    responses((status = 200, description = "Groups by their key.", body = Walked<GroupInfo>)),
    security(("token" = ["queues:read"]))
)]
async fn groups(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<QueueName>,
    Query(Behind { cursor }): Query<Behind>,
    Page(page): Page,
) -> Answer<Walked<GroupInfo>> {
    find_open(&app, &caller, &name).await?;
    let after = (!cursor.is_empty()).then(|| GroupKey::new(cursor)).transpose();
    let after = after.map_err(|error| Problem::field("/cursor", error.to_string()))?;
    let size = page.size();
    let data = app.jobs.groups(caller.tenant(), &name, after.as_ref(), size as usize).await?;
    let next = data.last().filter(|_| data.len() as u64 == size).map(|last| last.key.to_string());
    Ok(Walked { data, size, next })
}

/// Fixes the limits of a group, whatever its jobs bring.
#[utoipa::path(
    put, path = "/api/v1/queues/{name}/groups/{key}", operation_id = "fix_group", tag = "queues",
    params(("name" = QueueName, Path, description = "The queue."), ("key" = GroupKey, Path, description = "The group.")),
    request_body = Limits,
    responses((status = 200, description = "The group.", body = Data<Option<GroupInfo>>)),
    security(("token" = ["queues:write"]))
)]
async fn fix(
    State(app): State<App>,
    caller: Caller,
    Path((name, key)): Path<(QueueName, GroupKey)>,
    Body(limits): Body<Limits>,
) -> Answer<Data<Option<GroupInfo>>> {
    find_open(&app, &caller, &name).await?;
    let group = app.jobs.limit_group(&caller.actor, &name, &key, Some(limits)).await?;
    tracing::info!(queue = %name, group = %key, token = caller.actor.name, "the limits of group {key} in queue {name} are fixed");
    Ok(data(group))
}

/// Lets the limits of a group be those that its jobs bring.
#[utoipa::path(
    delete, path = "/api/v1/queues/{name}/groups/{key}", operation_id = "unfix_group", tag = "queues",
    params(("name" = QueueName, Path, description = "The queue."), ("key" = GroupKey, Path, description = "The group.")),
    responses((status = 200, description = "The group, if it has jobs.", body = Data<Option<GroupInfo>>)),
    security(("token" = ["queues:write"]))
)]
async fn unfix(
    State(app): State<App>,
    caller: Caller,
    Path((name, key)): Path<(QueueName, GroupKey)>,
) -> Answer<Data<Option<GroupInfo>>> {
    find_open(&app, &caller, &name).await?;
    let group = app.jobs.limit_group(&caller.actor, &name, &key, None).await?;
    tracing::info!(queue = %name, group = %key, token = caller.actor.name, "the limits of group {key} in queue {name} are those of its jobs");
    Ok(data(group))
}
