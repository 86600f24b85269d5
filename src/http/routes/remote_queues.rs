//! `/api/v1/remote-queues`: queues for programs in other languages.

use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use deskhand_jobs::QueueName;
use deskhand_jobs::queue::{QueueInfo, WorkerInfo};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::Caller;
use crate::app::App;
use crate::base::{Error, Result, TenantId};
use crate::dispatch::remote::{RemoteDefaults, RemoteQueue, behind};
use crate::http::metrics::desired;
use crate::http::{Answer, Body, Data, List, Path, data};

pub(in crate::http) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show, declare, remove))
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(limit))
}

/// A remote queue as doors show it.
#[derive(Debug, Serialize, ToSchema)]
pub struct RemoteQueueView {
    /// Its name within the tenant.
    name: QueueName,
    /// The longest time that an attempt of its jobs may take, unless they say otherwise, in milliseconds.
    timeout_ms: Option<u64>,
    /// The failures after which its jobs are dead, unless they say otherwise.
    max_attempts: Option<u32>,
    /// When it was declared.
    created_at: DateTime<Utc>,
    /// When it was last declared otherwise.
    updated_at: DateTime<Utc>,
    /// Whether it hands out nothing.
    paused: bool,
    /// How many of its jobs may run at once, over all workers; null if nothing limits them.
    concurrency: Option<u32>,
    /// Jobs that wait for a worker.
    ready: u64,
    /// Jobs that wait for their time.
    scheduled: u64,
    /// Jobs that a worker has.
    running: u64,
    /// Dead jobs.
    dead: u64,
    /// Workers that serve it and are alive.
    workers: usize,
    /// How many workers it wants.
    desired_workers: u64,
}

impl RemoteQueueView {
    /// Lists the remote queues of a tenant with what the queue tells of them.
    ///
    /// # Errors
    /// [`Error`] of the database or the queue.
    pub async fn list(app: &App, tenant: &TenantId) -> Result<Vec<Self>> {
        let declared = app.jobs.remote_queues(tenant).await?;
        let (queues, workers) = (app.queue.queues().await?, app.queue.workers().await?);
        Ok(declared.into_iter().map(|declared| Self::of(app, tenant, declared, &queues, &workers)).collect())
    }

    async fn find(app: &App, tenant: &TenantId, name: &QueueName) -> Result<Self> {
        let all = Self::list(app, tenant).await?;
        all.into_iter().find(|queue| queue.name == *name).ok_or_else(|| Error::not_found("remote queue", name))
    }

    fn of(app: &App, tenant: &TenantId, declared: RemoteQueue, queues: &[QueueInfo], workers: &[WorkerInfo]) -> Self {
        let behind = behind(tenant, &declared.name);
        let info = queues.iter().find(|queue| Some(&queue.name) == behind.as_ref());
        let serving =
            workers.iter().filter(|worker| behind.as_ref().is_some_and(|queue| worker.queues.contains(queue)));
        let RemoteQueue { name, defaults, created_at, updated_at } = declared;
        Self {
            name,
            timeout_ms: defaults.timeout_ms,
            max_attempts: defaults.max_attempts,
            created_at,
            updated_at,
            paused: info.is_some_and(|info| info.paused),
            concurrency: info.and_then(|info| info.concurrency),
            ready: info.map_or(0, |info| info.ready),
            scheduled: info.map_or(0, |info| info.scheduled),
            running: info.map_or(0, |info| info.running),
            dead: info.map_or(0, |info| info.dead),
            workers: serving.count(),
            desired_workers: info.map_or(0, |info| desired(app, info, workers)),
        }
    }

    /// Returns its name.
    pub fn name(&self) -> &QueueName {
        &self.name
    }

    /// Returns what its jobs have unless they say otherwise.
    pub fn defaults(&self) -> RemoteDefaults {
        RemoteDefaults { timeout_ms: self.timeout_ms, max_attempts: self.max_attempts }
    }

    /// Returns what people compare at a glance: ready, running, dead jobs, workers.
    pub fn counts(&self) -> [u64; 4] {
        [self.ready, self.running, self.dead, self.workers as u64]
    }
}

/// Lists the remote queues of the tenant.
#[utoipa::path(
    get, path = "/api/v1/remote-queues", operation_id = "list_remote_queues", tag = "remote work",
    responses((status = 200, description = "Remote queues by name.", body = List<RemoteQueueView>)),
    security(("token" = ["queues:read"]))
)]
async fn list(State(app): State<App>, caller: Caller) -> Answer<List<RemoteQueueView>> {
    Ok(List::whole(RemoteQueueView::list(&app, caller.tenant()).await?))
}

