//! `/metrics`: what was counted, and how full the queues are.

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use deskhand_jobs::queue::{QueueInfo, WorkerInfo, figures};
use deskhand_jobs::worker::{Demand, desired_workers};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use super::{process, served};
use crate::app::App;
use crate::base::{Error, Result};
use crate::db::Db;
use crate::dispatch::ledger::{self, Backlog};
use crate::dispatch::remote::in_front;
use crate::outbound;

const QUEUE_UP: &str = "deskhand_queue_up";
const DATABASE_UP: &str = "deskhand_database_up";
const DESIRED: &str = "deskhand_desired_workers";
const READY: &str = "deskhand_up";

/// From a fast query to a long sync.
const SECONDS: [f64; 12] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0];

/// Taken for the time of an attempt until one has ended here.
const ASSUMED_ATTEMPT: Duration = Duration::from_secs(1);

/// Who scrapes has a time-out of its own.
const PATIENCE: Duration = Duration::from_secs(3);

/// Samples are folded this often, so that a process that nobody scrapes does not grow.
const UPKEEP: Duration = Duration::from_secs(10);

static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();

/// Sets up the recorder of this process; again is harmless.
///
/// # Errors
/// [`Error::Internal`] if another recorder is there already.
pub fn record() -> Result<()> {
    // One at a time: of two that come at once, the second finds the recorder of the first.
    static ONCE: Mutex<()> = Mutex::new(());
    let _turn = ONCE.lock().unwrap_or_else(PoisonError::into_inner);
    if RECORDER.get().is_some() {
        return Ok(());
    }
    let failed = |error| Error::internal("cannot set up the recorder of figures", error);
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(failed)?;
    describe();
    let _ = RECORDER.set(handle);
    Ok(())
}

/// Describes every figure there is to the recorder of this process. `docs/metrics.md` has a line for each.
pub fn describe() {
    figures::describe();
    deskhand_jobs::worker::describe_figures();
    crate::db::figures::describe();
    crate::dispatch::figures::describe();
    crate::telemetry::describe();
    outbound::figures::describe();
    crate::work_orders::figures::describe();
    process::describe();
    served::describe();
    metrics::describe_gauge!(QUEUE_UP, "1 if the queue answers; else the figures of queues are old");
    metrics::describe_gauge!(DATABASE_UP, "1 if the database answers; else the figures of the outbox are old");
    metrics::describe_gauge!(DESIRED, "Workers that the queue wants; take the maximum over all processes");
    metrics::describe_gauge!(READY, "1 while the process serves");
}

/// Folds samples until the process ends.
pub async fn upkeep() {
    let mut tick = tokio::time::interval(UPKEEP);
    loop {
        tick.tick().await;
        if let Some(recorder) = RECORDER.get() {
            recorder.run_upkeep();
        }
    }
}

/// Tells the figures, as Prometheus reads them.
#[utoipa::path(
    get, path = "/metrics", operation_id = "metrics", tag = "process",
    responses((status = 200, description = "Figures, a line each.", body = String, content_type = "text/plain")),
    security(("token" = ["metrics:read"]))
)]
pub(super) async fn show(State(app): State<App>) -> Response {
    // What was counted is told in any case: a queue that is away is when it is wanted most.
    let asked = async { tokio::try_join!(app.queue.queues(), app.queue.workers()) };
    let (answer, backlog) =
        tokio::join!(tokio::time::timeout(PATIENCE, asked), tokio::time::timeout(PATIENCE, backlog(&app.db)));
    let now = app.clock.now();
    metrics::gauge!(DATABASE_UP).set(f64::from(u8::from(matches!(backlog, Ok(Ok(_))))));
    if let Ok(Ok(backlog)) = &backlog {
        crate::dispatch::figures::set_backlog(backlog, now);
    }
    crate::dispatch::figures::set_loops(&app.rounds.all());
    app.db.tell();
    process::tell();
    let up = matches!(answer, Ok(Ok(_)));
    if let Ok(Ok((queues, workers))) = answer {
        for queue in &queues {
            figures::set(queue, now.timestamp_millis());
            let desired = desired(&app, queue, &workers);
            metrics::gauge!(DESIRED, "queue" => queue.name.to_string()).set(desired as f64);
        }
    }
    metrics::gauge!(QUEUE_UP).set(f64::from(u8::from(up)));
    metrics::gauge!(READY).set(1.0);
    let text = RECORDER.get().map(PrometheusHandle::render).unwrap_or_default();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

async fn backlog(db: &Db) -> Result<Backlog> {
    ledger::backlog(&mut db.read().await?).await
}

/// How many workers a queue wants. Who has a worker for it knows how long its jobs take and answers; another process answers for
/// queues that nobody serves, so that the first worker is started at all.
pub(super) fn desired(app: &App, queue: &QueueInfo, workers: &[WorkerInfo]) -> u64 {
    let settings = &app.config.worker;
    let drain_within = Duration::from_secs(app.config.metrics.drain_target_s);
    if in_front(&queue.name).is_some() {
        // No process serves it, so every process answers, and the one through which its jobs ended knows how long they take.
        let serving = workers.iter().filter(|worker| worker.queues.contains(&queue.name));
        let concurrency = serving.map(|worker| worker.concurrency).max().unwrap_or(settings.concurrency);
        let attempt = app.remote.mean_attempt(&queue.name).unwrap_or(ASSUMED_ATTEMPT);
        return desired_workers(&Demand::of(queue, attempt, concurrency, drain_within));
    }
    let ours = app.worker_health().filter(|_| settings.queues.names().contains(&queue.name));
    if ours.is_none() && workers.iter().any(|worker| worker.queues.contains(&queue.name)) {
        return 0;
    }
    let attempt = ours.and_then(|worker| worker.mean_attempt(&queue.name)).unwrap_or(ASSUMED_ATTEMPT);
    desired_workers(&Demand::of(queue, attempt, settings.concurrency, drain_within))
}
