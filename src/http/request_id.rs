//! The outermost layer: every request has an id and a place in a trace, every answer bears the id, every refusal is a [`Problem`].

use std::pin::pin;

use axum::body::to_bytes;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument;
use tracing::field::Empty;
use uuid::Uuid;

use super::extract::too_large;
use super::problem::{MEDIA_TYPE, Problem};
use super::served::{CalledBy, Served};
use super::trace;

const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id taken from a client.
const MAX_CHARS: usize = 128;

/// A refusal of axum or of a layer is a short text; more is not read.
const MAX_TEXT_BYTES: usize = 4096;

/// The id of a request, for whoever notes it.
#[derive(Debug, Clone)]
pub(super) struct RequestId(pub(super) String);

/// Gives the request its id, serves it, and finishes the answer.
pub(super) async fn layer(mut request: Request, next: Next) -> Response {
    let id = chosen(request.headers().get(&HEADER)).unwrap_or_else(|| Uuid::now_v7().to_string());
    // The route and not the path: a label for each id would fill every store of figures.
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    request.extensions_mut().insert(RequestId(id.clone()));
    let (trace, caller) = trace::of_request(request.headers());
    // Of the highest level: whatever lines a filter lets through, they say which request they are of.
    let span = tracing::error_span!(
        "request",
        request_id = id, trace_id = %trace.trace_id(), span_id = %trace.span_id(), parent_span_id = caller.map(display),
        method = %request.method(), route = route.as_str(), path = request.uri().path(), status = Empty,
        otel.kind = "server", otel.sampled = trace.is_sampled(), otel.ended = Empty
    );
    let served = Served::begin(request.method(), route);
    let mut work = pin!(trace.scope(next.run(request)).instrument(span));
    let answer = work.as_mut().await;
    let called_by = answer.extensions().get::<CalledBy>().cloned();
    let response = finish(answer, &id).await;
    let span = work.span();
    tracing::record_all!(span, status = response.status().as_u16(), otel.ended = true);
    span.in_scope(|| served.tell(response.status(), called_by.as_ref()));
    response
}

/// Takes the client's id if it can stand in a header and a log as it is.
fn chosen(given: Option<&HeaderValue>) -> Option<String> {
    let text = given?.to_str().ok()?;
    let plain = !text.is_empty() && text.len() <= MAX_CHARS && text.bytes().all(|b| b.is_ascii_graphic());
    plain.then(|| text.to_owned())
}

async fn finish(response: Response, id: &str) -> Response {
    let mut response = match problem_of(response).await {
        Ok((problem, allow)) => {
            let mut response = problem.respond(Some(id));
            if let Some(allow) = allow {
                response.headers_mut().insert(header::ALLOW, allow);
            }
            response
        }
        Err(fine) => fine,
    };
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(id) {
        headers.insert(HEADER, value);
    }
    // What is told is for who asked, as it is told.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// Turns a refusal, whoever made it, into a problem; gives anything else back.
async fn problem_of(response: Response) -> Result<(Problem, Option<HeaderValue>), Response> {
    if let Some(problem) = response.extensions().get::<Problem>() {
        return Ok((problem.clone(), None));
    }
    let status = response.status();
    let is_problem = response.headers().get(header::CONTENT_TYPE).is_some_and(|value| value == MEDIA_TYPE);
    let is_json = response.headers().get(header::CONTENT_TYPE).is_some_and(|value| value == "application/json");
    if !(status.is_client_error() || status.is_server_error()) || is_problem || is_json {
        return Err(response);
    }
    let allow = response.headers().get(header::ALLOW).cloned();
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        return Ok((too_large(), None));
    }
    let text = to_bytes(response.into_body(), MAX_TEXT_BYTES).await.unwrap_or_default();
    let mut detail = String::from_utf8_lossy(&text).into_owned();
    if detail.is_empty() {
        detail = match (status, allow.as_ref().and_then(|methods| methods.to_str().ok())) {
            (StatusCode::METHOD_NOT_ALLOWED, Some(methods)) => format!("this path answers to {methods}"),
            (StatusCode::METHOD_NOT_ALLOWED, None) => {
                "this path does not answer to this method: the Allow header lists those that it knows".to_owned()
            }
            _ => status.canonical_reason().unwrap_or("refused").to_lowercase(),
        };
    }
    Ok((Problem::of_status(status, detail), allow))
}

/// What a person is told who looks in the wrong place.
const KNOWN: &str = "the API is at /api/v1/jobs, /dead, /queues, /workers, /schedules, /work-order-systems, /work-orders and \
                     /sync-logs";

/// Answers a path that does not exist.
pub(super) async fn nothing_here(request: Request) -> Problem {
    let path = request.uri().path();
    Problem::new(StatusCode::NOT_FOUND, "not_found", format!("there is nothing at {path}: {KNOWN}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_id_of_a_client_is_taken() {
        let long = "x".repeat(129);
        for (given, taken) in [("abc-1", true), ("", false), ("a b", false), (long.as_str(), false)] {
            let value = HeaderValue::from_str(given).expect("a header");
            assert_eq!(chosen(Some(&value)).is_some(), taken, "{given:?}");
        }
        assert_eq!(chosen(None), None);
    }

    #[tokio::test]
    async fn a_bare_refusal_becomes_a_problem_with_the_id() {
        let mut bare = Response::new(axum::body::Body::empty());
        *bare.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        bare.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET,HEAD"));
        let response = finish(bare, "r1").await;
        assert_eq!(response.headers()[header::ALLOW], "GET,HEAD");
        assert_eq!(response.headers()[&HEADER], "r1");
        let body = to_bytes(response.into_body(), 10_000).await.expect("small");
        let body: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!((body["code"].as_str(), body["request_id"].as_str()), (Some("method_not_allowed"), Some("r1")));
        assert!(body["detail"].as_str().expect("text").contains("GET,HEAD"));
    }
}
