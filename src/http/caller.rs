//! Who asks: the token in `Authorization`, the tenant that it acts for, and whether it may.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, FromRequestParts, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use super::guard::{Guard, Need};
use super::problem::{Answer, Problem};
use super::request_id::RequestId;
use crate::access::{Caller, service};
use crate::app::App;

const TENANT: &str = "x-tenant-id";
const REASON: &str = "x-reason";

/// The longest reason that is noted.
const MAX_REASON_CHARS: usize = 500;

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // Only a route that was mounted outside the guard can be without it.
        parts.extensions.get::<Self>().cloned().ok_or_else(|| unauthorized("there is no token"))
    }
}

/// Lets in who may, and notes who it is.
pub(super) async fn check(
    State((app, guard)): State<(App, Guard)>,
    mut request: Request,
    next: Next,
) -> Answer<Response> {
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let need = route.as_deref().and_then(|route| guard.need(request.method(), route));
    if need == Some(&Need::Nothing) {
        return Ok(next.run(request).await);
    }
    // Without a token nobody learns what exists, so it comes before a path or a method that does not.
    let token = bearer(request.headers())?;
    let mut caller = service::authenticate(&app.db, token)
        .await?
        .ok_or_else(|| unauthorized("the token is unknown or has ended"))?;
    if let Some(tenant) = request.headers().get(TENANT)
        && tenant.as_bytes() != caller.tenant().as_str().as_bytes()
    {
        let detail = format!("the token belongs to tenant {}: leave {TENANT} out or name that tenant", caller.tenant());
        return Err(Problem::new(StatusCode::FORBIDDEN, "tenant", detail));
    }
    if let Some(Need::Known(scopes)) = need {
        for scope in scopes {
            caller.must(*scope)?;
        }
    }
    let extensions = request.extensions();
    caller.actor.address = extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    caller.actor.request_id = extensions.get::<RequestId>().map(|id| id.0.clone());
    caller.actor.reason = reason(request.headers());
    request.extensions_mut().insert(caller);
    Ok(next.run(request).await)
}

fn bearer(headers: &HeaderMap) -> Answer<&str> {
    let given = headers.get(header::AUTHORIZATION).ok_or_else(|| unauthorized("there is no token"))?;
    let (scheme, token) = given
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .ok_or_else(|| unauthorized("the Authorization header cannot be read"))?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(unauthorized("the Authorization header is not of the scheme Bearer"));
    }
    Ok(token.trim())
}

/// Reads why something is changed; people write it in their own language, so any UTF-8 is taken.
fn reason(headers: &HeaderMap) -> Option<String> {
    let text = std::str::from_utf8(headers.get(REASON)?.as_bytes()).ok()?.trim();
    (!text.is_empty()).then(|| text.chars().take(MAX_REASON_CHARS).collect())
}

fn unauthorized(what: &str) -> Problem {
    let cure =
        "send Authorization: Bearer TOKEN, with the token that the first start printed or `deskhand token create` made";
    Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", format!("{what}: {cure}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bearer_token_is_read() {
        for (header, token) in [
            (Some("Bearer abc"), Some("abc")),
            (Some("bearer  abc "), Some("abc")),
            (Some("Basic abc"), None),
            (Some("abc"), None),
            (None, None),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(header) = header {
                headers.insert(header::AUTHORIZATION, header.parse().expect("a header"));
            }
            assert_eq!(bearer(&headers).ok(), token, "{header:?}");
        }
    }

    #[test]
    fn a_reason_is_read_in_any_language_and_cut() {
        let long = "x".repeat(MAX_REASON_CHARS + 9);
        for (given, read) in [("放假", Some("放假")), ("  ", None), (long.as_str(), Some(&long[..MAX_REASON_CHARS]))]
        {
            let mut headers = HeaderMap::new();
            headers.insert(REASON, header::HeaderValue::from_bytes(given.as_bytes()).expect("a header"));
            assert_eq!(reason(&headers).as_deref(), read, "{given:?}");
        }
    }
}
