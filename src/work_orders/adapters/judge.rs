//! From an HTTP answer to "usable" or an [`Error`], the same for every adapter.

use chrono::{DateTime, Utc};
use reqwest::header::CONTENT_TYPE;
use reqwest::{RequestBuilder, StatusCode};
use serde::de::DeserializeOwned;

use super::said::messages;
use super::{Connection, Error, Seen};
use crate::outbound::{self, Answer, Hindrance, Trust, retry_after};

const MAX_EXCERPT_CHARS: usize = 200;

/// Sends a request and reads its answer as JSON.
pub(super) async fn fetch<T: DeserializeOwned>(connection: &Connection, request: RequestBuilder) -> Result<T, Error> {
    read(connection, &ask(connection, request).await?)
}

/// Sends a request and returns its answer, if that is a good one.
pub(super) async fn ask(connection: &Connection, request: RequestBuilder) -> Result<Answer, Error> {
    let answer = send(connection, request).await?;
    refusal(connection, &answer).map_or(Ok(answer), Err)
}

/// Asks for one thing and reads it as JSON; `None` if it is not there.
pub(super) async fn fetch_one<T: DeserializeOwned>(
    connection: &Connection,
    request: RequestBuilder,
) -> Result<Option<T>, Error> {
    let answer = send(connection, request).await?;
    if matches!(answer.status, StatusCode::NOT_FOUND | StatusCode::GONE) {
        return Ok(None);
    }
    if let Some(error) = refusal(connection, &answer) {
        return Err(error);
    }
    read(connection, &answer).map(Some)
}

/// Sends a change of one ticket. What is refused is a matter of this ticket, except where the credentials are.
pub(super) async fn push(connection: &Connection, request: RequestBuilder) -> Result<Answer, Error> {
    let answer = send(connection, request).await?;
    let detail = || format!("{}{}", answer.status, excerpt(&answer));
    match answer.status {
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => {
            let said = messages(&answer.body);
            let messages = if said.is_empty() { vec![detail()] } else { said };
            Err(Error::refused(connection, messages, Vec::new()))
        }
        StatusCode::FORBIDDEN => {
            let message = format!("the account may not do this to the ticket ({}): give it the right to", detail());
            Err(Error::refused(connection, vec![message], Vec::new()))
        }
        StatusCode::NOT_FOUND | StatusCode::GONE => Err(Error::gone(connection, detail())),
        StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED => Err(Error::conflict(connection, detail())),
        _ => refusal(connection, &answer).map_or(Ok(answer), Err),
    }
}

/// Says that the ticket has changed since the caller saw it, if it has.
pub(super) fn unmoved(
    connection: &Connection,
    is: Option<DateTime<Utc>>,
    seen: Option<DateTime<Utc>>,
) -> Result<(), Error> {
    match (is, seen) {
        (Some(is), Some(seen)) if is != seen => {
            Err(Error::conflict(connection, format!("it changed at {is}, the change was made for its state of {seen}")))
        }
        _ => Ok(()),
    }
}

async fn send(connection: &Connection, request: RequestBuilder) -> Result<Answer, Error> {
    connection.http.send(request, Trust::Admin).await.map_err(|error| no_answer(connection, error))
}

/// Reads an answer as JSON.
pub(super) fn read<T: DeserializeOwned>(connection: &Connection, answer: &Answer) -> Result<T, Error> {
    serde_json::from_slice(&answer.body).map_err(|source| unreadable(connection, answer, source))
}

fn no_answer(connection: &Connection, error: outbound::Error) -> Error {
    match error {
        outbound::Error::Redirected { .. } | outbound::Error::Refused { .. } | outbound::Error::Request { .. } => {
            let seen = if matches!(error, outbound::Error::Redirected { .. }) { Seen::Redirect } else { Seen::Nothing };
            Error::permanent(connection, format!("{error}; change the api_url of this system")).having(seen)
        }
        outbound::Error::Resting { wait, .. } => Error::resting(connection, error.to_string(), wait),
        outbound::Error::Asked { wait, .. } => Error::rate_limited(connection, error.to_string(), Some(wait)),
        other => {
            let seen = match &other {
                outbound::Error::Unreachable { hindrance: Hindrance::Name, .. } => Seen::UnknownName,
                outbound::Error::Unreachable { hindrance: Hindrance::Tls, .. } => Seen::NoTls,
                outbound::Error::Unreachable { .. } => Seen::NoConnection,
                outbound::Error::TimedOut { .. } => Seen::Silence,
                _ => Seen::Nothing,
            };
            let source = std::error::Error::source(&other).map(chain);
            Error::transient(connection, other.to_string(), source).having(seen)
        }
    }
}

fn chain(source: &(dyn std::error::Error + 'static)) -> crate::base::error::BoxError {
    deskhand_jobs::outcome::chain(source).into()
}

fn refusal(connection: &Connection, answer: &Answer) -> Option<Error> {
    let status = answer.status;
    if status.is_success() {
        return None;
    }
    let detail = format!("{status}{}", excerpt(answer));
    let asked = retry_after(&answer.headers, connection.clock.now());
    let error = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Error::auth(connection, detail),
        StatusCode::TOO_MANY_REQUESTS => {
            Error::rate_limited(connection, detail, asked.or_else(|| reset(connection, answer)))
        }
        StatusCode::SERVICE_UNAVAILABLE if asked.is_some() => Error::rate_limited(connection, detail, asked),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY => Error::transient(connection, detail, None),
        _ if status.is_server_error() => Error::transient(connection, detail, None),
        StatusCode::NOT_FOUND | StatusCode::GONE => {
            Error::permanent(connection, format!("{detail}: check api_url and the other settings of this system"))
        }
        _ => Error::permanent(connection, detail),
    };
    Some(error.having(Seen::Status(status.as_u16())))
}

fn unreadable(connection: &Connection, answer: &Answer, source: serde_json::Error) -> Error {
    let kind = answer.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("no content type");
    // A login page with status 200 looks like this, and so does an answer that a proxy cut.
    let detail = format!("{} with {} bytes of {kind} that is not the JSON expected", answer.status, answer.body.len());
    Error::transient(connection, detail, Some(source.into())).having(Seen::OtherAnswer)
}

/// Reads `X-RateLimit-Reset`, an instant with minutes such as `2026-11-22T10:15Z`.
fn reset(connection: &Connection, answer: &Answer) -> Option<std::time::Duration> {
    let text = answer.headers.get("x-ratelimit-reset")?.to_str().ok()?;
    let minutes = || Some(chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%MZ").ok()?.and_utc());
    let at = chrono::DateTime::parse_from_rfc3339(text).ok().map(|at| at.to_utc()).or_else(minutes)?;
    Some((at - connection.clock.now()).to_std().unwrap_or_default())
}

/// Returns the beginning of what the system said, in one line. A page of HTML says nothing.
fn excerpt(answer: &Answer) -> String {
    let text = String::from_utf8_lossy(&answer.body);
    let text = text.trim();
    if text.is_empty() || text.starts_with('<') {
        return String::new();
    }
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(MAX_EXCERPT_CHARS).collect();
    format!(", it says {line}")
}
