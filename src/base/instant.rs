//! Instants as people and programs write them: RFC 3339.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer};

/// A text that is no instant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no instant: write it with its zone, as in 2026-11-22T08:00:00Z or 2026-11-22T16:00:00+08:00")]
pub struct NoInstant(String);

impl NoInstant {
    /// Says that something, shown as it was given, is no instant.
    pub fn new(shown: impl Into<String>) -> Self {
        Self(shown.into())
    }
}

/// Reads an instant.
///
/// # Errors
/// [`NoInstant`] names the text and shows how one is written.
pub fn read(text: &str) -> Result<DateTime<Utc>, NoInstant> {
    text.trim().parse().map_err(|_| NoInstant(format!("{text:?}")))
}

/// Reads an optional instant from JSON and its like; a refusal shows how one is written.
///
/// # Errors
/// That of the reader, with the words of [`NoInstant`].
pub fn optional<'de, D: Deserializer<'de>>(reader: D) -> Result<Option<DateTime<Utc>>, D::Error> {
    let read = match Option::<serde_json::Value>::deserialize(reader)? {
        None => return Ok(None),
        Some(serde_json::Value::String(text)) => read(&text),
        Some(other) => Err(NoInstant::new(other.to_string())),
    };
    read.map(Some).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_has_a_date_a_time_and_a_zone() {
        assert_eq!(read("2026-11-22T16:00:00+08:00"), read("2026-11-22T08:00:00Z"));
        for text in ["tomorrow", "2026-13-01T00:00:00Z", "2026-11-22", "2026-11-22T08:00:00", ""] {
            let error = read(text).expect_err("no instant").to_string();
            assert!(error.contains(text) && error.contains("2026-11-22T08:00:00Z"), "{error}");
        }
    }
}
