//! `/api/v1/dead`: the dead letters, sending them off again, and mending them before.

use axum::extract::State;
use chrono::{DateTime, Utc};
use deskhand_jobs::fingerprint::Fingerprint;
use deskhand_jobs::queue::Pace;
use deskhand_jobs::{JobId, Kind, QueueName};
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::Caller;
use crate::app::App;
use crate::dispatch::ledger::Filter;
use crate::dispatch::{Edit, Group, LedgerState, MOST_PACED, MOST_UNPACED, Place, Redriven};
use crate::http::{Answer, Body, Data, JobView, List, Page, Paging, Path, Problem, Query, data, instant};

pub(in crate::http) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(groups))
        .routes(routes!(redrive_some))
        .routes(routes!(edit))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Narrow {
    /// What they do.
    kind: Option<Kind>,
    /// Their queue.
    queue: Option<QueueName>,
    /// What they died of, as the groups show it.
    fingerprint: Option<Fingerprint>,
    /// They died at this instant or later.
    #[serde(default, deserialize_with = "instant")]
    after: Option<DateTime<Utc>>,
    /// They died before this instant.
    #[serde(default, deserialize_with = "instant")]
    before: Option<DateTime<Utc>>,
}

/// Lists the dead letters.
#[utoipa::path(
    get, path = "/api/v1/dead", operation_id = "list_dead", tag = "dead letters",
    params(Narrow, Paging),
    responses((status = 200, description = "Dead jobs, the latest first.", body = List<JobView>)),
    security(("token" = ["jobs:read"]))
)]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(narrow): Query<Narrow>,
    Page(page): Page,
) -> Answer<List<JobView>> {
    let Narrow { kind, queue, fingerprint, after, before } = narrow;
    let filter = Filter { kind, queue, fingerprint, ended_after: after, ended_before: before, ..Filter::default() };
    let dead = Some(Place::Ledger(LedgerState::Dead));
    Ok(JobView::list(&app, caller.tenant(), dead, filter, page).await?.into())
}

/// Groups the dead letters by what they died of.
#[utoipa::path(
    get, path = "/api/v1/dead/groups", operation_id = "group_dead", tag = "dead letters",
    responses((status = 200, description = "The largest groups first.", body = Data<Vec<Group>>)),
    security(("token" = ["jobs:read"]))
)]
async fn groups(State(app): State<App>, caller: Caller) -> Answer<Data<Vec<Group>>> {
    Ok(data(app.jobs.dead_groups(caller.tenant()).await?))
}

/// Which dead jobs run again, and how fast: `ids`, or any of the filters, or `all`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Which {
    /// These.
    ids: Option<Vec<JobId>>,
    /// Those that do this.
    kind: Option<Kind>,
    /// Those of this queue.
    queue: Option<QueueName>,
    /// Those that died of this.
    fingerprint: Option<Fingerprint>,
    /// Those that died at this instant or later.
    #[serde(default, deserialize_with = "instant")]
    after: Option<DateTime<Utc>>,
    /// Those that died before this instant.
    #[serde(default, deserialize_with = "instant")]
    before: Option<DateTime<Utc>>,
    /// All.
    #[serde(default)]
    all: bool,
    /// So many a second; without it and `spacing_ms` all at once.
    #[schema(minimum = 1)]
    per_second: Option<u32>,
    /// One each so many milliseconds.
    #[schema(minimum = 1)]
    spacing_ms: Option<u64>,
}

impl Which {
    fn pace(&self) -> Result<Pace, Problem> {
        match (self.per_second, self.spacing_ms) {
            (None, None) => Ok(Pace::NOW),
            (Some(0), _) => Err(Problem::field("/per_second", "at least 1 job a second, or spacing_ms for fewer")),
            (Some(jobs), None) => Ok(Pace::per_second(jobs)),
            (None, Some(0)) => Err(Problem::field("/spacing_ms", "at least 1 ms, or neither to run all at once")),
            (None, Some(spacing_ms)) => Ok(Pace::every(spacing_ms)),
            (Some(_), Some(_)) => Err(Problem::field("/spacing_ms", "give either per_second or spacing_ms")),
        }
    }
}

/// Lets dead jobs run again from the start, all at once or at a pace.
#[utoipa::path(
    post, path = "/api/v1/dead/redrive", operation_id = "redrive_dead", tag = "dead letters",
    request_body = Which,
    responses((status = 200, description = "Which of them run again.", body = Data<Redriven>)),
    security(("token" = ["jobs:write"]))
)]
async fn redrive_some(State(app): State<App>, caller: Caller, Body(which): Body<Which>) -> Answer<Data<Redriven>> {
    let pace = which.pace()?;
    let Which { ids, kind, queue, fingerprint, after, before, all, .. } = which;
    let like = Filter { kind, queue, fingerprint, ended_after: after, ended_before: before, ..Filter::default() };
    let narrows = like != Filter::default();
    let most = if pace == Pace::NOW { MOST_UNPACED } else { MOST_PACED };
    match ids {
        Some(_) if narrows || all => {
            Err(Problem::field("/ids", "give either ids, or kind, queue, fingerprint, after and before, or all"))
        }
        Some(ids) if ids.len() > most => Err(Problem::field("/ids", format!("at most {most} ids at once"))),
        Some(ids) => {
            let redriven = app.jobs.redrive_paced(&caller.actor, &ids, pace).await?;
            Ok(data(Redriven { redriven, more: false }))
        }
        None if !narrows && !all => Err(Problem::field(
            "",
            "say which: {\"ids\": […]}, {\"kind\": …}, {\"queue\": …}, {\"fingerprint\": …}, {\"before\": …} or {\"all\": true}",
        )),
        None => Ok(data(app.jobs.redrive_like(&caller.actor, like, pace).await?)),
    }
}

/// Other arguments for a dead job.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Change {
    /// The arguments, as the kind wants them.
    #[schema(value_type = Object)]
    args: Box<RawValue>,
    /// The version that was read before.
    version: Option<i64>,
}

/// Gives a dead job other arguments, with which it runs when it is redriven.
#[utoipa::path(
    patch, path = "/api/v1/dead/{id}", operation_id = "edit_dead", tag = "dead letters",
    params(("id" = JobId, Path, description = "The job.")),
    request_body = Change,
    responses((status = 200, description = "The job with its new arguments.", body = Data<JobView>)),
    security(("token" = ["jobs:write"]))
)]
async fn edit(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<JobId>,
    Body(change): Body<Change>,
) -> Answer<Data<JobView>> {
    app.jobs.edit(&caller.actor, id, Edit { args: change.args, version: change.version }).await?;
    tracing::info!(job_id = %id, token = caller.actor.name, "job {id} has other arguments");
    Ok(data(app.jobs.get(caller.tenant(), id).await?.into()))
}
