//! The two searches.
//!
//! Data Center counts pages by offset, see [`Anchor`].
//!
//! Times go out as milliseconds since 1970: dates in JQL are read in the time zone of the account, to the minute.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use super::adapter::{Deployment, get};
use super::{counts, issue};
use crate::work_orders::adapters::anchor::Anchor;
use crate::work_orders::adapters::cuts::{borders, in_order};
use crate::work_orders::adapters::judge::fetch;
use crate::work_orders::adapters::{Connection, Error, Page, PageToken, Window};
use crate::work_orders::model::parse_instant;

const PAGE_SIZE: usize = 200;

/// Everything that is kept; without a list, Cloud returns ids alone.
pub(super) const FIELDS: &str = "summary,description,status,priority,reporter,assignee,created,updated,duedate,resolutiondate,\
                      labels,components,issuetype";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CloudAnswer {
    issues: Vec<Value>,
    next_page_token: Option<String>,
    #[serde(default)]
    is_last: bool,
}

pub(super) async fn cloud(connection: &Connection, window: Window, page: Option<&PageToken>) -> Result<Page, Error> {
    let url = connection.url(&["rest", "api", Deployment::Cloud.api(), "search", "jql"]);
    let request = get(connection, url).query(&[
        ("jql", jql(Anchor::first(window.since).from_ms, window.until).as_str()),
        ("fields", FIELDS),
        ("maxResults", &PAGE_SIZE.to_string()),
    ]);
    let request = match page {
        Some(token) => request.query(&[("nextPageToken", &token.0)]),
        None => request,
    };
    let answer: CloudAnswer = fetch(connection, request).await?;
    let next = answer.next_page_token.filter(|_| !answer.is_last).map(PageToken);
    let tickets: Vec<_> = answer.issues.iter().map(|issue| issue::read(connection, issue)).collect();
    // Asked once in a list, and only of one that goes on.
    let total = match (page, &next) {
        (None, Some(_)) => counts::all(connection, window).await,
        _ => None,
    };
    let ahead = total.map(|total| total.saturating_sub(tickets.len() as u64));
    Ok(Page { tickets, deleted: Vec::new(), next, ahead })
}

#[derive(Deserialize)]
struct ServerAnswer {
    issues: Vec<Value>,
    total: usize,
}

pub(super) async fn server(connection: &Connection, window: Window, page: Option<&PageToken>) -> Result<Page, Error> {
    let at = Anchor::of(connection, window.since, page)?;
    let answer = ask(connection, &at, window.until, (FIELDS, PAGE_SIZE)).await?;
    let tickets = answer.issues.iter().map(|issue| issue::read(connection, issue)).collect();
    Ok(at.page(tickets, answer.total))
}

pub(super) async fn server_cuts(
    connection: &Connection,
    since: Option<DateTime<Utc>>,
    ahead: u64,
    parts: u64,
) -> Result<Vec<DateTime<Utc>>, Error> {
    let mut cuts = Vec::new();
    for offset in borders(ahead, parts) {
        let answer = ask(connection, &Anchor::at(since, offset), None, ("updated", 1)).await?;
        cuts.extend(answer.issues.first().and_then(|issue| parse_instant(issue["fields"]["updated"].as_str()?)));
    }
    Ok(in_order(cuts))
}

async fn ask(
    connection: &Connection,
    at: &Anchor,
    until: Option<DateTime<Utc>>,
    (fields, limit): (&str, usize),
) -> Result<ServerAnswer, Error> {
    let url = connection.url(&["rest", "api", Deployment::Server.api(), "search"]);
    let request = get(connection, url).query(&[
        ("jql", jql(at.from_ms, until).as_str()),
        ("fields", fields),
        ("startAt", &at.skip().to_string()),
        ("maxResults", &limit.to_string()),
    ]);
    fetch(connection, request).await
}

fn jql(from_ms: i64, until: Option<DateTime<Utc>>) -> String {
    format!("{} ORDER BY updated ASC, key ASC", changes(from_ms, until))
}

/// Writes which changes are wanted.
pub(super) fn changes(from_ms: i64, until: Option<DateTime<Utc>>) -> String {
    let until = until.map(|until| format!(" AND updated < {}", until.timestamp_millis())).unwrap_or_default();
    format!("updated >= {from_ms}{until}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_is_always_bounded() {
        assert_eq!(jql(Anchor::first(None).from_ms, None), "updated >= 0 ORDER BY updated ASC, key ASC");
        let until = DateTime::from_timestamp_millis(70);
        assert_eq!(jql(5, until), "updated >= 5 AND updated < 70 ORDER BY updated ASC, key ASC");
    }
}
