//! `/api/v1/queues`: how full they are; pause and resume.

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use deskhand_jobs::QueueName;
use deskhand_jobs::queue::QueueInfo;
use serde::Serialize;

use crate::access::Caller;
use crate::app::App;
use crate::base::{Error, Result};
use crate::http::{Answer, Data, List, Path, data};

pub(in crate::http) fn router() -> Router<App> {
    Router::new()
        .route("/api/v1/queues", get(list))
        .route("/api/v1/queues/{name}", get(show))
        .route("/api/v1/queues/{name}/pause", post(pause))
        .route("/api/v1/queues/{name}/resume", post(resume))
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
