//! `/api/v1/jobs`: enqueue by kind, look, steer.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use deskhand_jobs::queue::Cancelled;
use deskhand_jobs::{BatchId, Group, JobId, Kind, Priority, QueueName, Unique};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AnyOfBuilder, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::Caller;
use crate::app::App;
use crate::base::Error;
use crate::dispatch::ledger::Filter;
use crate::dispatch::service::{NewJob, Seen};
use crate::dispatch::{Place, Reason};
use crate::http::openapi::IDEMPOTENCY_KEY;
use crate::http::{
    Answer, Body, Created, Data, JobView, List, Page, Paging, Path, Problem, Query, Walked, data, instant,
};

pub(in crate::http) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, enqueue))
        .routes(routes!(show))
        .routes(routes!(explain))
        .routes(routes!(retry))
        .routes(routes!(cancel))
        .routes(routes!(discard))
}

/// A job that somebody wants. What is left out is as the kind has it.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NewJob)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// What it does.
    #[schema(example = "work_orders.sync")]
    kind: String,
    /// The arguments, as the kind wants them.
    #[schema(value_type = Object)]
    args: Option<Box<RawValue>>,
    /// The queue. In a remote queue of the tenant the job may have any kind and any object as arguments.
    queue: Option<QueueName>,
    /// The place in the queue.
    priority: Option<Priority>,
    /// Not before this instant.
    #[serde(default, deserialize_with = "instant")]
    run_at: Option<DateTime<Utc>>,
    /// The failures after which it is dead.
    #[schema(minimum = 1)]
    max_attempts: Option<u32>,
    /// The longest time that an attempt may take, in milliseconds.
    #[schema(minimum = 1000)]
    timeout_ms: Option<u64>,
    /// Makes it the only one of its key.
    unique: Option<Unique>,
    /// Lets it share limits with others.
    group: Option<Group>,
}

impl From<Wanted> for NewJob {
    fn from(wanted: Wanted) -> Self {
        Self {
            kind: wanted.kind,
            args: wanted.args.unwrap_or_else(empty),
            queue: wanted.queue,
            priority: wanted.priority,
            run_at: wanted.run_at,
            max_attempts: wanted.max_attempts,
            timeout_ms: wanted.timeout_ms,
            unique: wanted.unique,
            group: wanted.group,
            idempotency_key: None,
        }
    }
}

/// Enqueues a job.
#[utoipa::path(
    post, path = "/api/v1/jobs", operation_id = "enqueue_job", tag = "jobs",
    request_body = Wanted,
    responses((status = 201, description = "The job, which is durable.", body = Data<JobView>), (status = 200, description = "The job that the same request made before.", body = Data<JobView>)),
    security(("token" = ["jobs:write"]))
)]
async fn enqueue(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Body(wanted): Body<Wanted>,
) -> Answer<Response> {
    let new = NewJob { idempotency_key: idempotency_key(&headers)?, ..NewJob::from(wanted) };
    let enqueued = app.jobs.enqueue(&caller.actor, new).await?;
    if enqueued.created {
        return Ok(Created(JobView::from(Seen { entry: enqueued.entry, live: None })).into_response());
    }
    Ok(data(JobView::from(app.jobs.get(caller.tenant(), enqueued.entry.id).await?)).into_response())
}

fn idempotency_key(headers: &HeaderMap) -> Answer<Option<String>> {
    let refused = |detail: &str| Problem::new(StatusCode::BAD_REQUEST, "invalid", detail);
    let mut given = headers.get_all(IDEMPOTENCY_KEY).iter();
    let key = given.next().map(|value| value.to_str()).transpose();
    if given.next().is_some() {
        return Err(refused("there is more than one Idempotency-Key: send one"));
    }
    let key =
        key.map_err(|_| refused("the Idempotency-Key is not plain text: send 1 to 200 visible ASCII characters"))?;
    Ok(key.map(str::to_owned))
}

/// The arguments of a job that needs none.
fn empty() -> Box<RawValue> {
    RawValue::from_string("{}".to_owned()).expect("an empty object is JSON")
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Narrow {
    /// Where they are: waiting, pending, pushed, scheduled, ready, running, succeeded, dead or cancelled.
    state: Option<String>,
    /// What they do.
    kind: Option<Kind>,
    /// Their queue.
    queue: Option<QueueName>,
    /// The batch that they are members of.
    batch: Option<BatchId>,
    /// Where the page before ended; empty for the first page. Any page costs the same, however deep it is.
    cursor: Option<String>,
}

/// A slice of the list of jobs. A last page fits both forms.
#[derive(Serialize)]
#[serde(untagged)]
enum Jobs {
    /// By `page`.
    Paged(List<JobView>),
    /// By `cursor`.
    Walked(Walked<JobView>),
}

impl PartialSchema for Jobs {
    fn schema() -> RefOr<Schema> {
        AnyOfBuilder::new().item(List::<JobView>::schema()).item(Walked::<JobView>::schema()).into()
    }
}

impl ToSchema for Jobs {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        List::<JobView>::schemas(schemas);
        Walked::<JobView>::schemas(schemas);
    }
}

