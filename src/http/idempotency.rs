//! The `Idempotency-Key` of requests that create: the second one gets the answer of the first.

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use deskhand_jobs::outcome::chain;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::extract::too_large;
use super::guard::Guard;
use super::openapi::IDEMPOTENCY_KEY;
use super::problem::{Answer, Problem};
use crate::access::Caller;
use crate::app::App;
use crate::audit;
use crate::base::{Actor, ClaimId};
use crate::idempotency::{self, Held, Key, service};

/// Says of an answer that it was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The largest answer that is kept. Larger ones are given, and are lost for who asks again.
const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// Carries a request out; with a key, once.
pub(super) async fn carry_out(app: &App, guard: &Guard, request: Request, next: Next) -> Answer<Response> {
    let (Some(key), Some(caller)) = (key(&request, guard)?, request.extensions().get::<Caller>().cloned()) else {
        return Ok(next.run(request).await);
    };
    let (mut parts, body) = request.into_parts();
    let body = to_bytes(body, app.config.server.body_limit_bytes).await.map_err(|_| too_large())?;
    let asked = parts.uri.path_and_query().map_or("", |asked| asked.as_str());
    let hash = hash(asked, &body);
    let claim = match service::hold(&app.db, &app.vault, &caller.actor, &key, &hash).await? {
        Held::Mine(claim) => claim,
        Held::Answered(answer) => return Ok(replay(answer)),
        Held::Busy(wait) => {
            let detail = "the request with this Idempotency-Key is being carried out: ask again for its answer";
            return Err(Problem::new(StatusCode::CONFLICT, "idempotency_in_progress", detail).come_again(wait));
        }
        Held::Reused => {
            let detail = "the Idempotency-Key belongs to a different request: use another key";
            return Err(Problem::new(StatusCode::CONFLICT, "idempotency_key_reused", detail));
        }
        Held::Lost(entry) => return Err(lost(&entry)),
    };
    if let Some(caller) = parts.extensions.get_mut::<Caller>() {
        caller.actor.claim = Some(claim);
    }
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    Ok(keep(app, &caller.actor, claim, response).await)
}

/// Reads the key, if the operation takes one.
fn key(request: &Request, guard: &Guard) -> Answer<Option<Key>> {
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    if *request.method() != Method::POST || !guard.takes_key(route) {
        return Ok(None);
    }
    let mut given = request.headers().get_all(IDEMPOTENCY_KEY).iter();
    let Some(first) = given.next() else { return Ok(None) };
    if given.next().is_some() {
        return Err(Problem::field("/Idempotency-Key", "there is more than one Idempotency-Key: send one"));
    }
    Ok(Some(Key::new(first.to_str().unwrap_or_default())?))
}

/// Tells different requests apart; the order of fields and white space do not matter.
fn hash(asked: &str, body: &Bytes) -> String {
    let body = match serde_json::from_slice::<Value>(body) {
        Ok(json) => json.to_string().into_bytes(),
        Err(_) => body.to_vec(),
    };
    let mut digest = Sha256::new();
    digest.update((asked.len() as u64).to_be_bytes());
    digest.update(asked);
    digest.update(body);
    URL_SAFE_NO_PAD.encode(digest.finalize())
}

fn replay(answer: idempotency::Answer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let headers = [(header::CONTENT_TYPE, answer.media_type), (REPLAYED, "true".to_owned())];
    (status, headers, answer.body).into_response()
}

fn lost(entry: &audit::Entry) -> Problem {
    let detail = format!(
        "the request was carried out before, and its answer was lost: it did {} on {} {} (entry {} of the audit record); \
         read that instead of asking again",
        entry.action, entry.object_kind, entry.object_id, entry.seq
    );
    Problem::new(StatusCode::CONFLICT, "idempotency_answer_lost", detail)
}

/// Keeps the answer of a request that did something, gives the key of one that did not back.
async fn keep(app: &App, actor: &Actor, claim: ClaimId, response: Response) -> Response {
    if !response.status().is_success() {
        if let Err(error) = service::release(&app.db, &actor.tenant, claim).await {
            tracing::warn!(error = chain(&error), "an idempotency key stays locked for a minute");
        }
        return response;
    }
    let (parts, body) = response.into_parts();
    let Ok(body) = to_bytes(body, MAX_ANSWER_BYTES).await else {
        return Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the answer is too large").into_response();
    };
    let media_type = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let answer = idempotency::Answer {
        status: parts.status.as_u16(),
        media_type: media_type.to_owned(),
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    if let Err(error) = service::keep(&app.db, &app.vault, &actor.tenant, claim, &answer).await {
        tracing::warn!(error = chain(&error), "an answer could not be kept: who asks again is told what was done");
    }
    let mut response = Response::from_parts(parts, Body::from(body));
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("false"));
    response
}
