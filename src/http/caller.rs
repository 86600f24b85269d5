//! Who asks: the token in `Authorization`, and the tenant that it may act for.

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use super::problem::{Answer, Problem};
use crate::access::{Caller, service};
use crate::app::App;

const TENANT: &str = "x-tenant-id";

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // Only a route that was mounted outside the token check can be without it.
        parts.extensions.get::<Self>().cloned().ok_or_else(|| unauthorized("there is no token"))
    }
}

/// Lets in who shows a token, and notes who it is.
pub(super) async fn check(State(app): State<App>, mut request: Request, next: Next) -> Answer<Response> {
    let token = bearer(request.headers())?;
    let caller = service::authenticate(&app.db, token)
        .await?
        .ok_or_else(|| unauthorized("the token is unknown or has ended"))?;
    if let Some(tenant) = request.headers().get(TENANT)
        && tenant.as_bytes() != caller.tenant.as_str().as_bytes()
    {
        let detail = format!("the token belongs to tenant {}: leave {TENANT} out or name that tenant", caller.tenant);
        return Err(Problem::new(StatusCode::FORBIDDEN, "tenant", detail));
    }
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
}
