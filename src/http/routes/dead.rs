//! `/api/v1/dead`: the dead letters, and sending them off again.

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use deskhand_jobs::fingerprint::Fingerprint;
use deskhand_jobs::{JobId, Kind, QueueName};
use serde::{Deserialize, Serialize};

use crate::access::Caller;
use crate::app::App;
use crate::base::{PageRequest, Result, TenantId};
use crate::dispatch::ledger::Filter;
use crate::dispatch::{Group, LedgerState, Place};
use crate::http::{Answer, Body, Data, JobView, List, Page, Problem, Query, data};

/// The most jobs of one redrive: what they did to whatever they call, they will do again at once.
const MOST: usize = 1_000;

pub(in crate::http) fn router() -> Router<App> {
    Router::new()
        .route("/api/v1/dead", get(list))
        .route("/api/v1/dead/groups", get(groups))
        .route("/api/v1/dead/redrive", post(redrive_some))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Narrow {
    kind: Option<Kind>,
    queue: Option<QueueName>,
    fingerprint: Option<Fingerprint>,
}

async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(narrow): Query<Narrow>,
    Page(page): Page,
) -> Answer<List<JobView>> {
    let filter = Filter { state: None, kind: narrow.kind, queue: narrow.queue, fingerprint: narrow.fingerprint };
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
    #[serde(default)]
    all: bool,
}

/// What a redrive did.
#[derive(Debug, Serialize)]
pub struct Redriven {
    /// The jobs that were dead and run again.
    pub redriven: Vec<JobId>,
    /// Whether more of the kind asked for are dead: ask again.
    pub more: bool,
}

async fn redrive_some(State(app): State<App>, caller: Caller, Body(which): Body<Which>) -> Answer<Data<Redriven>> {
    let narrows = which.kind.is_some() || which.queue.is_some() || which.fingerprint.is_some();
    let like = Filter { state: None, kind: which.kind, queue: which.queue, fingerprint: which.fingerprint };
    match which.ids {
        Some(_) if narrows || which.all => {
            Err(Problem::field("/ids", "give either ids, or kind, queue and fingerprint, or all"))
        }
        Some(ids) if ids.len() > MOST => Err(Problem::field("/ids", format!("at most {MOST} ids at once"))),
        Some(ids) => Ok(data(Redriven { redriven: app.jobs.redrive(&caller.tenant, &ids).await?, more: false })),
        None if !narrows && !which.all => Err(Problem::field(
            "",
            "say which: {\"ids\": […]}, {\"kind\": …}, {\"queue\": …}, {\"fingerprint\": …} or {\"all\": true}",
        )),
        None => Ok(data(redrive_like(&app, &caller.tenant, like).await?)),
    }
}

/// Redrives the latest dead jobs that a filter names, at most 1,000.
///
/// # Errors
/// [`Error`](crate::base::Error) of the database or the queue.
pub async fn redrive_like(app: &App, tenant: &TenantId, like: Filter) -> Result<Redriven> {
    let filter = Filter { state: Some(LedgerState::Dead), ..like };
    let size = PageRequest::MAX_SIZE;
    let (mut ids, mut total) = (Vec::new(), 0);
    for page in 1..=MOST as u64 / size {
        let found = app.jobs.list(tenant, &filter, PageRequest::new(Some(page), Some(size))?).await?;
        ids.extend(found.items.iter().map(|entry| entry.id));
        total = found.total;
        if found.next.is_none() {
            break;
        }
    }
    let more = total > ids.len() as u64;
    Ok(Redriven { redriven: app.jobs.redrive(tenant, &ids).await?, more })
}
