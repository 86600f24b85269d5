//! `/api/v1/dead`: the dead letters, sending them off again, and mending them before.

use axum::Router;
use axum::extract::State;
use axum::routing::{get, patch, post};
use chrono::{DateTime, Utc};
use deskhand_jobs::fingerprint::Fingerprint;
use deskhand_jobs::queue::Pace;
use deskhand_jobs::{JobId, Kind, QueueName};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::access::Caller;
use crate::app::App;
use crate::dispatch::ledger::Filter;
use crate::dispatch::{Edit, Group, LedgerState, MOST_PACED, MOST_UNPACED, Place, Redriven};
use crate::http::{Answer, Body, Data, JobView, List, Page, Path, Problem, Query, data, instant};

pub(in crate::http) fn router() -> Router<App> {
    Router::new()
        .route("/api/v1/dead", get(list))
        .route("/api/v1/dead/groups", get(groups))
        .route("/api/v1/dead/redrive", post(redrive_some))
        .route("/api/v1/dead/{id}", patch(edit))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Narrow {
    kind: Option<Kind>,
    queue: Option<QueueName>,
    fingerprint: Option<Fingerprint>,
    #[serde(default, deserialize_with = "instant")]
    after: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "instant")]
    before: Option<DateTime<Utc>>,
}

async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(narrow): Query<Narrow>,
    Page(page): Page,
) -> Answer<List<JobView>> {
    let Narrow { kind, queue, fingerprint, after, before } = narrow;
    let filter = Filter { state: None, kind, queue, fingerprint, ended_after: after, ended_before: before };
    let dead = Some(Place::Ledger(LedgerState::Dead));
    Ok(JobView::list(&app, &caller.tenant, dead, filter, page).await?.into())
}

async fn groups(State(app): State<App>, caller: Caller) -> Answer<Data<Vec<Group>>> {
    Ok(data(app.jobs.dead_groups(&caller.tenant).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    ids: Option<Vec<JobId>>,
    kind: Option<Kind>,
    queue: Option<QueueName>,
    fingerprint: Option<Fingerprint>,
    #[serde(default, deserialize_with = "instant")]
    after: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "instant")]
    before: Option<DateTime<Utc>>,
    #[serde(default)]
    all: bool,
    per_second: Option<u32>,
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

async fn redrive_some(State(app): State<App>, caller: Caller, Body(which): Body<Which>) -> Answer<Data<Redriven>> {
    let pace = which.pace()?;
    let Which { ids, kind, queue, fingerprint, after, before, all, .. } = which;
    let like = Filter { state: None, kind, queue, fingerprint, ended_after: after, ended_before: before };
    let narrows = like != Filter::default();
    let most = if pace == Pace::NOW { MOST_UNPACED } else { MOST_PACED };
    match ids {
        Some(_) if narrows || all => {
            Err(Problem::field("/ids", "give either ids, or kind, queue, fingerprint, after and before, or all"))
        }
        Some(ids) if ids.len() > most => Err(Problem::field("/ids", format!("at most {most} ids at once"))),
        Some(ids) => {
            let redriven = app.jobs.redrive_paced(&caller.tenant, &ids, pace).await?;
            Ok(data(Redriven { redriven, more: false }))
        }
        None if !narrows && !all => Err(Problem::field(
            "",
            "say which: {\"ids\": […]}, {\"kind\": …}, {\"queue\": …}, {\"fingerprint\": …}, {\"before\": …} or {\"all\": true}",
        )),
        None => Ok(data(app.jobs.redrive_like(&caller.tenant, like, pace).await?)),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    args: Box<RawValue>,
    version: Option<i64>,
}

async fn edit(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<JobId>,
    Body(change): Body<Change>,
) -> Answer<Data<JobView>> {
    app.jobs.edit(&caller.tenant, id, Edit { args: change.args, version: change.version }).await?;
    tracing::info!(job_id = %id, token = caller.name, "job {id} has other arguments");
    Ok(data(app.jobs.get(&caller.tenant, id).await?.into()))
}
