//! The list of issues, open and closed, by their last change. Redmine knows it to the second.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Deserialize;
use serde_json::Value;

use super::adapter::get;
use super::issue;
use crate::work_orders::adapters::anchor::Anchor;
use crate::work_orders::adapters::judge::fetch;
use crate::work_orders::adapters::{Connection, Error, Page, PageToken};

/// Redmine gives no more.
const PAGE_SIZE: usize = 100;

#[derive(Deserialize)]
struct Answer {
    issues: Vec<Value>,
    total_count: usize,
}

pub(super) async fn changed(
    connection: &Connection,
    since: Option<DateTime<Utc>>,
    page: Option<&PageToken>,
) -> Result<Page, Error> {
    let at = Anchor::of(connection, since, page)?;
    let request = get(connection, connection.url(&["issues.json"])).query(&[
        ("status_id", "*"),
        ("updated_on", &format!(">={}", at.from().to_rfc3339_opts(SecondsFormat::Secs, true))),
        ("sort", "updated_on,id"),
        ("offset", &at.offset.to_string()),
        ("limit", &PAGE_SIZE.to_string()),
    ]);
    let answer: Answer = fetch(connection, request).await?;
    let tickets = answer.issues.iter().map(|value| issue::read(connection, value)).collect();
    Ok(at.page(tickets, answer.total_count))
}
