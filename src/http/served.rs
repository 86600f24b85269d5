//! What is told of each request: one line of the log, and figures.

use std::time::Instant;

use axum::http::{Method, StatusCode};

use crate::base::Actor;

const SECONDS: &str = "deskhand_http_request_seconds";
const IN_FLIGHT: &str = "deskhand_http_requests_in_flight";

const AUTH_FAILURES: &str = "deskhand_http_auth_failures_total";

/// Describes the figures to the recorder of this process.
pub(super) fn describe() {
    metrics::describe_histogram!(SECONDS, metrics::Unit::Seconds, "Requests, by method, route and status");
    metrics::describe_gauge!(IN_FLIGHT, "Requests that are being answered");
    metrics::describe_counter!(AUTH_FAILURES, "Requests of callers who are not known (401) or may not do it (403)");
}

/// What programs ask all day long: worth a line only for who looks for it.
const PROBES: [&str; 3] = ["/health", "/ready", "/metrics"];

/// Who called, on its way out beside the answer.
#[derive(Debug, Clone)]
pub(super) struct CalledBy(String);

impl CalledBy {
    /// Names who called.
    pub(super) fn of(actor: &Actor) -> Self {
        Self(actor.to_string())
    }
}

/// A request that is being served.
#[derive(Debug)]
pub(super) struct Served {
    method: Method,
    route: String,
    began: Instant,
}

impl Served {
    /// Notes that a request begins.
    pub(super) fn begin(method: &Method, route: String) -> Self {
        metrics::gauge!(IN_FLIGHT).increment(1.0);
        Self { method: method.clone(), route, began: Instant::now() }
    }

    /// Tells how it was answered.
    pub(super) fn tell(self, status: StatusCode, called_by: Option<&CalledBy>) {
        let (status, took) = (status.as_u16(), self.began.elapsed());
        let (method, route) = (self.method.as_str(), self.route.as_str());
        let duration_ms = took.as_micros() as f64 / 1_000.0;
        let caller = called_by.map_or("nobody", |CalledBy(who)| who.as_str());
        if matches!(status, 401 | 403) {
            metrics::counter!(AUTH_FAILURES, "status" => status.to_string()).increment(1);
        }
        if PROBES.contains(&route) {
            tracing::debug!(target: TARGET, method, route, status, duration_ms, caller, "{method} {route} {status}");
        } else {
            tracing::info!(target: TARGET, method, route, status, duration_ms, caller, "{method} {route} {status}");
        }
        let labels = [("method", method.to_owned()), ("route", route.to_owned()), ("status", status.to_string())];
        metrics::histogram!(SECONDS, &labels).record(took.as_secs_f64());
    }
}

/// A name of its own, so that a filter can leave these lines out: `deskhand::http::access=off`.
const TARGET: &str = "deskhand::http::access";

impl Drop for Served {
    fn drop(&mut self) {
        // Also of a request whose client has gone.
        metrics::gauge!(IN_FLIGHT).decrement(1.0);
    }
}
