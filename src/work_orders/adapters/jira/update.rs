//! One issue: reading and changing it.
//!
//! Fields change by a PUT, the status only by a transition of the workflow. There is no conditional PUT, so the date of the
//! last change is compared just before; what happens in the moment between the two is not seen.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use url::Url;

use super::adapter::{Deployment, get, signed};
use super::search::FIELDS;
use super::{document, issue};
use crate::work_orders::adapters::judge::{fetch, fetch_one, push, unmoved};
use crate::work_orders::adapters::people::{self, Candidate};
use crate::work_orders::adapters::{Connection, Error, wanted};
use crate::work_orders::model::{Category, Change, Edit, Person, Remote, Status};

pub(super) async fn read(connection: &Connection, external_id: &str) -> Result<Option<Remote>, Error> {
    let Some(found) = show(connection, external_id).await? else { return Ok(None) };
    readable(connection, external_id, &found).map(Some)
}

async fn show(connection: &Connection, external_id: &str) -> Result<Option<Value>, Error> {
    let request = get(connection, address(connection, &["issue", external_id])).query(&[("fields", FIELDS)]);
    fetch_one(connection, request).await
}

fn readable(connection: &Connection, external_id: &str, found: &Value) -> Result<Remote, Error> {
    issue::read(connection, found)
        .map_err(|error| Error::unreadable(connection, &format!("issue {external_id}"), &error))
}

pub(super) async fn write(
    connection: &Connection,
    external_id: &str,
    change: &Change,
    seen: Option<DateTime<Utc>>,
) -> Result<Remote, Error> {
    let gone = || Error::gone(connection, format!("issue {external_id}"));
    let found = show(connection, external_id).await?.ok_or_else(gone)?;
    let is = readable(connection, external_id, &found)?;
    unmoved(connection, is.updated_at, seen)?;
    // All that can be refused is asked before the first change.
    let transition = match change.status {
        Some(wanted) if connection.mapping.status(&is.status, is.category_of_status) != wanted => {
            Some(transition_to(connection, &is, wanted).await?)
        }
        _ => None,
    };
    let mut fields = fields(connection, &is, change).await?;
    if let Some(components) = components(&found, &change.category) {
        fields.insert("components".to_owned(), components);
    }
    if !fields.is_empty() {
        let request = connection.http.put(address(connection, &["issue", external_id]));
        push(connection, signed(connection, request).json(&json!({"fields": fields}))).await?;
    }
    if let Some(id) = transition {
        let request = connection.http.post(address(connection, &["issue", external_id, "transitions"]));
        push(connection, signed(connection, request).json(&json!({"transition": {"id": id}}))).await?;
    }
    read(connection, external_id).await?.ok_or_else(gone)
}

fn address(connection: &Connection, path: &[&str]) -> Url {
    let begin = ["rest", "api", Deployment::of(connection).api()];
    connection.url(&[&begin, path].concat())
}

#[derive(Deserialize)]
struct Transitions {
    transitions: Vec<Transition>,
}

#[derive(Deserialize)]
struct Transition {
    id: String,
    to: Target,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Target {
    name: String,
    status_category: Option<TargetCategory>,
}

#[derive(Deserialize)]
struct TargetCategory {
    key: String,
}

impl Target {
    fn category(&self) -> Option<Category> {
        self.status_category.as_ref().and_then(|category| issue::category(&category.key))
    }
}

async fn transition_to(connection: &Connection, is: &Remote, status: Status) -> Result<String, Error> {
    let request = get(connection, address(connection, &["issue", &is.external_id, "transitions"]));
    let Transitions { transitions } = fetch(connection, request).await?;
    let found = wanted::status(connection, &is.status, status, &transitions, |transition| {
        (&transition.to.name, transition.to.category())
    });
    found.map(|transition| transition.id.clone())
}

#[derive(Deserialize)]
struct PriorityOf {
    id: String,
    name: String,
}

/// Returns the components with another one at the place of the first, which is the category here; `None` if they stay.
fn components(issue: &Value, category: &Edit<String>) -> Option<Value> {
    let first = match category {
        Edit::Keep => return None,
        Edit::Clear => None,
        Edit::To(name) => Some(name.as_str()),
    };
    let names = issue.pointer("/fields/components").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let others =
        names.iter().skip(1).filter_map(|component| component["name"].as_str()).filter(|name| first != Some(*name));
    Some(first.into_iter().chain(others).map(|name| json!({"name": name})).collect())
}

async fn fields(connection: &Connection, is: &Remote, change: &Change) -> Result<Map<String, Value>, Error> {
    let deployment = Deployment::of(connection);
    let mut fields = Map::new();
    let mut set = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    if let Some(title) = &change.title {
        // A summary has one line.
        set("summary", json!(title.split_whitespace().collect::<Vec<_>>().join(" ")));
    }
    if let Some(description) = &change.description {
        let text = match deployment {
            Deployment::Cloud => document::from_text(description),
            Deployment::Server => json!(description),
        };
        set("description", text);
    }
    match &change.due_date {
        Edit::Keep => {}
        Edit::Clear => drop(set("duedate", Value::Null)),
        Edit::To(due) => drop(set("duedate", json!(due.date_naive().to_string()))),
    }
    if let Some(tags) = &change.tags {
        set("labels", json!(tags));
    }
    if let Some(priority) = change.priority.filter(|wanted| connection.mapping.priority(&is.priority) != *wanted) {
        let known: Vec<PriorityOf> = fetch(connection, get(connection, address(connection, &["priority"]))).await?;
        let found = wanted::priority(connection, priority, &known, |priority| &priority.name)?;
        set("priority", json!({"id": found.id}));
    }
    match &change.assignee {
        Edit::Keep => {}
        Edit::Clear => drop(set("assignee", Value::Null)),
        Edit::To(person) => drop(set("assignee", assignee(connection, is, person).await?)),
    }
    Ok(fields)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct User {
    /// On Cloud.
    account_id: Option<String>,
    /// On Data Center.
    name: Option<String>,
    #[serde(default)]
    display_name: String,
    email_address: Option<String>,
}

async fn assignee(connection: &Connection, is: &Remote, person: &Person) -> Result<Value, Error> {
    let (by, key) = match Deployment::of(connection) {
        Deployment::Cloud => ("query", "accountId"),
        Deployment::Server => ("username", "name"),
    };
    let mut candidates = Vec::new();
    for term in people::terms(person) {
        let url = address(connection, &["user", "assignable", "search"]);
        let request = get(connection, url).query(&[(by, term), ("issueKey", &is.external_key)]);
        let users: Vec<User> = fetch(connection, request).await?;
        candidates.extend(users.into_iter().filter_map(|user| {
            let id = if by == "query" { user.account_id } else { user.name.clone() }?;
            Some(Candidate { id, name: user.display_name, login: user.name, email: user.email_address })
        }));
        if let Ok(found) = people::pick(connection, person, &candidates) {
            return Ok(json!({key: found.id}));
        }
    }
    let found = people::pick(connection, person, &candidates)?;
    Ok(json!({key: found.id}))
}
