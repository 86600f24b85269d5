//! `/api/v1/workers/…`: working over HTTP. `docs/workers.md` tells the protocol.

use std::convert::Infallible;

use axum::Extension;
use axum::body::{self, Bytes};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use deskhand_jobs::{JobId, WorkerId};
use futures_util::stream;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::Caller;
use crate::app::App;
use crate::base::Error;
use crate::dispatch::remote::{Beaten, Delivery, Finished, Handed, NewWorker, Registered, SettledJob, Told, Wanted};
use crate::http::{Answer, Body, Created, Data, Path, data};

pub(in crate::http) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(register))
        .routes(routes!(leave))
        .routes(routes!(beat))
        .routes(routes!(claim))
        .routes(routes!(settle))
        .routes(routes!(report))
}

/// Fires when the server is told to stop: who waits is answered at once.
#[derive(Debug, Clone)]
pub struct Stopping(pub CancellationToken);

/// Registers a worker.
#[utoipa::path(
    post, path = "/api/v1/workers", operation_id = "register_worker", tag = "remote work",
    request_body = NewWorker,
    responses((status = 201, description = "The worker, and the times that it has to keep.", body = Data<Registered>)),
    security(("token" = ["jobs:work"]))
)]
async fn register(State(app): State<App>, caller: Caller, Body(new): Body<NewWorker>) -> Answer<Created<Registered>> {
    Ok(Created(app.remote.register(&caller.actor, new).await?))
}

/// Hands back what a worker has, and forgets it.
#[utoipa::path(
    delete, path = "/api/v1/workers/{id}", operation_id = "leave_worker", tag = "remote work",
    params(("id" = WorkerId, Path, description = "The worker.")),
    responses((status = 204, description = "It has left.")),
    security(("token" = ["jobs:work"]))
)]
async fn leave(State(app): State<App>, caller: Caller, Path(id): Path<WorkerId>) -> Answer<StatusCode> {
    app.remote.leave(&caller.actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A sign of life.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Sign {
    /// The jobs that the worker has now. What it has beside these goes back. Not to be sent while a claim is under way, whose jobs
    /// it does not know yet.
    #[serde(default)]
    known: Option<Vec<JobId>>,
}

/// Says that a worker lives, which renews the leases of all its jobs.
#[utoipa::path(
    post, path = "/api/v1/workers/{id}/beat", operation_id = "beat_worker", tag = "remote work",
    params(("id" = WorkerId, Path, description = "The worker.")),
    request_body = Sign,
    responses((status = 200, description = "Which of its jobs it has to stop, and when to beat again.", body = Data<Beaten>)),
    security(("token" = ["jobs:work"]))
)]
async fn beat(
    State(app): State<App>,
    caller: Caller,
    stopping: Option<Extension<Stopping>>,
    Path(id): Path<WorkerId>,
    Body(Sign { known }): Body<Sign>,
) -> Answer<Data<Beaten>> {
    let beaten = app.remote.beat(&caller.actor, id, known.as_deref()).await?;
    let stopping = stopping.is_some_and(|Extension(Stopping(stop))| stop.is_cancelled());
    Ok(data(Beaten { stopping, ..beaten }))
}

/// Takes jobs, waiting for one if there is none.
#[utoipa::path(
    post, path = "/api/v1/workers/{id}/claim", operation_id = "claim_jobs", tag = "remote work",
    params(("id" = WorkerId, Path, description = "The worker.")),
    request_body = Wanted,
    responses((status = 200, description = "The jobs, in the order in which they should start; none if none came in time.", body = Data<Vec<Handed>>)),
    security(("token" = ["jobs:work"]))
)]
async fn claim(
    State(app): State<App>,
    caller: Caller,
    stopping: Option<Extension<Stopping>>,
    Path(id): Path<WorkerId>,
    Body(wanted): Body<Wanted>,
) -> Answer<Response> {
    let stop = stopping.map(|Extension(Stopping(stop))| stop).unwrap_or_default();
    let delivery = app.remote.claim(&caller.actor, id, &wanted, &stop).await?;
    deliver(delivery)
}

/// Writes the answer so that jobs go back if nobody takes it: a body that is dropped unread drops them.
fn deliver(mut delivery: Delivery) -> Answer<Response> {
    let text = serde_json::to_vec(&data(delivery.jobs()));
    let text = text.map_err(|error| Error::internal("cannot write the answer to a claim", error))?;
    let length = text.len();
    let once = stream::once(async move {
        delivery.delivered();
        Ok::<_, Infallible>(Bytes::from(text))
    });
    let headers = [(header::CONTENT_TYPE, "application/json".to_owned()), (header::CONTENT_LENGTH, length.to_string())];
    Ok((headers, body::Body::from_stream(once)).into_response())
}

/// Ends of attempts.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Ends {
    /// One for each job, 1 to 1,000 at once.
    results: Vec<Finished>,
}

/// Ends attempts.
#[utoipa::path(
    post, path = "/api/v1/workers/{id}/settle", operation_id = "settle_jobs", tag = "remote work",
    params(("id" = WorkerId, Path, description = "The worker.")),
    request_body = Ends,
    responses((status = 200, description = "For each, in the same order, whether it counts.", body = Data<Vec<SettledJob>>)),
    security(("token" = ["jobs:work"]))
)]
async fn settle(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<WorkerId>,
    Body(Ends { results }): Body<Ends>,
) -> Answer<Data<Vec<SettledJob>>> {
    Ok(data(app.remote.settle(&caller.actor, id, results).await?))
}

/// What running jobs tell.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Reports {
    /// One for each job, 1 to 1,000 at once.
    reports: Vec<Told>,
}

/// Keeps how far running jobs are, and lines of log.
#[utoipa::path(
    post, path = "/api/v1/workers/{id}/report", operation_id = "report_jobs", tag = "remote work",
    params(("id" = WorkerId, Path, description = "The worker.")),
    request_body = Reports,
    responses((status = 200, description = "For each, in the same order, whether it counts.", body = Data<Vec<SettledJob>>)),
    security(("token" = ["jobs:work"]))
)]
async fn report(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<WorkerId>,
    Body(Reports { reports }): Body<Reports>,
) -> Answer<Data<Vec<SettledJob>>> {
    Ok(data(app.remote.report(&caller.actor, id, reports).await?))
}
