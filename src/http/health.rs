//! `/health` says that the process lives; `/ready` says whether it can do its work, and if not, why.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use deskhand_jobs::outcome;
use serde::Serialize;

use super::answer::{Data, data};
use crate::app::App;

/// A check that takes longer has failed: who asks has a time-out of its own.
const PATIENCE: Duration = Duration::from_secs(3);

/// A worker that has not talked to its queue for so long does not work.
const WORKER_CONTACT: Duration = Duration::from_secs(15);

/// The relay and the scheduler look at least every 5 s. One that has had no good round for so long does not work.
const LOOP_CONTACT: Duration = Duration::from_secs(30);

/// What is reported of one part.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Check {
    /// The part.
    pub name: &'static str,
    /// Whether it does its work.
    pub ok: bool,
    /// What was found.
    pub detail: String,
}

/// What is reported of the process.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Readiness {
    /// Whether every part does its work.
    pub ready: bool,
    /// The parts.
    pub checks: Vec<Check>,
}

/// A process that lives.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct Alive {
    /// Always `ok`.
    status: &'static str,
    /// Of the program.
    version: &'static str,
}

/// Says that the process lives.
#[utoipa::path(
    get, path = "/health", operation_id = "health", tag = "process",
    responses((status = 200, description = "It lives.", body = Data<Alive>)),
    security(())
)]
pub(super) async fn health() -> Data<Alive> {
    data(Alive { status: "ok", version: env!("CARGO_PKG_VERSION") })
}

/// Says whether the process can do its work, part by part.
#[utoipa::path(
    get, path = "/ready", operation_id = "ready", tag = "process",
    responses(
        (status = 200, description = "Every part does its work.", body = Data<Readiness>),
        (status = 503, description = "A part does not; `checks` says which and why.", body = Data<Readiness>),
    ),
    security(())
)]
pub(super) async fn ready(State(app): State<App>) -> Response {
    let readiness = readiness(&app).await;
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, axum::Json(data(readiness))).into_response()
}

/// Asks every part of the process.
pub async fn readiness(app: &App) -> Readiness {
    let database = async { app.db.check().await.map(|found| format!("{}, {}", found.version, found.durability)) };
    let queue = async { app.queue.check().await.map(|found| format!("{}, {}", found.version, found.durability)) };
    let (database, queue) = tokio::join!(answered("database", database), answered("queue", queue));
    let mut checks = vec![database, queue];
    if let Some(worker) = app.worker_health() {
        let ok = worker.is_ready(WORKER_CONTACT);
        let contact = worker.last_contact().map_or_else(
            || "has not reached the queue yet".to_owned(),
            |age| format!("last talked to the queue {} s ago", age.as_secs()),
        );
        checks.push(Check { name: "worker", ok, detail: format!("{} jobs run; {contact}", worker.running()) });
    }
    for (name, age) in app.rounds.ages() {
        let ok = age.is_some_and(|age| age <= LOOP_CONTACT);
        let detail = age.map_or_else(
            || "has not had a good round yet".to_owned(),
            |age| format!("the last good round was {} s ago", age.as_secs()),
        );
        checks.push(Check { name, ok, detail });
    }
    Readiness { ready: checks.iter().all(|check| check.ok), checks }
}

async fn answered<E: std::error::Error + 'static>(
    name: &'static str,
    check: impl Future<Output = Result<String, E>>,
) -> Check {
    match tokio::time::timeout(PATIENCE, check).await {
        Ok(Ok(detail)) => Check { name, ok: true, detail },
        Ok(Err(error)) => Check { name, ok: false, detail: outcome::chain(&error) },
        Err(_) => Check { name, ok: false, detail: format!("no answer within {} s", PATIENCE.as_secs()) },
    }
}
