//! The list of issues, open and closed, by their last change. Redmine knows it to the second.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::Value;

use super::adapter::get;
use super::issue;
use crate::work_orders::adapters::anchor::Anchor;
use crate::work_orders::adapters::cuts::{borders, in_order};
use crate::work_orders::adapters::judge::fetch;
use crate::work_orders::adapters::{Connection, Error, Page, PageToken, Window};
use crate::work_orders::model::parse_instant;

/// Redmine gives no more.
const PAGE_SIZE: usize = 100;

#[derive(Deserialize)]
struct Answer {
    issues: Vec<Value>,
    total_count: usize,
}

pub(super) async fn changed(connection: &Connection, window: Window, page: Option<&PageToken>) -> Result<Page, Error> {
    let at = Anchor::of(connection, window.since, page)?;
    let answer = ask(connection, &at, window.until, PAGE_SIZE).await?;
    let tickets = answer.issues.iter().map(|value| issue::read(connection, value)).collect();
    Ok(at.page(tickets, answer.total_count))
}

pub(super) async fn cuts(
    connection: &Connection,
    since: Option<DateTime<Utc>>,
    ahead: u64,
    parts: u64,
) -> Result<Vec<DateTime<Utc>>, Error> {
    let mut cuts = Vec::new();
    for offset in borders(ahead, parts) {
        let answer = ask(connection, &Anchor::at(since, offset), None, 1).await?;
        cuts.extend(answer.issues.first().and_then(|issue| parse_instant(issue["updated_on"].as_str()?)));
    }
    Ok(in_order(cuts))
}

async fn ask(
    connection: &Connection,
    at: &Anchor,
    until: Option<DateTime<Utc>>,
    limit: usize,
) -> Result<Answer, Error> {
    let request = get(connection, connection.url(&["issues.json"])).query(&[
        ("status_id", "*"),
        ("updated_on", &changes(at.from(), until)),
        ("sort", "updated_on,id"),
        ("offset", &at.skip().to_string()),
        ("limit", &limit.to_string()),
    ]);
    fetch(connection, request).await
}

/// Writes which changes are wanted. Both ends of a range belong to it.
fn changes(from: DateTime<Utc>, until: Option<DateTime<Utc>>) -> String {
    let written = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
    match until {
        None => format!(">={}", written(from)),
        Some(until) => format!("><{}|{}", written(from), written(until - TimeDelta::milliseconds(1))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_ends_a_second_before_what_is_no_longer_wanted() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0).expect("in range");
        assert_eq!(changes(at(0), None), ">=1970-01-01T00:00:00Z");
        assert_eq!(changes(at(0), Some(at(60))), "><1970-01-01T00:00:00Z|1970-01-01T00:00:59Z");
    }
}
