//! `/health` says that the process lives; `/ready` says whether it can do its work, and if not, why.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, SecondsFormat, Utc};
use deskhand_jobs::outcome;
use serde::Serialize;

use super::answer::{Data, data};
use crate::app::App;
use crate::dispatch::Going;

/// A check that takes longer has failed: who asks has a time-out of its own.
const PATIENCE: Duration = Duration::from_secs(3);

/// A worker that has not talked to its queue for so long does not work.
const WORKER_CONTACT: Duration = Duration::from_secs(15);

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
    checks.extend(app.rounds.all().iter().map(|going| of_loop(going, app.clock.now())));
    Readiness { ready: checks.iter().all(|check| check.ok), checks }
}

/// Says how a loop goes, what hinders it and since when.
fn of_loop(going: &Going, now: DateTime<Utc>) -> Check {
    let since = |age: Duration| (now - age).to_rfc3339_opts(SecondsFormat::Secs, true);
    let last = match going.last_good {
        Some(age) => format!("the last good round was {} s ago", age.as_secs()),
        None if going.ok => format!("waits for its first round since {}", since(going.begun)),
        None => format!("has not had a good round since it began at {}", since(going.begun)),
    };
    let detail = match (&going.trouble, going.last_good.filter(|_| !going.ok)) {
        (Some((age, why)), _) => format!("{last}; fails since {}: {why}", since(*age)),
        (None, Some(age)) => format!("{last}; stands still since {}, without an error", since(age)),
        (None, None) => last,
    };
    Check { name: going.name, ok: going.ok, detail }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_says_what_hinders_it_and_since_when() {
        let now = "2026-03-01T12:00:00Z".parse().expect("an instant");
        let ago = Duration::from_secs;
        let trouble = || Some((ago(50), "no database".to_owned()));
        for (ok, last_good, trouble, expected) in [
            (true, Some(ago(3)), None, "the last good round was 3 s ago"),
            (false, Some(ago(60)), None, "60 s ago; stands still since 2026-03-01T11:59:00Z, without an error"),
            (false, Some(ago(60)), trouble(), "60 s ago; fails since 2026-03-01T11:59:10Z: no database"),
            (false, None, None, "has not had a good round since it began at 2026-03-01T11:50:00Z"),
            (true, None, None, "waits for its first round since 2026-03-01T11:50:00Z"),
        ] {
            let check = of_loop(&Going { name: "relay", ok, last_good, begun: ago(600), trouble }, now);
            assert!(check.detail.ends_with(expected) && check.ok == ok, "{}", check.detail);
        }
    }
}
