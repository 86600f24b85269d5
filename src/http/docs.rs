//! `/openapi.json` and `/docs`: the document of the API, and a page to read and try it. Nothing is fetched from elsewhere.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use utoipa::openapi::OpenApi;
use utoipa_swagger_ui::Config;

use super::problem::{Answer, Problem};

/// The page runs its own scripts and talks to its own server.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:";

/// Returns the routes; they show no data, so that everybody may read them.
pub(super) fn router<S: Clone + Send + Sync + 'static>(document: OpenApi) -> Router<S> {
    let document = Arc::new(document);
    let page: Arc<Config<'static>> = Arc::new(Config::from("../openapi.json").persist_authorization(true));
    Router::new()
        .route("/openapi.json", get(async move || axum::Json(document).into_response()))
        .route("/docs", get(async || Redirect::to("docs/index.html")))
        .route("/docs/{*file}", get(async move |Path(file): Path<String>| show(&file, page)))
}

fn show(file: &str, page: Arc<Config<'static>>) -> Answer<Response> {
    let missing =
        || Problem::new(StatusCode::NOT_FOUND, "not_found", format!("there is nothing at /docs/{file}: see /docs"));
    let found = utoipa_swagger_ui::serve(file, page).ok().flatten().ok_or_else(missing)?;
    let mut response = ([(header::CONTENT_TYPE, found.content_type)], found.bytes.into_owned()).into_response();
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, header::HeaderValue::from_static(POLICY));
    response.headers_mut().insert(header::X_FRAME_OPTIONS, header::HeaderValue::from_static("DENY"));
    if found.gzpipped {
        response.headers_mut().insert(header::CONTENT_ENCODING, header::HeaderValue::from_static("gzip"));
    }
    Ok(response)
}
