//! One ticket: reading and changing it. Zendesk compares the date of the last change itself.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::adapter::{get, signed};
use super::ticket::{self, Found, People};
use crate::work_orders::adapters::judge::{fetch, fetch_one, push, unmoved};
use crate::work_orders::adapters::people::{self, Candidate};
use crate::work_orders::adapters::{Connection, Error, wanted};
use crate::work_orders::model::{Change, Edit, Person, Remote};

const STATUSES: [&str; 6] = ["new", "open", "pending", "hold", "solved", "closed"];
const TYPES: [&str; 4] = ["problem", "incident", "question", "task"];
const PRIORITIES: [&str; 4] = ["low", "normal", "high", "urgent"];

#[derive(Deserialize)]
struct Answer {
    ticket: Value,
    #[serde(default)]
    users: Vec<Value>,
}

pub(super) async fn read(connection: &Connection, external_id: &str) -> Result<Option<Remote>, Error> {
    let request = get(connection, address(connection, external_id)).query(&[("include", "users")]);
    let Some(answer) = fetch_one::<Answer>(connection, request).await? else { return Ok(None) };
    match ticket::read(connection, &answer.ticket, &People::of(&answer.users)) {
        Ok(Found::There(remote)) => Ok(Some(*remote)),
        Ok(Found::Deleted(_)) => Ok(None),
        Err(error) => Err(Error::unreadable(connection, &format!("ticket {external_id}"), &error)),
    }
}

pub(super) async fn write(
    connection: &Connection,
    external_id: &str,
    change: &Change,
    seen: Option<DateTime<Utc>>,
) -> Result<Remote, Error> {
    let gone = || Error::gone(connection, format!("ticket {external_id}"));
    let is = read(connection, external_id).await?.ok_or_else(gone)?;
    unmoved(connection, is.updated_at, seen)?;
    let mut fields = fields(connection, &is, change).await?;
    if !fields.is_empty() {
        if let Some(seen) = seen {
            fields.insert("safe_update".to_owned(), json!(true));
            fields.insert("updated_stamp".to_owned(), json!(seen.to_rfc3339_opts(SecondsFormat::Secs, true)));
        }
        let request = connection.http.put(address(connection, external_id));
        push(connection, signed(connection, request).json(&json!({"ticket": fields}))).await?;
    }
    read(connection, external_id).await?.ok_or_else(gone)
}

fn address(connection: &Connection, external_id: &str) -> url::Url {
    connection.url(&["api", "v2", "tickets", &format!("{external_id}.json")])
}

async fn fields(connection: &Connection, is: &Remote, change: &Change) -> Result<Map<String, Value>, Error> {
    let mut fields = Map::new();
    let mut set = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    let mut refused = Vec::new();
    let kind = match &change.category {
        Edit::Keep => is.category.as_deref(),
        Edit::Clear => None,
        Edit::To(kind) => Some(kind.as_str()),
    };
    match &change.category {
        Edit::Keep => {}
        Edit::To(kind) if !TYPES.contains(&kind.as_str()) => {
            let message = format!("category: it is the type of a ticket, and zendesk has none called {kind}");
            return Err(Error::refused(connection, vec![message], TYPES.map(str::to_owned).to_vec()));
        }
        Edit::Clear | Edit::To(_) => drop(set("type", json!(kind))),
    }
    if let Some(tags) = &change.tags {
        set("tags", json!(tags));
    }
    if let Some(title) = &change.title {
        set("subject", json!(title));
    }
    if change.description.as_ref().is_some_and(|text| *text != is.description) {
        refused
            .push("description: it is the first comment of a ticket, and zendesk lets nobody change that".to_owned());
    }
    match &change.due_date {
        Edit::To(due) if kind == Some("task") => {
            set("due_at", json!(due.to_rfc3339_opts(SecondsFormat::Secs, true)));
        }
        // Zendesk would take it and forget it.
        Edit::To(_) => refused.push("due_date: only a ticket of the type task has one in zendesk".to_owned()),
        Edit::Clear => drop(set("due_at", Value::Null)),
        Edit::Keep => {}
    }
    if !refused.is_empty() {
        return Err(Error::refused(connection, refused, Vec::new()));
    }
    let mapping = &connection.mapping;
    if let Some(status) = change.status.filter(|wanted| mapping.status(&is.status, is.category_of_status) != *wanted) {
        let found = wanted::status(connection, &is.status, status, &STATUSES, |word| (word, ticket::category(word)))?;
        set("status", json!(found));
    }
    if let Some(priority) = change.priority.filter(|wanted| mapping.priority(&is.priority) != *wanted) {
        set("priority", json!(wanted::priority(connection, priority, &PRIORITIES, |word| word)?));
    }
    match &change.assignee {
        Edit::Keep => {}
        Edit::Clear => drop(set("assignee_id", Value::Null)),
        Edit::To(person) => drop(set("assignee_id", json!(assignee(connection, person).await?))),
    }
    Ok(fields)
}

#[derive(Deserialize)]
struct Users {
    users: Vec<User>,
}

#[derive(Deserialize)]
struct User {
    id: u64,
    #[serde(default)]
    name: String,
    email: Option<String>,
    #[serde(default)]
    role: String,
}

async fn assignee(connection: &Connection, person: &Person) -> Result<u64, Error> {
    let mut candidates = Vec::new();
    for term in people::terms(person) {
        let url = connection.url(&["api", "v2", "users", "search.json"]);
        let Users { users } = fetch(connection, get(connection, url).query(&[("query", term)])).await?;
        // Who asks for help cannot be given tickets.
        let agents = users.into_iter().filter(|user| user.role != "end-user");
        candidates.extend(agents.map(|user| Candidate {
            id: user.id.to_string(),
            name: user.name,
            login: None,
            email: user.email,
        }));
        if people::pick(connection, person, &candidates).is_ok() {
            break;
        }
    }
    let found = people::pick(connection, person, &candidates)?;
    found.id.parse().map_err(|_| Error::permanent(connection, format!("user {} has no number", found.id)))
}
