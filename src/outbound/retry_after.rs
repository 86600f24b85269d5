//! The `Retry-After` header: seconds or a date.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{HeaderMap, RETRY_AFTER};

/// Returns how long the other side asks us to wait; zero for a date that has passed, `None` if it does not say.
///
/// A date is measured against the `Date` of the same answer where there is one, because their clock wrote both.
pub fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(text).ok()?;
    let theirs =
        headers.get(reqwest::header::DATE).and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
    let from = theirs.unwrap_or_else(|| now.into());
    Some(until.duration_since(from).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_are_understood() {
        let now = DateTime::parse_from_rfc3339("2026-11-22T10:00:00Z").expect("a date").to_utc();
        for (header, date, seconds) in [
            ("7", None, Some(7)),
            (" 0 ", None, Some(0)),
            ("Sun, 22 Nov 2026 10:01:30 GMT", None, Some(90)),
            ("Sun, 22 Nov 2026 10:01:30 GMT", Some("Sun, 22 Nov 2026 10:01:00 GMT"), Some(30)),
            ("Sun, 22 Nov 2026 09:00:00 GMT", None, Some(0)),
            ("-5", None, None),
            ("soon", None, None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, header.parse().expect("a header"));
            if let Some(date) = date {
                headers.insert(reqwest::header::DATE, date.parse().expect("a header"));
            }
            assert_eq!(retry_after(&headers, now), seconds.map(Duration::from_secs), "{header:?} {date:?}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
