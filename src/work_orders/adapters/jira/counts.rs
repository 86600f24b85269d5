//! How many issues there are on Cloud, whose lists do not tell: an endpoint of its own counts them, about.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use super::adapter::{Deployment, get, signed};
use super::search::changes;
use crate::work_orders::adapters::anchor::Anchor;
use crate::work_orders::adapters::cuts::{STEPS, Scale, borders, in_order};
use crate::work_orders::adapters::judge::fetch;
use crate::work_orders::adapters::{Connection, Error, Window};
use crate::work_orders::model::parse_instant;

/// A cut that is off by no more than this share of a part is good enough.
const SHARE: u64 = 8;

#[derive(Deserialize)]
struct Counted {
    count: u64,
}

#[derive(Deserialize)]
struct Found {
    issues: Vec<Value>,
}

/// Counts the issues of a list; `None` if the site does not tell, which is no reason not to read them.
pub(super) async fn all(connection: &Connection, window: Window) -> Option<u64> {
    count(connection, window).await.ok()
}

async fn count(connection: &Connection, window: Window) -> Result<u64, Error> {
    let url = connection.url(&["rest", "api", Deployment::Cloud.api(), "search", "approximate-count"]);
    let jql = changes(Anchor::first(window.since).from_ms, window.until);
    let request = signed(connection, connection.http.post(url)).json(&json!({"jql": jql}));
    fetch::<Counted>(connection, request).await.map(|counted| counted.count)
}

/// Cuts a list by counting what changed before an instant.
pub(super) async fn cuts(
    connection: &Connection,
    since: Option<DateTime<Utc>>,
    ahead: u64,
    parts: u64,
) -> Result<Vec<DateTime<Utc>>, Error> {
    let (first, last) = (end(connection, since, "ASC").await?, end(connection, since, "DESC").await?);
    let (Some(first), Some(last)) = (first, last) else { return Ok(Vec::new()) };
    let mut scale = Scale::new(first.timestamp_millis(), last.timestamp_millis(), ahead);
    let mut cuts = Vec::new();
    for rank in borders(ahead, parts).map(|rank| rank as u64) {
        for step in 0..STEPS {
            let Some(at_ms) = scale.guess(rank, ahead / parts / SHARE, step) else { break };
            let until = DateTime::from_timestamp_millis(at_ms);
            scale.note(at_ms, count(connection, Window { since, until }).await?);
        }
        cuts.extend(DateTime::from_timestamp_millis(scale.nearest(rank).0).filter(|cut| (first..=last).contains(cut)));
    }
    Ok(in_order(cuts))
}

/// Returns the first or the last change of a list.
async fn end(
    connection: &Connection,
    since: Option<DateTime<Utc>>,
    order: &str,
) -> Result<Option<DateTime<Utc>>, Error> {
    let url = connection.url(&["rest", "api", Deployment::Cloud.api(), "search", "jql"]);
    let jql = format!("{} ORDER BY updated {order}, key ASC", changes(Anchor::first(since).from_ms, None));
    let request = get(connection, url).query(&[("jql", jql.as_str()), ("fields", "updated"), ("maxResults", "1")]);
    let found: Found = fetch(connection, request).await?;
    Ok(found.issues.first().and_then(|issue| parse_instant(issue["fields"]["updated"].as_str()?)))
}
