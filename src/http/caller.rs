//! Who asks: the token in `Authorization` or the session in a cookie, the tenant that it acts for, and whether it may.

use axum::extract::{FromRequestParts, MatchedPath, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::guard::{Guard, Need, documented};
use super::origin::Origin;
use super::problem::{Answer, Problem};
use super::served::CalledBy;
use crate::access::Caller;
use crate::access::sessions::{COOKIE, csrf, of_cookies};
use crate::app::App;
use crate::base::{Error, TenantId};

const TENANT: &str = "x-tenant-id";
const REASON: &str = "x-reason";
const CSRF: &str = "x-csrf-token";

/// The longest reason that is noted.
const MAX_REASON_CHARS: usize = 500;

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // Only a route that was mounted outside the guard can be without it.
        parts.extensions.get::<Self>().cloned().ok_or_else(|| unauthorized("there is no token"))
    }
}

/// Lets in who may, and notes who it is; `None` if nobody is asked.
pub(super) async fn admit(app: &App, guard: &Guard, request: &mut Request) -> Answer<Option<CalledBy>> {
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let need = route.as_deref().and_then(|route| guard.need(request.method(), route));
    if need == Some(&Need::Nothing) {
        return Ok(None);
    }
    let origin = Origin::of(request.headers(), request.extensions(), &app.config.server.trusted_proxies);
    // Without a token nobody learns what exists, so it comes before a path or a method that does not.
    let mut caller = if request.headers().contains_key(header::AUTHORIZATION) {
        of_token(app, request.headers(), &origin).await?
    } else {
        of_session(app, request.method(), request.headers()).await?
    };
    if caller.person.as_ref().is_some_and(|person| person.must_change_password)
        && !route.as_deref().is_some_and(is_ones_own)
    {
        let detail = "choose a password first: PUT /api/v1/me/password";
        return Err(Problem::new(StatusCode::FORBIDDEN, "password_change", detail));
    }
    if let Some(Need::Known(scopes)) = need {
        for scope in scopes {
            caller.must(*scope)?;
        }
    }
    caller.actor.address = origin.address;
    caller.actor.request_id = origin.request_id;
    caller.actor.reason = reason(request.headers());
    let called_by = CalledBy::of(&caller.actor);
    request.extensions_mut().insert(caller);
    Ok(Some(called_by))
}

/// Finds who shows a token.
async fn of_token(app: &App, headers: &HeaderMap, origin: &Origin) -> Answer<Caller> {
    let strangers = app.access.strangers();
    let now = app.clock.now();
    if let Some(wait) = origin.address.and_then(|address| strangers.wait(address, now)) {
        let message = "too many tokens from this address were nobody's".to_owned();
        return Err(Error::TooOften { message, wait }.into());
    }
    let token = bearer(headers)?;
    let Some(caller) = app.access.caller(token).await? else {
        if let Some(address) = origin.address {
            strangers.note(address, now);
        }
        return Err(unauthorized("the token is unknown or has ended"));
    };
    if let Some(address) = origin.address {
        strangers.forget(address);
    }
    if let Some(tenant) = headers.get(TENANT)
        && tenant.as_bytes() != caller.tenant().as_str().as_bytes()
    {
        let detail = format!("the token belongs to tenant {}: leave {TENANT} out or name that tenant", caller.tenant());
        return Err(Problem::new(StatusCode::FORBIDDEN, "tenant", detail));
    }
    Ok(caller)
}

/// Finds who comes with the cookie of a session.
async fn of_session(app: &App, method: &Method, headers: &HeaderMap) -> Answer<Caller> {
    let mut cookies = headers.get_all(header::COOKIE).iter();
    let secret = cookies.find_map(|value| of_cookies(value.to_str().ok()?, COOKIE));
    let secret = secret.ok_or_else(|| unauthorized("there is no token"))?;
    let not_a_member = || {
        let detail = format!("{TENANT} names no tenant of which you are a member: leave it out or name one of yours");
        Problem::new(StatusCode::FORBIDDEN, "tenant", detail)
    };
    let wanted = headers.get(TENANT).map(|value| value.to_str().ok().and_then(|text| TenantId::new(text).ok()));
    if wanted == Some(None) {
        return Err(not_a_member());
    }
    let visitor = app.access.visitor(secret, wanted.flatten().as_ref()).await.map_err(|error| match error {
        Error::Forbidden { .. } => not_a_member(),
        other => other.into(),
    })?;
    let visitor = visitor.ok_or_else(|| unauthorized("the session is unknown or has ended"))?;
    // The browser sends the cookie for every page, so a request that changes something has to prove that one of ours made it.
    if !method.is_safe() && headers.get(CSRF).map(HeaderValue::as_bytes) != Some(csrf(secret).as_bytes()) {
        let detail = format!("{CSRF} is missing or wrong: send the csrf_token of GET /api/v1/sessions/current");
        return Err(Problem::new(StatusCode::FORBIDDEN, "csrf", detail));
    }
    Ok(Caller::visitor(visitor))
}

/// Says whether a route is about the caller itself: that much may be done before a password is chosen.
fn is_ones_own(route: &str) -> bool {
    let route = documented(route);
    route == "/api/v1/me" || route == "/api/v1/me/password" || route.starts_with("/api/v1/sessions")
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