/// Shows a remote queue.
#[utoipa::path(
    get, path = "/api/v1/remote-queues/{name}", operation_id = "show_remote_queue", tag = "remote work",
    params(("name" = QueueName, Path, description = "The remote queue.")),
    responses((status = 200, description = "The remote queue.", body = Data<RemoteQueueView>)),
    security(("token" = ["queues:read"]))
)]
async fn show(State(app): State<App>, caller: Caller, Path(name): Path<QueueName>) -> Answer<Data<RemoteQueueView>> {
    Ok(data(RemoteQueueView::find(&app, caller.tenant(), &name).await?))
}

/// Declares a remote queue, or declares it otherwise. A job that names it may then have any kind and any object as arguments, and is
/// run by workers that claim it over HTTP.
#[utoipa::path(
    put, path = "/api/v1/remote-queues/{name}", operation_id = "declare_remote_queue", tag = "remote work",
    params(("name" = QueueName, Path, description = "The remote queue.")),
    request_body = RemoteDefaults,
    responses((status = 200, description = "The remote queue.", body = Data<RemoteQueueView>)),
    security(("token" = ["queues:write"]))
)]
async fn declare(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<QueueName>,
    Body(defaults): Body<RemoteDefaults>,
) -> Answer<Data<RemoteQueueView>> {
    app.jobs.declare_remote_queue(&caller.actor, name.clone(), defaults).await?;
    Ok(data(RemoteQueueView::find(&app, caller.tenant(), &name).await?))
}

/// Forgets a remote queue that has no job left.
#[utoipa::path(
    delete, path = "/api/v1/remote-queues/{name}", operation_id = "remove_remote_queue", tag = "remote work",
    params(("name" = QueueName, Path, description = "The remote queue.")),
    responses((status = 204, description = "It is no more.")),
    security(("token" = ["queues:write"]))
)]
async fn remove(State(app): State<App>, caller: Caller, Path(name): Path<QueueName>) -> Answer<StatusCode> {
    app.jobs.remove_remote_queue(&caller.actor, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Pauses a remote queue; jobs that run go on.
#[utoipa::path(
    post, path = "/api/v1/remote-queues/{name}/pause", operation_id = "pause_remote_queue", tag = "remote work",
    params(("name" = QueueName, Path, description = "The remote queue.")),
    responses((status = 200, description = "It hands out nothing.", body = Data<RemoteQueueView>)),
    security(("token" = ["queues:write"]))
)]
async fn pause(State(app): State<App>, caller: Caller, Path(name): Path<QueueName>) -> Answer<Data<RemoteQueueView>> {
    app.jobs.switch_remote_queue(&caller.actor, &name, true).await?;
    Ok(data(RemoteQueueView::find(&app, caller.tenant(), &name).await?))
}

/// Lets a paused remote queue hand out jobs again.
#[utoipa::path(
    post, path = "/api/v1/remote-queues/{name}/resume", operation_id = "resume_remote_queue", tag = "remote work",
    params(("name" = QueueName, Path, description = "The remote queue.")),
    responses((status = 200, description = "It hands out jobs.", body = Data<RemoteQueueView>)),
    security(("token" = ["queues:write"]))
)]
async fn resume(State(app): State<App>, caller: Caller, Path(name): Path<QueueName>) -> Answer<Data<RemoteQueueView>> {
    app.jobs.switch_remote_queue(&caller.actor, &name, false).await?;
    Ok(data(RemoteQueueView::find(&app, caller.tenant(), &name).await?))
}

/// The limit of a remote queue.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RemoteLimit {
    /// How many jobs may run at once; null for as many as workers take. It has to be said: what is left out by mistake must not lift
    /// a limit.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(required = true, minimum = 1)]
    concurrency: Option<u32>,
}

/// Limits how many jobs of a remote queue run at once, over all its workers.
#[utoipa::path(
    put, path = "/api/v1/remote-queues/{name}/limit", operation_id = "limit_remote_queue", tag = "remote work",
    params(("name" = QueueName, Path, description = "The remote queue.")),
    request_body = RemoteLimit,
    responses((status = 200, description = "The remote queue.", body = Data<RemoteQueueView>)),
    security(("token" = ["queues:write"]))
)]
async fn limit(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<QueueName>,
    Body(RemoteLimit { concurrency }): Body<RemoteLimit>,
) -> Answer<Data<RemoteQueueView>> {
    app.jobs.limit_remote_queue(&caller.actor, &name, concurrency).await?;
    Ok(data(RemoteQueueView::find(&app, caller.tenant(), &name).await?))
}
