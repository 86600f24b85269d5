//! `/api/v1/workers`: who is alive.

use axum::extract::State;
use chrono::{DateTime, Utc};
use deskhand_jobs::queue::WorkerInfo;
use deskhand_jobs::{QueueName, WorkerId};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::Caller;
use crate::app::App;
use crate::dispatch::remote::{is_open_to, is_remote, shown};
use crate::http::{Answer, List};

pub(in crate::http) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list))
}

/// A worker as doors show it.
#[derive(Debug, Serialize, ToSchema)]
pub struct WorkerView {
    /// One life of its process.
    pub id: WorkerId,
    /// Host and process.
    pub name: String,
    /// The queues it serves, the first first.
    pub queues: Vec<QueueName>,
    /// How many jobs it runs at once.
    pub concurrency: usize,
    /// Whether it is a program of another kind, which works over HTTP.
    pub remote: bool,
    /// When it started, by its own clock.
    pub started_at: Option<DateTime<Utc>>,
}

impl From<WorkerInfo> for WorkerView {
    fn from(worker: WorkerInfo) -> Self {
        let remote = is_remote(&worker);
        let WorkerInfo { id, name, queues, concurrency, started_at_ms } = worker;
        let queues = queues.iter().map(shown).collect();
        Self { id, name, queues, concurrency, remote, started_at: DateTime::from_timestamp_millis(started_at_ms) }
    }
}

/// Lists the workers that are alive.
#[utoipa::path(
    get, path = "/api/v1/workers", operation_id = "list_workers", tag = "workers",
    responses((status = 200, description = "Every worker that beats, without remote workers of other tenants.", body = List<WorkerView>)),
    security(("token" = ["queues:read"]))
)]
async fn list(State(app): State<App>, caller: Caller) -> Answer<List<WorkerView>> {
    let workers = app.queue.workers().await?.into_iter();
    let ours = workers.filter(|worker| worker.queues.iter().all(|queue| is_open_to(caller.tenant(), queue)));
    Ok(List::whole(ours.map(WorkerView::from).collect()))
}
