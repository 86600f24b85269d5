//! Keys and what becomes of a request that bears one. Pure.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::audit;
use crate::base::{ClaimId, Error, Result};

/// How long an answer is kept.
pub(super) const KEPT: TimeDelta = TimeDelta::hours(24);

/// How long a request may take, at most; longer than the doors wait.
pub(super) const LOCK: TimeDelta = TimeDelta::seconds(60);

/// The longest key.
const MAX_CHARS: usize = 200;

/// A client's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key(String);

impl Key {
    /// Checks the text and wraps it.
    ///
    /// # Errors
    /// [`Error::Invalid`] unless it is 1 to 200 visible ASCII characters.
    pub fn new(text: &str) -> Result<Self> {
        if (1..=MAX_CHARS).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) {
            return Ok(Self(text.to_owned()));
        }
        Err(Error::field(
            "/Idempotency-Key",
            format!("an Idempotency-Key has 1 to {MAX_CHARS} visible ASCII characters"),
        ))
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An answer as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The media type of the body.
    pub media_type: String,
    /// The body.
    pub body: String,
}

/// What becomes of a request that bears a key.
#[derive(Debug, Clone)]
pub enum Held {
    /// It is to be carried out under this claim.
    Mine(ClaimId),
    /// It was carried out before, and answered so.
    Answered(Answer),
    /// Another one with the key is being carried out; come again then.
    Busy(Duration),
    /// The key belongs to a different request.
    Reused,
    /// It was carried out before, as this entry tells, and the answer was lost.
    Lost(Box<audit::Entry>),
}

/// What a row says of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing any more: it is too old.
    Expired,
    Reused,
    Answered,
    Busy(Duration),
    /// Whoever carried it out has gone.
    Abandoned,
}

/// What is read of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State<'a> {
    pub(super) hash: &'a str,
    pub(super) is_answered: bool,
    pub(super) created_at: DateTime<Utc>,
    pub(super) locked_until: DateTime<Utc>,
}

/// Decides on a request whose key is there already.
pub(super) fn decide(row: &State<'_>, hash: &str, now: DateTime<Utc>) -> Found {
    if row.created_at + KEPT <= now {
        return Found::Expired;
    }
    if row.hash != hash {
        return Found::Reused;
    }
    if row.is_answered {
        return Found::Answered;
    }
    match (row.locked_until - now).to_std() {
        Ok(wait) if !wait.is_zero() => Found::Busy(wait),
        _ => Found::Abandoned,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_checked() {
        for (text, fits) in [("a", true), ("", false), ("a b", false), ("ä", false), (&"x".repeat(201), false)] {
            assert_eq!(Key::new(text).is_ok(), fits, "{text:?}");
        }
    }

    #[test]
    fn a_request_whose_key_is_there_is_judged() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(9);
        let row = State { hash: "h", is_answered: false, created_at: now, locked_until: now + LOCK };
        for (row, hash, at, found) in [
            (row.clone(), "h", now, Found::Busy(Duration::from_mins(1))),
            (row.clone(), "h", now + LOCK, Found::Abandoned),
            (row.clone(), "other", now, Found::Reused),
            (State { is_answered: true, ..row.clone() }, "h", now, Found::Answered),
            (State { is_answered: true, ..row.clone() }, "other", now, Found::Reused),
            (State { is_answered: true, ..row }, "other", now + KEPT, Found::Expired),
        ] {
            assert_eq!(decide(&row, hash, at), found);
        }
    }
}
