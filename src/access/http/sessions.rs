//! `/sessions`: signing in with a browser, and ending sessions.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::sessions::{COOKIE, Knock, Login, Session, SessionId, csrf, of_cookies};
use crate::access::{Caller, Scopes};
use crate::app::App;
use crate::base::{Secret, TenantId, UserId};
use crate::http::{Answer, Body, Data, List, Origin, Path, Problem, data};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, sign_in)).routes(routes!(current, sign_out)).routes(routes!(end))
}

/// Who signs in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SignIn)]
struct Sent {
    /// The name of the user.
    name: String,
    /// The password.
    password: Secret,
    /// The tenant in which the session acts; the user's own if left out.
    tenant: Option<TenantId>,
}

/// Somebody who signed in.
#[derive(Serialize, ToSchema)]
struct SignedIn {
    /// The session.
    session_id: SessionId,
    /// The person.
    user_id: UserId,
    /// What it signed in with.
    name: String,
    /// The tenant in which it acts.
    tenant: TenantId,
    /// What it may do there.
    scopes: Scopes,
    /// What to send as X-CSRF-Token with every request that changes something.
    csrf_token: String,
    /// Whether it has to choose a password before anything else.
    must_change_password: bool,
}

/// A session as its person sees it.
#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
struct View {
    /// The session.
    id: SessionId,
    /// Where it acts unless a request says otherwise.
    tenant_id: TenantId,
    /// From where it was begun.
    address: Option<String>,
    /// What the browser calls itself.
    user_agent: Option<String>,
    /// When it was begun.
    created_at: DateTime<Utc>,
    /// When it was last used, to the minute.
    last_used_at: DateTime<Utc>,
    /// When it ends in any case.
    expires_at: DateTime<Utc>,
    /// Whether this request came with it.
    current: bool,
}

impl View {
    fn of(session: Session, current: SessionId) -> Self {
        Self {
            current: session.id == current,
            id: session.id,
            tenant_id: session.tenant_id,
            address: session.address,
            user_agent: session.user_agent,
            created_at: session.created_at,
            last_used_at: session.last_used_at,
            expires_at: session.expires_at,
        }
    }
}

/// Signs in with a name and a password; the answer sets the cookie of the session.
#[utoipa::path(
    post, path = "/sessions", operation_id = "sign_in", tag = "sessions",
    request_body = Sent,
    responses((status = 200, description = "Signed in.", body = Data<SignedIn>)),
    security(())
)]
async fn sign_in(State(app): State<App>, origin: Origin, Body(sent): Body<Sent>) -> Answer<Response> {
    let secure = origin.secure;
    let login = app.access.login(&sent.name, &sent.password, sent.tenant.as_ref(), &knock(origin)).await?;
    let login = login.ok_or_else(|| {
        // One sentence for both, or a stranger would learn who has an account.
        let detail = "there is no user with this name and password: check both, or ask an administrator";
        Problem::new(StatusCode::UNAUTHORIZED, "sign_in", detail)
    })?;
    welcome(&app, &login, secure).await
}

/// Tells the use cases from where a request comes.
pub(super) fn knock(origin: Origin) -> Knock {
    Knock { address: origin.address, user_agent: origin.user_agent, request_id: origin.request_id }
}

/// Answers somebody who has just signed in.
async fn welcome(app: &App, login: &Login, secure: bool) -> Answer<Response> {
    let secret = login.secret.expose();
    let visitor = app.access.visitor(secret, None).await?.ok_or_else(gone)?;
    let told = SignedIn {
        session_id: visitor.session,
        user_id: visitor.user.id,
        name: visitor.user.name,
        tenant: visitor.tenant,
        scopes: visitor.effective.scopes,
        csrf_token: csrf(secret),
        must_change_password: visitor.user.must_change_password,
    };
    let mut response = data(told).into_response();
    response.headers_mut().insert(header::SET_COOKIE, cookie_of(login, secure)?);
    Ok(response)
}

