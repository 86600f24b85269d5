//! Reading the dates that ticket systems write.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};

use crate::base::clock::cut;

/// Offsets without a colon, as Jira writes them, are not RFC 3339.
const WITH_OFFSET: [&str; 2] = ["%Y-%m-%dT%H:%M:%S%.f%z", "%Y-%m-%d %H:%M:%S%.f%z"];
const DATE: &str = "%Y-%m-%d";

/// Reads an instant: RFC 3339, an offset without a colon, or a date, which is its midnight in UTC. `None` if it is neither: a
/// time without an offset could be anything.
pub fn parse_instant(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    let exact = || WITH_OFFSET.iter().find_map(|form| DateTime::parse_from_str(text, form).ok());
    let date = || Some(NaiveDate::parse_from_str(text, DATE).ok()?.and_time(NaiveTime::MIN).and_utc());
    DateTime::parse_from_rfc3339(text).ok().or_else(exact).map(|at| at.to_utc()).or_else(date).map(cut)
}

/// Reads a day on which something is due: a bare date lasts until its last second, so that nothing is late on its own day.
pub fn end_of_day(text: &str) -> Option<DateTime<Utc>> {
    match NaiveDate::parse_from_str(text.trim(), DATE) {
        Ok(date) => date.and_hms_opt(23, 59, 59).map(|at| at.and_utc()),
        Err(_) => parse_instant(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_of_ticket_systems_are_read() {
        for (text, expected) in [
            ("2024-01-01T10:00:00.000+0800", Some("2024-01-01T02:00:00Z")),
            ("2026-11-21T17:18:53.123-0500", Some("2026-11-21T22:18:53.123Z")),
            ("2024-01-01T10:00:00+08:00", Some("2024-01-01T02:00:00Z")),
            ("2024-01-01T10:00:00Z", Some("2024-01-01T10:00:00Z")),
            ("2024-01-01 10:00:00+0000", Some("2024-01-01T10:00:00Z")),
            (" 2024-02-29 ", Some("2024-02-29T00:00:00Z")),
            ("2024-01-01T10:00:00", None),
            ("2023-02-29", None),
            ("yesterday", None),
            ("", None),
        ] {
            let expected = expected.map(|text| DateTime::parse_from_rfc3339(text).expect("a date").to_utc());
            assert_eq!(parse_instant(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_due_day_lasts_until_its_end() {
        assert_eq!(end_of_day("2024-05-01"), parse_instant("2024-05-01T23:59:59Z"));
        assert_eq!(end_of_day("2024-05-01T08:00:00Z"), parse_instant("2024-05-01T08:00:00Z"));
        assert_eq!(end_of_day("soon"), None);
    }
}
