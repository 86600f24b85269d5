//! All routes, and the layers around them.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};
use tower_http::normalize_path::NormalizePath;
use tower_http::timeout::TimeoutLayer;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::gate::{self, Gate};
use super::guard::Guard;
use super::problem::Problem;
use super::rate::Rates;
use super::{docs, health, metrics, openapi, request_id, routes};
use crate::app::App;
use crate::{access, work_orders};

/// No request waits longer; what takes longer is a job.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How long a browser may remember what it may call.
const PREFLIGHT: Duration = Duration::from_hours(1);

/// Puts together everything that is served.
pub fn router(app: App) -> Router {
    let (routes, document) = routes().split_for_parts();
    // As the first users know them.
    let (unversioned, _) = OpenApiRouter::new().nest("/api", work_orders::http::router()).split_for_parts();
    layered(app, routes.merge(unversioned), document)
}

/// Puts together what a process without the API serves: health, readiness, figures.
pub fn probes(app: App) -> Router {
    let (routes, document) = of_process().split_for_parts();
    layered(app, routes, document)
}

/// Returns the document of the API.
pub fn document() -> OpenApi {
    let mut document = routes().split_for_parts().1;
    openapi::complete(&mut document);
    document
}

fn of_process() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(openapi::common())
        .routes(routes!(health::health))
        .routes(routes!(health::ready))
        .routes(routes!(metrics::show))
}

fn routes() -> OpenApiRouter<App> {
    of_process()
        .merge(routes::jobs::router())
        .merge(routes::bulk::router())
        .merge(routes::dead::router())
        .merge(routes::queues::router())
        .merge(routes::workers::router())
        .merge(routes::remote_queues::router())
        .merge(routes::work::router())
        .merge(routes::schedules::router())
        .merge(routes::schedule_edit::router())
        .merge(routes::freezes::router())
        .merge(routes::audit::router())
        .nest("/api/v1", access::http::router())
        .nest("/api/v1", work_orders::http::router())
}

fn layered(app: App, routes: Router<App>, mut document: OpenApi) -> Router {
    let mut guard = Guard::of(&document).expect("every operation says who may call it: a test mounts them all");
    if app.config.metrics.public {
        guard = guard.open(Method::GET, "/metrics");
    }
    openapi::complete(&mut document);
    let server = &app.config.server;
    let rates = Rates::new(server.requests_per_second, server.burst);
    let cors = cors(&server.cors_origins);
    let limit = DefaultBodyLimit::max(app.config.server.body_limit_bytes);
    let all = routes
        // The fallback is guarded too: without a token nobody learns what exists.
        .fallback(request_id::nothing_here)
        .layer(from_fn_with_state(Arc::new(Gate { app: app.clone(), guard, rates }), gate::layer))
        .merge(docs::router(document))
        // As one, the outermost first: the router copies what is within a layer for each request.
        .layer((
            CompressionLayer::new(),
            cors,
            from_fn(request_id::layer),
            CatchPanicLayer::custom(panicked),
            TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, TIMEOUT),
            limit,
        ))
        .with_state(app);
    // Around the router, because a path is trimmed before it is matched.
    Router::new().fallback_service(NormalizePath::trim_trailing_slash(all))
}

/// Lets pages of these origins call the API from a browser; without any, none.
fn cors(origins: &[String]) -> CorsLayer {
    if origins.is_empty() {
        return CorsLayer::new();
    }
    let origins: Vec<HeaderValue> = origins.iter().filter_map(|origin| origin.parse().ok()).collect();
    let own = ["x-tenant-id", "x-request-id", "x-reason", "x-csrf-token", "idempotency-key", "traceparent"]
        .map(HeaderName::from_static);
    let told = ["x-request-id", "idempotency-replayed"].map(HeaderName::from_static);
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers(
            [header::AUTHORIZATION, header::CONTENT_TYPE, header::IF_MATCH].into_iter().chain(own).collect::<Vec<_>>(),
        )
        .expose_headers([header::RETRY_AFTER].into_iter().chain(told).collect::<Vec<_>>())
        .allow_credentials(true)
        .max_age(PREFLIGHT)
}

#[allow(clippy::needless_pass_by_value, reason = "the layer calls it so")]
fn panicked(_: Box<dyn Any + Send>) -> Response {
    // The panic itself is in the log already, where it happened.
    let detail = "the server failed; its log says why, under the request_id";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail).into_response()
}
