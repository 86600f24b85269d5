//! Every refusal as one shape: RFC 9457 problem+json with a stable `code`.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use deskhand_jobs::{Rejected, outcome};
use serde::Serialize;

use crate::base::{Error, FieldError};

pub(super) const MEDIA_TYPE: &str = "application/problem+json";

/// When a client may come again after something we depend on did not answer.
const COME_AGAIN: Duration = Duration::from_secs(5);

/// A refusal. Handlers return it as the error of their result; a service's [`Error`] turns into it.
#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    errors: Vec<FieldError>,
    retry_after: Option<Duration>,
}

/// Shorthand for what a handler returns.
pub type Answer<T> = Result<T, Problem>;

/// Why a request was refused.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Problem)]
pub(super) struct ProblemBody<'a> {
    /// Always `about:blank`: the code says what happened.
    r#type: &'static str,
    /// The words of the status.
    title: &'a str,
    /// The status.
    status: u16,
    /// The stable name of the case.
    code: &'a str,
    /// What is wrong and what to do.
    detail: &'a str,
    /// The id under which the log has the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    /// The fields that are wrong.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError],
}

impl Problem {
    /// Refuses with a status, a stable code and a sentence that names the cure.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), errors: Vec::new(), retry_after: None }
    }

    /// Refuses a request of which these fields are wrong.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        Self::from(Error::Invalid(errors))
    }

    /// Refuses a request of which one field is wrong.
    pub fn field(pointer: &str, message: impl Into<String>) -> Self {
        Self::from(Error::field(pointer, message))
    }

    /// Says when the same request may be sent again.
    #[must_use]
    pub(super) fn come_again(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }

    /// Says the status with words of HTTP, for refusals that come without any of their own.
    pub(super) fn of_status(status: StatusCode, detail: String) -> Self {
        let code = match status {
            StatusCode::NOT_FOUND => "not_found",
            StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed",
            StatusCode::PAYLOAD_TOO_LARGE => "too_large",
            StatusCode::UNSUPPORTED_MEDIA_TYPE => "media_type",
            status if status.is_client_error() => "invalid",
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => "unavailable",
            _ => "internal",
        };
        Self::new(status, code, detail)
    }

    /// Writes the answer, with the id of the request if it is known.
    pub(super) fn respond(&self, request_id: Option<&str>) -> Response {
        let body = ProblemBody {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            code: self.code,
            detail: &self.detail,
            request_id,
            errors: &self.errors,
        };
        let mut response = (self.status, axum::Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(wait) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs_f64().ceil().max(1.0) as u64));
        }
        response
    }
}

impl IntoResponse for Problem {
    /// The problem goes along as an extension, so that the outermost layer can write the id of the request into it.
    fn into_response(self) -> Response {
        let mut response = self.respond(None);
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let code = error.code();
        let status = match &error {
            Error::Invalid(_) => StatusCode::BAD_REQUEST,
            Error::NotFound { .. } => StatusCode::NOT_FOUND,
            Error::Conflict { .. } => StatusCode::CONFLICT,
            Error::Forbidden { .. } => StatusCode::FORBIDDEN,
            Error::TooOften { .. } => StatusCode::TOO_MANY_REQUESTS,
            Error::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Error::Database(_) | Error::Internal { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let mut problem = Self::new(status, code, error.to_string());
        match error {
            Error::Invalid(errors) => problem.errors = errors,
            Error::TooOften { wait, .. } => {
                // Whole seconds, and never too few.
                let wait = Duration::from_secs(wait.as_secs() + u64::from(wait.subsec_nanos() > 0));
                problem.detail = format!("{}: try again in {} s", problem.detail, wait.as_secs());
                problem.retry_after = Some(wait);
            }
            Error::Unavailable { .. } => {
                tracing::warn!(error = outcome::chain(&error), "a request could not be served");
                problem.detail.push_str("; try again later");
                problem.retry_after = Some(COME_AGAIN);
            }
            Error::Database(_) | Error::Internal { .. } => {
                tracing::error!(error = outcome::chain(&error), "a request failed");
                // The cause may name tables and paths: it is for the log, under the id of the request.
                "the server failed; its log says why, under the request_id".clone_into(&mut problem.detail);
            }
            _ => {}
        }
        problem
    }
}

impl From<deskhand_jobs::queue::Error> for Problem {
    fn from(error: deskhand_jobs::queue::Error) -> Self {
        Self::from(Error::from(error))
    }
}

impl From<Rejected> for Problem {
    fn from(rejected: Rejected) -> Self {
        let (code, pointer) = match &rejected {
            Rejected::UnknownKind { .. } => ("unknown_kind", "/kind"),
            Rejected::Args { .. } => ("invalid", "/args"),
            Rejected::Envelope(_) => ("too_large", "/args"),
        };
        let message = rejected.to_string();
        let errors = vec![FieldError { pointer: pointer.to_owned(), message: message.clone() }];
        Self { errors, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, message) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn body(response: Response) -> serde_json::Value {
        let bytes = axum::body::to_bytes(response.into_body(), 10_000).await.expect("a small body");
        serde_json::from_slice(&bytes).expect("JSON")
    }

    fn too_often() -> Error {
        Error::TooOften { message: "too many".to_owned(), wait: Duration::from_millis(1_001) }
    }

    #[test]
    fn who_waits_as_long_as_told_has_waited_enough() {
        assert_eq!(Problem::from(too_often()).into_response().headers()[header::RETRY_AFTER], "2");
    }

    #[tokio::test]
    async fn an_error_of_a_service_keeps_its_code_and_its_fields() {
        for (error, status, code) in [
            (Error::field("/name", "it is empty"), 400, "invalid"),
            (Error::not_found("job", &7), 404, "not_found"),
            (Error::conflict("version_moved", "read again"), 409, "version_moved"),
            (Error::Forbidden { message: "no".to_owned() }, 403, "forbidden"),
            (too_often(), 429, "too_often"),
            (Error::unavailable("the database", "down"), 503, "unavailable"),
            (Error::internal("secret path", "cause"), 500, "internal"),
        ] {
            let response = Problem::from(error).into_response();
            assert_eq!(response.status(), status);
            assert_eq!(response.headers()[header::CONTENT_TYPE], MEDIA_TYPE);
            assert_eq!(response.headers().contains_key(header::RETRY_AFTER), matches!(status, 429 | 503));
            let body = body(response).await;
            assert_eq!((body["code"].as_str(), body["status"].as_u64()), (Some(code), Some(status.into())));
            assert!(!body["detail"].as_str().expect("text").contains("secret path"));
        }
        let body = body(Problem::field("/name", "it is empty").into_response()).await;
        assert_eq!(body["errors"], serde_json::json!([{"pointer": "/name", "message": "it is empty"}]));
    }
}
