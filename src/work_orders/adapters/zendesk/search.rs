//! The incremental export: every ticket that changed since a time, then by cursor to the end of the stream.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use super::adapter::get;
use super::ticket::{self, Found, People};
use crate::work_orders::adapters::judge::fetch;
use crate::work_orders::adapters::{Connection, Error, Page, PageToken};

/// The export is asked at most ten times in a minute, so pages are large.
const PAGE_SIZE: usize = 500;

/// A time in the last minute is refused. Times come from tickets, so what is a minute older never is, whatever our clock says.
const LAG_S: i64 = 60;

#[derive(Deserialize)]
struct Answer {
    tickets: Vec<Value>,
    #[serde(default)]
    users: Vec<Value>,
    after_cursor: Option<String>,
    end_of_stream: bool,
}

pub(super) async fn changed(
    connection: &Connection,
    since: Option<DateTime<Utc>>,
    page: Option<&PageToken>,
) -> Result<Page, Error> {
    let url = connection.url(&["api", "v2", "incremental", "tickets", "cursor.json"]);
    let request = get(connection, url).query(&[("include", "users"), ("per_page", &PAGE_SIZE.to_string())]);
    let request = match page {
        Some(token) => request.query(&[("cursor", &token.0)]),
        None => request.query(&[("start_time", start_s(since))]),
    };
    let answer: Answer = fetch(connection, request).await?;
    let people = People::of(&answer.users);
    let (mut tickets, mut deleted) = (Vec::with_capacity(answer.tickets.len()), Vec::new());
    for value in &answer.tickets {
        match ticket::read(connection, value, &people) {
            Ok(Found::There(remote)) => tickets.push(Ok(*remote)),
            Ok(Found::Deleted(gone)) => deleted.push(gone),
            Err(error) => tickets.push(Err(error)),
        }
    }
    let next = answer.after_cursor.filter(|_| !answer.end_of_stream).map(PageToken);
    Ok(Page { tickets, deleted, next, ahead: None })
}

fn start_s(since: Option<DateTime<Utc>>) -> i64 {
    since.map_or(0, |since| (since.timestamp() - LAG_S).max(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_export_begins_a_minute_earlier() {
        assert_eq!(start_s(None), 0);
        assert_eq!(start_s(DateTime::from_timestamp(1_000, 999_000_000)), 940);
        assert_eq!(start_s(DateTime::from_timestamp(5, 0)), 0);
    }
}
