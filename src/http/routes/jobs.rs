//! `/api/v1/jobs`: enqueue by kind, look, steer.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use chrono::{DateTime, Utc};
use deskhand_jobs::queue::Cancelled;
use deskhand_jobs::{Group, JobId, Kind, Priority, QueueName, Unique};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::access::Caller;
use crate::app::App;
use crate::base::Error;
use crate::dispatch::ledger::Filter;
use crate::dispatch::service::NewJob;
use crate::dispatch::{Place, Reason};
use crate::http::{Answer, Body, Created, Data, JobView, List, Page, Path, Problem, Query, data, instant};

const IDEMPOTENCY_KEY: &str = "idempotency-key";

pub(in crate::http) fn router() -> Router<App> {
    Router::new()
        .route("/api/v1/jobs", get(list).post(enqueue))
        .route("/api/v1/jobs/{id}", get(show))
        .route("/api/v1/jobs/{id}/explain", get(explain))
        .route("/api/v1/jobs/{id}/retry", post(retry))
        .route("/api/v1/jobs/{id}/cancel", post(cancel))
        .route("/api/v1/jobs/{id}/discard", post(discard))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    kind: String,
    args: Option<Box<RawValue>>,
    queue: Option<QueueName>,
    priority: Option<Priority>,
    #[serde(default, deserialize_with = "instant")]
    run_at: Option<DateTime<Utc>>,
    max_attempts: Option<u32>,
    unique: Option<Unique>,
    group: Option<Group>,
}

async fn enqueue(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Body(wanted): Body<Wanted>,
) -> Answer<Response> {
    let idempotency_key = idempotency_key(&headers)?;
    let new = NewJob {
        kind: wanted.kind,
        args: wanted.args.unwrap_or_else(empty),
        queue: wanted.queue,
        priority: wanted.priority,
        run_at: wanted.run_at,
        max_attempts: wanted.max_attempts,
        unique: wanted.unique,
        group: wanted.group,
        idempotency_key,
    };
    let enqueued = app.jobs.enqueue(&caller.tenant, new).await?;
    let created = enqueued.created;
    let view = JobView::from(app.jobs.get(&caller.tenant, enqueued.entry.id).await?);
    Ok(if created { Created(view).into_response() } else { data(view).into_response() })
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Narrow {
    state: Option<String>,
    kind: Option<Kind>,
    queue: Option<QueueName>,
    cursor: Option<String>,
}

async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(narrow): Query<Narrow>,
    Page(page): Page,
) -> Answer<Response> {
    let place = narrow.state.map(|state| state.parse::<Place>()).transpose();
    let place = place.map_err(|error| Problem::field("/state", error.to_string()))?;
    let filter = Filter { state: None, kind: narrow.kind, queue: narrow.queue, ..Filter::default() };
    if let Some(cursor) = narrow.cursor {
        return Ok(JobView::walk(&app, &caller.tenant, place, filter, &cursor, page).await?.into_response());
    }
    Ok(List::from(JobView::list(&app, &caller.tenant, place, filter, page).await?).into_response())
}

async fn show(State(app): State<App>, caller: Caller, Path(id): Path<JobId>) -> Answer<Data<JobView>> {
    Ok(data(app.jobs.get(&caller.tenant, id).await?.into()))
}

async fn explain(State(app): State<App>, caller: Caller, Path(id): Path<JobId>) -> Answer<Data<Vec<Reason>>> {
    Ok(data(app.jobs.explain(&caller.tenant, id).await?))
}

async fn retry(State(app): State<App>, caller: Caller, Path(id): Path<JobId>) -> Answer<Data<JobView>> {
    app.jobs.retry(&caller.tenant, id).await?;
    Ok(data(app.jobs.get(&caller.tenant, id).await?.into()))
}

#[derive(Serialize)]
struct Stopped {
    id: JobId,
    /// `cancelled`, or `stopping` for a job that runs and was asked to stop.
    state: &'static str,
}

async fn cancel(State(app): State<App>, caller: Caller, Path(id): Path<JobId>) -> Answer<Data<Stopped>> {
    let reason = format!("cancelled with token {}", caller.name);
    let state = match app.jobs.cancel(&caller.tenant, id, &reason).await? {
        Cancelled::Asked => "stopping",
        Cancelled::Ended | Cancelled::AlreadyEnded | Cancelled::Unknown => "cancelled",
    };
    Ok(data(Stopped { id, state }))
}

async fn discard(State(app): State<App>, caller: Caller, Path(id): Path<JobId>) -> Answer<Data<Stopped>> {
    let reason = format!("discarded with token {}", caller.name);
    if app.jobs.discard(&caller.tenant, &[id], &reason).await?.is_empty() {
        let state = app.jobs.get(&caller.tenant, id).await?.entry.state;
        let message = format!("job {id} is {state} and not dead: only a dead job is discarded, cancel it instead");
        return Err(Error::conflict("not_dead", message).into());
    }
    Ok(data(Stopped { id, state: "cancelled" }))
}
