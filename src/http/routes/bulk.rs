//! `/api/v1/jobs/bulk`: many jobs at once.

use axum::extract::State;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::jobs::Wanted;
use crate::access::Caller;
use crate::app::App;
use crate::dispatch::Many;
use crate::dispatch::service::NewJob;
use crate::http::{Answer, Body, Created, Data};

pub(in crate::http) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(enqueue_many))
}

/// Jobs that somebody wants.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct WantedMany {
    /// 1 to 10,000 jobs; `server.body_limit_bytes` bounds them, too.
    jobs: Vec<Wanted>,
}

/// Enqueues many jobs: all of them, or none.
#[utoipa::path(
    post, path = "/api/v1/jobs/bulk", operation_id = "enqueue_jobs", tag = "jobs",
    request_body = WantedMany,
    responses((status = 201, description = "The ids of the jobs in the order of the request; they are durable.", body = Data<Many>)),
    security(("token" = ["jobs:write"]))
)]
async fn enqueue_many(
    State(app): State<App>,
    caller: Caller,
    Body(WantedMany { jobs }): Body<WantedMany>,
) -> Answer<Created<Many>> {
    let jobs = jobs.into_iter().map(NewJob::from).collect();
    Ok(Created(app.jobs.enqueue_many(&caller.actor, jobs).await?))
}
