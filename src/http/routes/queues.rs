//! `/api/v1/queues`: how full they are; pause and resume; limits.

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post, put};
use deskhand_jobs::queue::{GroupInfo, QueueInfo};
use deskhand_jobs::{GroupKey, Limits, QueueName};
use serde::{Deserialize, Serialize};

use crate::access::Caller;
use crate::app::App;
use crate::base::{Error, Result};
use crate::http::{Answer, Body, Data, List, Page, Path, Problem, Query, Walked, data};

pub(in crate::http) fn router() -> Router<App> {
    Router::new()
        .route("/api/v1/queues", get(list))
        .route("/api/v1/queues/{name}", get(show))
        .route("/api/v1/queues/{name}/pause", post(pause))
        .route("/api/v1/queues/{name}/resume", post(resume))
        .route("/api/v1/queues/{name}/limit", put(limit))
        .route("/api/v1/queues/{name}/groups", get(groups))
        .route("/api/v1/queues/{name}/groups/{key}", put(fix).delete(unfix))
}

async fn list(State(app): State<App>, _: Caller) -> Answer<List<QueueInfo>> {
    Ok(List::whole(app.queue.queues().await?))
}

async fn show(State(app): State<App>, _: Caller, Path(name): Path<QueueName>) -> Answer<Data<QueueInfo>> {
    Ok(data(find_queue(&app, &name).await?))
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
            let names: Vec<&str> = queues.iter().map(|queue| queue.name.as_str()).collect();
            Err(Error::not_found("queue", &format!("{name}: the queues are {}", names.join(", "))))
        }
    }
}

#[derive(Serialize)]
struct Switched {
    name: QueueName,
    paused: bool,
}

async fn pause(State(app): State<App>, caller: Caller, Path(name): Path<QueueName>) -> Answer<Data<Switched>> {
    find_queue(&app, &name).await?;
    app.queue.pause(&name).await?;
    tracing::info!(queue = %name, token = caller.name, "queue {name} is paused");
    Ok(data(Switched { name, paused: true }))
}

async fn resume(State(app): State<App>, caller: Caller, Path(name): Path<QueueName>) -> Answer<Data<Switched>> {
    find_queue(&app, &name).await?;
    app.queue.resume(&name).await?;
    tracing::info!(queue = %name, token = caller.name, "queue {name} hands out jobs again");
    Ok(data(Switched { name, paused: false }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Limit {
    /// Has to be said, be it as `null`: what is left out by mistake must not lift a limit.
    #[serde(deserialize_with = "Option::deserialize")]
    concurrency: Option<u32>,
}

async fn limit(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<QueueName>,
    Body(Limit { concurrency }): Body<Limit>,
) -> Answer<Data<QueueInfo>> {
    find_queue(&app, &name).await?;
    if concurrency == Some(0) {
        return Err(Problem::field(
            "/concurrency",
            "it is at least 1, or null for no limit; pause the queue to stop it",
        ));
    }
    app.queue.limit(&name, concurrency).await?;
    let most = concurrency.map_or("as many jobs as workers take".to_owned(), |most| format!("at most {most} jobs"));
    tracing::info!(queue = %name, token = caller.name, "queue {name} runs {most} at once");
    Ok(data(find_queue(&app, &name).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Behind {
    #[serde(default)]
    cursor: String,
}

async fn groups(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<QueueName>,
    Query(Behind { cursor }): Query<Behind>,
    Page(page): Page,
) -> Answer<Walked<GroupInfo>> {
    find_queue(&app, &name).await?;
    let after = (!cursor.is_empty()).then(|| GroupKey::new(cursor)).transpose();
    let after = after.map_err(|error| Problem::field("/cursor", error.to_string()))?;
    let size = page.size();
    let data = app.jobs.groups(&caller.tenant, &name, after.as_ref(), size as usize).await?;
    let next = data.last().filter(|_| data.len() as u64 == size).map(|last| last.key.to_string());
    Ok(Walked { data, size, next })
}

async fn fix(
    State(app): State<App>,
    caller: Caller,
    Path((name, key)): Path<(QueueName, GroupKey)>,
    Body(limits): Body<Limits>,
) -> Answer<Data<Option<GroupInfo>>> {
    find_queue(&app, &name).await?;
    let group = app.jobs.limit_group(&caller.tenant, &name, &key, Some(limits)).await?;
    tracing::info!(queue = %name, group = %key, token = caller.name, "the limits of group {key} in queue {name} are fixed");
    Ok(data(group))
}

async fn unfix(
    State(app): State<App>,
    caller: Caller,
    Path((name, key)): Path<(QueueName, GroupKey)>,
) -> Answer<Data<Option<GroupInfo>>> {
    find_queue(&app, &name).await?;
    let group = app.jobs.limit_group(&caller.tenant, &name, &key, None).await?;
    tracing::info!(queue = %name, group = %key, token = caller.name, "the limits of group {key} in queue {name} are those of its jobs");
    Ok(data(group))
}
