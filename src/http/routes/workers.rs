//! `/api/v1/workers`: who is alive.

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use chrono::{DateTime, Utc};
use deskhand_jobs::queue::WorkerInfo;
use deskhand_jobs::{QueueName, WorkerId};
use serde::Serialize;

use crate::access::Caller;
use crate::app::App;
use crate::http::{Answer, List};

pub(in crate::http) fn router() -> Router<App> {
    Router::new().route("/api/v1/workers", get(list))
}

/// A worker as doors show it.
#[derive(Debug, Serialize)]
pub struct WorkerView {
    /// One life of its process.
    pub id: WorkerId,
    /// Host and process.
    pub name: String,
    /// The queues it serves, the first first.
    pub queues: Vec<QueueName>,
    /// How many jobs it runs at once.
    pub concurrency: usize,
    /// When it started, by its own clock.
    pub started_at: Option<DateTime<Utc>>,
}

impl From<WorkerInfo> for WorkerView {
    fn from(worker: WorkerInfo) -> Self {
        let WorkerInfo { id, name, queues, concurrency, started_at_ms } = worker;
        Self { id, name, queues, concurrency, started_at: DateTime::from_timestamp_millis(started_at_ms) }
    }
}

async fn list(State(app): State<App>, _: Caller) -> Answer<List<WorkerView>> {
    Ok(List::whole(app.queue.workers().await?.into_iter().map(WorkerView::from).collect()))
}