/// Shows the session of this request.
#[utoipa::path(
    get, path = "/sessions/current", operation_id = "show_current_session", tag = "sessions",
    responses((status = 200, description = "The session.", body = Data<SignedIn>)),
    security(("token" = []))
)]
async fn current(State(app): State<App>, caller: Caller, headers: HeaderMap) -> Answer<Data<SignedIn>> {
    let person = caller.must_be_person()?;
    let secret = secret_of(&headers).ok_or_else(gone)?;
    let user = app.access.user(caller.tenant(), person.user).await?;
    Ok(data(SignedIn {
        session_id: person.session,
        user_id: user.id,
        name: user.name,
        tenant: caller.tenant().clone(),
        scopes: caller.scopes.clone(),
        csrf_token: csrf(secret),
        must_change_password: user.must_change_password,
    }))
}

/// Signs out.
#[utoipa::path(
    delete, path = "/sessions/current", operation_id = "sign_out", tag = "sessions",
    responses((status = 204, description = "The session has ended.")),
    security(("token" = []))
)]
async fn sign_out(State(app): State<App>, caller: Caller, origin: Origin) -> Answer<Response> {
    let person = caller.must_be_person()?;
    app.access.end_session(&caller, person.user, person.session).await?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    response.headers_mut().insert(header::SET_COOKIE, set_cookie("", 0, origin.secure)?);
    Ok(response)
}

/// Lists the caller's own sessions.
#[utoipa::path(
    get, path = "/sessions", operation_id = "list_sessions", tag = "sessions",
    responses((status = 200, description = "Sessions, the latest first.", body = List<View>)),
    security(("token" = []))
)]
async fn list(State(app): State<App>, caller: Caller) -> Answer<List<View>> {
    let person = caller.must_be_person()?;
    let sessions = app.access.sessions(person.user).await?;
    Ok(List::whole(sessions.into_iter().map(|session| View::of(session, person.session)).collect()))
}

/// Ends one of the caller's own sessions.
#[utoipa::path(
    delete, path = "/sessions/{id}", operation_id = "end_session", tag = "sessions",
    params(("id" = SessionId, Path, description = "The session.")),
    responses((status = 204, description = "The session has ended.")),
    security(("token" = []))
)]
async fn end(State(app): State<App>, caller: Caller, Path(id): Path<SessionId>) -> Answer<StatusCode> {
    let person = caller.person.as_ref().ok_or_else(|| crate::base::Error::not_found("session", &id))?;
    app.access.end_session(&caller, person.user, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn secret_of(headers: &HeaderMap) -> Option<&str> {
    headers.get_all(header::COOKIE).iter().find_map(|value| of_cookies(value.to_str().ok()?, COOKIE))
}

fn gone() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "the session has ended: sign in again")
}

/// Writes the cookie of somebody who has just signed in.
pub(super) fn cookie_of(login: &Login, secure: bool) -> Answer<HeaderValue> {
    let age_s = (login.session.expires_at - login.session.created_at).num_seconds();
    set_cookie(login.secret.expose(), age_s, secure)
}

/// Writes the cookie: no script reads it, and other sites do not send it along with what changes something.
fn set_cookie(secret: &str, age_s: i64, secure: bool) -> Answer<HeaderValue> {
    let secure = if secure { "; Secure" } else { "" };
    let text = format!("{COOKIE}={secret}; Path=/; HttpOnly; SameSite=Lax; Max-Age={age_s}{secure}");
    HeaderValue::from_str(&text).map_err(|error| crate::base::Error::internal("cannot write a cookie", error).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_is_for_the_browser_only_and_secure_where_that_is_possible() {
        let cookie = |secure| set_cookie("s", 60, secure).expect("a header").to_str().expect("text").to_owned();
        assert_eq!(cookie(false), "deskhand_session=s; Path=/; HttpOnly; SameSite=Lax; Max-Age=60");
        assert!(cookie(true).ends_with("; Secure"));
    }
}
