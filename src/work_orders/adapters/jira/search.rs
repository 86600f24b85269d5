//! The two searches.
//!
//! Data Center counts pages by offset. A ticket that changes while we read moves to the end, all behind it move up by one, and
//! an offset would pass over the one at the border, unseen for ever. So each page asks anew from the last change that is
//! certain, and uses an offset only within tickets that changed at the same instant.
//!
//! Times go out as milliseconds since 1970: dates in JQL are read in the time zone of the account, to the minute.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use super::adapter::{Deployment, get};
use super::issue;
use crate::work_orders::adapters::judge::fetch;
use crate::work_orders::adapters::{Connection, Error, Page, PageToken};
use crate::work_orders::model::page_mark;

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
        ("jql", jql(millis(since)).as_str()),
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
    let at = match page {
        Some(token) => {
            Anchor::read(token).ok_or_else(|| Error::permanent(connection, "a page token of another list"))?
        }
        None => Anchor { from_ms: millis(since), offset: 0 },
    };
    let url = connection.url(&["rest", "api", Deployment::Server.api(), "search"]);
    let request = get(connection, url).query(&[
        ("jql", jql(at.from_ms).as_str()),
        ("fields", FIELDS),
        ("startAt", &at.offset.to_string()),
        ("maxResults", &PAGE_SIZE.to_string()),
    ]);
    let answer: ServerAnswer = fetch(connection, request).await?;
    let tickets: Vec<_> = answer.issues.iter().map(|issue| issue::read(connection, issue)).collect();
    let mark = page_mark(tickets.iter().filter_map(|ticket| ticket.as_ref().ok()?.updated_at));
    let next = at.next(tickets.len(), answer.total, mark.map(|mark| mark.timestamp_millis()));
    let next = next.map(|next| PageToken(format!("{}+{}", next.from_ms, next.offset)));
    Ok(Page { tickets, deleted: Vec::new(), next })
}

/// Where a page of Data Center begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Anchor {
    from_ms: i64,
    offset: usize,
}

impl Anchor {
    fn read(token: &PageToken) -> Option<Self> {
        let (from_ms, offset) = token.0.split_once('+')?;
        Some(Self { from_ms: from_ms.parse().ok()?, offset: offset.parse().ok()? })
    }

    fn next(self, got: usize, total: usize, mark_ms: Option<i64>) -> Option<Self> {
        if got == 0 || self.offset + got >= total {
            return None;
        }
        let moved = mark_ms.filter(|mark| *mark > self.from_ms).map(|from_ms| Self { from_ms, offset: 0 });
        Some(moved.unwrap_or(Self { offset: self.offset + got, ..self }))
    }
}

/// Cloud refuses a search without bounds, hence the year 1970 for "everything".
fn millis(since: Option<DateTime<Utc>>) -> i64 {
    since.map_or(0, |since| since.timestamp_millis().max(0))
}

fn jql(from_ms: i64) -> String {
    format!("updated >= {from_ms} ORDER BY updated ASC, key ASC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_asks_from_the_last_certain_change() {
        let at = Anchor { from_ms: 100, offset: 0 };
        for (at, got, total, mark_ms, expected) in [
            (at, 200, 500, Some(150), Some(Anchor { from_ms: 150, offset: 0 })),
            (at, 200, 500, Some(100), Some(Anchor { from_ms: 100, offset: 200 })),
            (at, 200, 500, None, Some(Anchor { from_ms: 100, offset: 200 })),
            (Anchor { offset: 200, ..at }, 200, 500, Some(100), Some(Anchor { from_ms: 100, offset: 400 })),
            (Anchor { offset: 400, ..at }, 100, 500, Some(120), None),
            (at, 0, 500, None, None),
        ] {
            assert_eq!(at.next(got, total, mark_ms), expected, "{at:?} {got} of {total}, mark {mark_ms:?}");
        }
        assert_eq!(Anchor::read(&PageToken("150+7".into())), Some(Anchor { from_ms: 150, offset: 7 }));
        assert_eq!(Anchor::read(&PageToken("x".into())), None);
    }

    #[test]
    fn a_search_is_always_bounded() {
        assert_eq!(jql(millis(None)), "updated >= 0 ORDER BY updated ASC, key ASC");
        assert_eq!(millis(DateTime::from_timestamp(-5, 0)), 0);
    }
}
