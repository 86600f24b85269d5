//! What goes wrong with an answer of a ticket system, the same for every fake.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use serde_json::Value;
use tokio::sync::Notify;

/// What goes wrong with one request.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// 429 with this `Retry-After`.
    RateLimited(String),
    /// This status, with nothing.
    Status(u16),
    /// A body that breaks off in the middle.
    Truncated,
    /// A whole body that is half the JSON.
    HalfJson,
    /// A login page with status 200.
    LoginPage,
    /// A right answer, late.
    Slow(Duration),
    /// The first ticket comes without its id.
    BrokenIssue,
    /// The page token of this very request again, or of the one before.
    SameToken,
    /// It never comes; whoever waits for the request is told that it is there.
    Never(Arc<Notify>),
}

impl Fault {
    /// What comes instead of an answer, if this fault asks nothing of it; a slow one waits here.
    pub(crate) async fn instead(&self) -> Option<Response> {
        match self {
            Self::RateLimited(retry_after) => {
                Some((StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, retry_after.clone())]).into_response())
            }
            Self::Status(status) => Some(StatusCode::from_u16(*status).expect("a status").into_response()),
            Self::LoginPage => Some(Html("<html>Log in</html>").into_response()),
            Self::Slow(delay) => {
                tokio::time::sleep(*delay).await;
                None
            }
            Self::Never(asked) => {
                asked.notify_one();
                std::future::pending().await
            }
            _ => None,
        }
    }

    /// Says whether it can befall a request of any kind: it comes instead of an answer.
    pub(crate) fn fits_any_request(&self) -> bool {
        matches!(self, Self::RateLimited(_) | Self::Status(_) | Self::LoginPage | Self::Never(_))
    }

    /// Sends an answer, or what a fault leaves of it.
    pub(crate) fn deliver(fault: Option<&Self>, answer: &Value) -> Response {
        let text = answer.to_string();
        let half = text[..text.len() / 2].to_owned();
        let json = [(header::CONTENT_TYPE, "application/json")];
        match fault {
            Some(Self::Truncated) => {
                let cut: [Result<String, std::io::Error>; 2] = [Ok(half), Err(std::io::Error::other("cut"))];
                Body::from_stream(futures_util::stream::iter(cut)).into_response()
            }
            Some(Self::HalfJson) => (json, half).into_response(),
            _ => (json, text).into_response(),
        }
    }
}