/// Lists jobs.
#[utoipa::path(
    get, path = "/api/v1/jobs", operation_id = "list_jobs", tag = "jobs",
    params(Narrow, Paging),
    responses((status = 200, description = "Jobs, the latest first; with a `cursor` walked.", body = Jobs)),
    security(("token" = ["jobs:read"]))
)]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(narrow): Query<Narrow>,
    Page(page): Page,
) -> Answer<Json<Jobs>> {
    let place = narrow.state.map(|state| state.parse::<Place>()).transpose();
    let place = place.map_err(|error| Problem::field("/state", error.to_string()))?;
    let filter =
        Filter { state: None, kind: narrow.kind, queue: narrow.queue, batch: narrow.batch, ..Filter::default() };
    if let Some(cursor) = narrow.cursor {
        return Ok(Json(Jobs::Walked(JobView::walk(&app, caller.tenant(), place, filter, &cursor, page).await?)));
    }
    Ok(Json(Jobs::Paged(JobView::list(&app, caller.tenant(), place, filter, page).await?.into())))
}

/// Shows a job.
#[utoipa::path(
    get, path = "/api/v1/jobs/{id}", operation_id = "show_job", tag = "jobs",
    params(("id" = JobId, Path, description = "The job.")),
    responses((status = 200, description = "The job.", body = Data<JobView>)),
    security(("token" = ["jobs:read"]))
)]
async fn show(State(app): State<App>, caller: Caller, Path(id): Path<JobId>) -> Answer<Data<JobView>> {
    Ok(data(app.jobs.get(caller.tenant(), id).await?.into()))
}

/// Says why a job is not running now.
#[utoipa::path(
    get, path = "/api/v1/jobs/{id}/explain", operation_id = "explain_job", tag = "jobs",
    params(("id" = JobId, Path, description = "The job.")),
    responses((status = 200, description = "Each reason with what to do.", body = Data<Vec<Reason>>)),
    security(("token" = ["jobs:read"]))
)]
async fn explain(State(app): State<App>, caller: Caller, Path(id): Path<JobId>) -> Answer<Data<Vec<Reason>>> {
    Ok(data(app.jobs.explain(caller.tenant(), id).await?))
}

/// Lets a job run now that waits for a later time; a dead one starts again.
#[utoipa::path(
    post, path = "/api/v1/jobs/{id}/retry", operation_id = "retry_job", tag = "jobs",
    params(("id" = JobId, Path, description = "The job.")),
    responses((status = 200, description = "The job.", body = Data<JobView>)),
    security(("token" = ["jobs:write"]))
)]
async fn retry(State(app): State<App>, caller: Caller, Path(id): Path<JobId>) -> Answer<Data<JobView>> {
    app.jobs.retry(&caller.actor, id).await?;
    Ok(data(app.jobs.get(caller.tenant(), id).await?.into()))
}

/// What became of a job.
#[derive(Serialize, ToSchema)]
struct Stopped {
    /// The job.
    id: JobId,
    /// `cancelled`, or `stopping` for a job that runs and was asked to stop.
    state: &'static str,
}

/// Ends a job that waits; asks one that runs to stop.
#[utoipa::path(
    post, path = "/api/v1/jobs/{id}/cancel", operation_id = "cancel_job", tag = "jobs",
    params(("id" = JobId, Path, description = "The job.")),
    responses((status = 200, description = "Where it is now.", body = Data<Stopped>)),
    security(("token" = ["jobs:write"]))
)]
async fn cancel(State(app): State<App>, caller: Caller, Path(id): Path<JobId>) -> Answer<Data<Stopped>> {
    let reason = because("cancelled", &caller);
    let state = match app.jobs.cancel(&caller.actor, id, &reason).await? {
        Cancelled::Asked => "stopping",
        Cancelled::Ended | Cancelled::AlreadyEnded | Cancelled::Unknown => "cancelled",
    };
    Ok(data(Stopped { id, state }))
}

/// Gives a dead job up.
#[utoipa::path(
    post, path = "/api/v1/jobs/{id}/discard", operation_id = "discard_job", tag = "jobs",
    params(("id" = JobId, Path, description = "The job.")),
    responses((status = 200, description = "Where it is now.", body = Data<Stopped>)),
    security(("token" = ["jobs:write"]))
)]
async fn discard(State(app): State<App>, caller: Caller, Path(id): Path<JobId>) -> Answer<Data<Stopped>> {
    let reason = because("discarded", &caller);
    if app.jobs.discard(&caller.actor, &[id], &reason).await?.is_empty() {
        let state = app.jobs.get(caller.tenant(), id).await?.entry.state;
        let message = format!("job {id} is {state} and not dead: only a dead job is discarded, cancel it instead");
        return Err(Error::conflict("not_dead", message).into());
    }
    Ok(data(Stopped { id, state: "cancelled" }))
}

/// Says on the job who ended it, and why if they said so.
fn because(what: &str, caller: &Caller) -> String {
    let why = caller.actor.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("{what} with {}{why}", caller.actor)
}
