//! `/api/v1/queues`: how full they are; pause and resume.

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use deskhand_jobs::QueueName;
use deskhand_jobs::queue::QueueInfo;
use serde::Serialize;

use crate::access::Caller;
use crate::app::App;
use crate::http::{Answer, Data, List, Path, data};

pub(in crate::http) fn router() -> Router<App> {
    Router::new()
        .route("/api/v1/queues", get(list))
        .route("/api/v1/queues/{name}/pause", post(pause))
        .route("/api/v1/queues/{name}/resume", post(resume))
}

async fn list(State(app): State<App>, _: Caller) -> Answer<List<QueueInfo>> {
    Ok(List::whole(app.queue.queues().await?))
}

#[derive(Serialize)]
struct Switched {
    name: QueueName,
    paused: bool,
}

async fn pause(State(app): State<App>, caller: Caller, Path(name): Path<QueueName>) -> Answer<Data<Switched>> {
    app.queue.pause(&name).await?;
    tracing::info!(queue = %name, token = caller.name, "queue {name} is paused");
    Ok(data(Switched { name, paused: true }))
}

async fn resume(State(app): State<App>, caller: Caller, Path(name): Path<QueueName>) -> Answer<Data<Switched>> {
    app.queue.resume(&name).await?;
    tracing::info!(queue = %name, token = caller.name, "queue {name} hands out jobs again");
    Ok(data(Switched { name, paused: false }))
}
