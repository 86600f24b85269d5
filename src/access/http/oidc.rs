//! `/auth/oidc`: to the provider of a company's accounts, and back.

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::sessions::{cookie_of, knock};
use crate::access::oidc::Returned;
use crate::access::sessions::of_cookies;
use crate::app::App;
use crate::base::Error;
use crate::http::{Answer, Origin};

/// Keeps what the browser needs to finish.
const COOKIE: &str = "deskhand_oidc";

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(start)).routes(routes!(callback))
}

/// Sends a browser to the provider of the company's accounts.
#[utoipa::path(
    get, path = "/auth/oidc/start", operation_id = "start_oidc", tag = "sessions",
    responses((status = 303, description = "Go to the provider.")),
    security(())
)]
async fn start(State(app): State<App>, origin: Origin) -> Answer<Response> {
    let departure = app.access.depart().await?;
    away(departure.url.as_str(), &[ticket(&departure.cookie, departure.patience_s, origin.secure)?])
}

/// What the provider sends along; it may send more, which is passed over.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "it is only documented: an extractor would refuse what else a provider sends")]
struct Query {
    /// What is given out for a token, once.
    code: Option<String>,
    /// What the browser took along.
    state: Option<String>,
    /// Why the provider did not let the person in.
    error: Option<String>,
}

/// Lets in who comes back from the provider; sets the cookie of the session, and sends the browser to the console.
#[utoipa::path(
    get, path = "/auth/oidc/callback", operation_id = "finish_oidc", tag = "sessions",
    params(Query),
    responses((status = 303, description = "Signed in: go to the console.")),
    security(())
)]
async fn callback(
    State(app): State<App>,
    origin: Origin,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Answer<Response> {
    let pairs: Vec<(String, String)> =
        url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect();
    let find = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    let returned = Returned { code: find("code"), state: find("state"), error: find("error") };
    let cookie = headers.get_all(header::COOKIE).iter().find_map(|value| of_cookies(value.to_str().ok()?, COOKIE));
    let secure = origin.secure;
    let login = app.access.arrive(&returned, cookie, &knock(origin)).await?;
    away("/", &[cookie_of(&login, secure)?, ticket("", 0, secure)?])
}

fn away(to: &str, cookies: &[HeaderValue]) -> Answer<Response> {
    let mut response = StatusCode::SEE_OTHER.into_response();
    let to = HeaderValue::from_str(to).map_err(|error| Error::internal("the provider has an odd address", error))?;
    response.headers_mut().insert(header::LOCATION, to);
    for cookie in cookies {
        response.headers_mut().append(header::SET_COOKIE, cookie.clone());
    }
    Ok(response)
}

/// Writes the cookie: Lax, because the browser comes back from another site.
fn ticket(sealed: &str, age_s: i64, secure: bool) -> Answer<HeaderValue> {
    let secure = if secure { "; Secure" } else { "" };
    let text = format!("{COOKIE}={sealed}; Path=/api/v1/auth/oidc; HttpOnly; SameSite=Lax; Max-Age={age_s}{secure}");
    HeaderValue::from_str(&text).map_err(|error| Error::internal("cannot write a cookie", error).into())
}
