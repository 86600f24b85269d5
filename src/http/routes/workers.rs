//! `/api/v1/workers`: who is alive.

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use deskhand_jobs::queue::WorkerInfo;

use crate::access::Caller;
use crate::app::App;
use crate::http::{Answer, List};

pub(in crate::http) fn router() -> Router<App> {
    Router::new().route("/api/v1/workers", get(list))
}

async fn list(State(app): State<App>, _: Caller) -> Answer<List<WorkerInfo>> {
    Ok(List::whole(app.queue.workers().await?))
}
