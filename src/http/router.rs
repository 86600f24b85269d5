//! All routes, and the layers around them.

use std::any::Any;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::normalize_path::NormalizePath;
use tower_http::timeout::TimeoutLayer;

use super::problem::Problem;
use super::{caller, health, metrics, request_id, routes};
use crate::app::App;
use crate::work_orders;

/// No request waits longer; what takes longer is a job.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Puts together everything that is served.
pub fn router(app: App) -> Router {
    let routes = Router::new()
        .merge(routes::jobs::router())
        .merge(routes::dead::router())
        .merge(routes::queues::router())
        .merge(routes::workers::router())
        .merge(routes::schedules::router())
        .merge(work_orders::http::router(app.work_orders.clone()));
    layered(app, routes)
}

/// Puts together what a process without the API serves: health, readiness, figures.
pub fn probes(app: App) -> Router {
    layered(app, Router::new())
}

fn layered(app: App, mut guarded: Router<App>) -> Router {
    let figures = Router::new().route("/metrics", get(metrics::show));
    let mut open = Router::new().route("/health", get(health::health)).route("/ready", get(health::ready));
    if app.config.metrics.public {
        open = open.merge(figures);
    } else {
        guarded = guarded.merge(figures);
    }
    // The fallback is guarded too: without a token nobody learns what exists.
    let guarded = guarded.fallback(request_id::nothing_here).layer(from_fn_with_state(app.clone(), caller::check));
    let limit = DefaultBodyLimit::max(app.config.server.body_limit_bytes);
    let all = guarded
        .merge(open)
        .layer(limit)
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, TIMEOUT))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(request_id::layer))
        .with_state(app);
    // Around the router, because a path is trimmed before it is matched.
    Router::new().fallback_service(NormalizePath::trim_trailing_slash(all))
}

#[allow(clippy::needless_pass_by_value, reason = "the layer calls it so")]
fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let text =
        panic.downcast_ref::<&str>().map(ToString::to_string).or_else(|| panic.downcast_ref::<String>().cloned());
    tracing::error!(panic = text.unwrap_or_default(), "a request panicked");
    let detail = "the server failed; its log says why, under the request_id";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail).into_response()
}
