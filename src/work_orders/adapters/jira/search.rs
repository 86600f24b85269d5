//! The two searches.
//!
//! Data Center counts pages by offset, see [`Anchor`].
//!
//! Times go out as milliseconds since 1970: dates in JQL are read in the time zone of the account, to the minute.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use super::adapter::{Deployment, get};
use super::issue;
use crate::work_orders::adapters::anchor::Anchor;
use crate::work_orders::adapters::judge::fetch;
use crate::work_orders::adapters::{Connection, Error, Page, PageToken};

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

pub(super) async fn cloud(
    connection: &Connection,
    since: Option<DateTime<Utc>>,
    page: Option<&PageToken>,
) -> Result<Page, Error> {
    let url = connection.url(&["rest", "api", Deployment::Cloud.api(), "search", "jql"]);
    let request = get(connection, url).query(&[
        ("jql", jql(Anchor::first(since).from_ms).as_str()),
        ("fields", FIELDS),
        ("maxResults", &PAGE_SIZE.to_string()),
    ]);
    let request = match page {
        Some(token) => request.query(&[("nextPageToken", &token.0)]),
        None => request,
    };
    let answer: CloudAnswer = fetch(connection, request).await?;
    let next = answer.next_page_token.filter(|_| !answer.is_last).map(PageToken);
    let tickets = answer.issues.iter().map(|issue| issue::read(connection, issue)).collect();
    Ok(Page { tickets, deleted: Vec::new(), next })
}

#[derive(Deserialize)]
struct ServerAnswer {
    issues: Vec<Value>,
    total: usize,
}

pub(super) async fn server(
    connection: &Connection,
    since: Option<DateTime<Utc>>,
    page: Option<&PageToken>,
) -> Result<Page, Error> {
    let at = Anchor::of(connection, since, page)?;
    let url = connection.url(&["rest", "api", Deployment::Server.api(), "search"]);
    let request = get(connection, url).query(&[
        ("jql", jql(at.from_ms).as_str()),
        ("fields", FIELDS),
        ("startAt", &at.offset.to_string()),
        ("maxResults", &PAGE_SIZE.to_string()),
    ]);
    let answer: ServerAnswer = fetch(connection, request).await?;
    let tickets = answer.issues.iter().map(|issue| issue::read(connection, issue)).collect();
    Ok(at.page(tickets, answer.total))
}

fn jql(from_ms: i64) -> String {
    format!("updated >= {from_ms} ORDER BY updated ASC, key ASC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_is_always_bounded() {
        assert_eq!(jql(Anchor::first(None).from_ms), "updated >= 0 ORDER BY updated ASC, key ASC");
    }
}
