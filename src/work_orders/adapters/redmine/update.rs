//! One issue: reading and changing it.
//!
//! There is no conditional PUT, so the date of the last change is compared just before. Redmine answers 204 also where it has
//! left out what the account may not set, a step that the workflow does not have among it: so what came of it is compared.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use url::Url;

use super::adapter::{get, signed};
use super::issue;
use crate::work_orders::adapters::fields::text;
use crate::work_orders::adapters::judge::{fetch, fetch_one, push, unmoved};
use crate::work_orders::adapters::people::{self, Candidate};
use crate::work_orders::adapters::{Connection, Error, wanted};
use crate::work_orders::model::{Change, Edit, Person, Remote, RowError};

const MEMBERS_PER_PAGE: usize = 100;
const MAX_MEMBERS: usize = 2_000;

#[derive(Deserialize)]
struct Answer {
    issue: Value,
}

pub(super) async fn read(connection: &Connection, external_id: &str) -> Result<Option<Remote>, Error> {
    let Some(found) = show(connection, external_id).await? else { return Ok(None) };
    issue::read(connection, &found).map(Some).map_err(|error| unreadable(connection, external_id, &error))
}

fn unreadable(connection: &Connection, external_id: &str, error: &RowError) -> Error {
    Error::unreadable(connection, &format!("issue {external_id}"), error)
}

async fn show(connection: &Connection, external_id: &str) -> Result<Option<Value>, Error> {
    let request = get(connection, address(connection, external_id)).query(&[("include", "allowed_statuses")]);
    Ok(fetch_one::<Answer>(connection, request).await?.map(|answer| answer.issue))
}

fn address(connection: &Connection, external_id: &str) -> Url {
    connection.url(&["issues", &format!("{external_id}.json")])
}

pub(super) async fn write(
    connection: &Connection,
    external_id: &str,
    change: &Change,
    seen: Option<DateTime<Utc>>,
) -> Result<Remote, Error> {
    let gone = || Error::gone(connection, format!("issue {external_id}"));
    let readable =
        |value: &Value| issue::read(connection, value).map_err(|error| unreadable(connection, external_id, &error));
    let found = show(connection, external_id).await?.ok_or_else(gone)?;
    let is = readable(&found)?;
    unmoved(connection, is.updated_at, seen)?;
    let fields = fields(connection, &found, &is, change).await?;
    if fields.is_empty() {
        return Ok(is);
    }
    let request = connection.http.put(address(connection, external_id));
    push(connection, signed(connection, request).json(&json!({"issue": fields}))).await?;
    let found = show(connection, external_id).await?.ok_or_else(gone)?;
    let ignored = ignored(&fields, &found);
    if ignored.is_empty() { readable(&found) } else { Err(Error::refused(connection, ignored, Vec::new())) }
}

/// Says which fields are not as they were sent.
fn ignored(fields: &Map<String, Value>, issue: &Value) -> Vec<String> {
    let places = [
        ("subject", "/subject"),
        ("status_id", "/status/id"),
        ("priority_id", "/priority/id"),
        ("assigned_to_id", "/assigned_to/id"),
        ("due_date", "/due_date"),
        ("category_id", "/category/id"),
    ];
    let differs = |(name, place): &(&str, &str)| {
        let sent = fields.get(*name)?;
        // "Nobody" and "never" are sent as an empty text and come back as nothing.
        let sent = sent.as_str().map_or_else(|| Some(sent.to_string()), |text| Some(text.to_owned()));
        (sent.filter(|text| !text.is_empty()) != text(issue, place)).then(|| {
            format!(
                "{name}: redmine left it as it was; its workflow or the rights of the account do not allow the change"
            )
        })
    };
    places.iter().filter_map(differs).collect()
}

#[derive(Deserialize)]
struct Word {
    id: u64,
    name: String,
    is_closed: Option<bool>,
}

#[derive(Deserialize)]
struct Statuses {
    issue_statuses: Vec<Word>,
}

#[derive(Deserialize)]
struct Priorities {
    issue_priorities: Vec<Word>,
}

async fn fields(
    connection: &Connection,
    issue: &Value,
    is: &Remote,
    change: &Change,
) -> Result<Map<String, Value>, Error> {
    let mut fields = Map::new();
    let mut set = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    if let Some(title) = &change.title {
        set("subject", json!(title));
    }
    if let Some(description) = &change.description {
        set("description", json!(description));
    }
    match &change.due_date {
        Edit::Keep => {}
        Edit::Clear => drop(set("due_date", json!(""))),
        Edit::To(due) => drop(set("due_date", json!(due.date_naive().to_string()))),
    }
    if change.tags.is_some() {
        return Err(Error::refused(connection, vec!["tags: redmine has none".to_owned()], Vec::new()));
    }
    match &change.category {
        Edit::Keep => {}
        Edit::Clear => drop(set("category_id", json!(""))),
        Edit::To(name) => drop(set("category_id", json!(category(connection, issue, name).await?))),
    }
    let mapping = &connection.mapping;
    if let Some(status) = change.status.filter(|wanted| mapping.status(&is.status, is.category_of_status) != *wanted) {
        // Redmine 5 says which steps the workflow has from here for this account; those before tell all there are.
        let allowed = issue.get("allowed_statuses").and_then(|list| Vec::<Word>::deserialize(list).ok());
        let offers = if let Some(allowed) = allowed {
            allowed
        } else {
            let all: Statuses = fetch(connection, get(connection, connection.url(&["issue_statuses.json"]))).await?;
            all.issue_statuses
        };
        let found = wanted::status(connection, &is.status, status, &offers, |offer| {
            (&offer.name, issue::category(&offer.name, offer.is_closed))
        })?;
        set("status_id", json!(found.id));
    }
    if let Some(priority) = change.priority.filter(|wanted| mapping.priority(&is.priority) != *wanted) {
        let url = connection.url(&["enumerations", "issue_priorities.json"]);
        let known: Priorities = fetch(connection, get(connection, url)).await?;
        let found = wanted::priority(connection, priority, &known.issue_priorities, |offer| &offer.name)?;
        set("priority_id", json!(found.id));
    }
    match &change.assignee {
        Edit::Keep => {}
        Edit::Clear => drop(set("assigned_to_id", json!(""))),
        Edit::To(person) => drop(set("assigned_to_id", json!(assignee(connection, issue, person).await?))),
    }
    Ok(fields)
}

#[derive(Deserialize)]
struct Categories {
    issue_categories: Vec<Word>,
}

/// Looks among the categories of the project: each has its own.
async fn category(connection: &Connection, issue: &Value, name: &str) -> Result<u64, Error> {
    let project = text(issue, "/project/id").unwrap_or_default();
    let url = connection.url(&["projects", &project, "issue_categories.json"]);
    let Categories { issue_categories } = fetch(connection, get(connection, url)).await?;
    let same = |word: &&Word| word.name.to_lowercase() == name.trim().to_lowercase();
    issue_categories.iter().find(same).map(|word| word.id).ok_or_else(|| {
        let message = format!("category: the project has none called {name}");
        Error::refused(connection, vec![message], issue_categories.iter().map(|word| word.name.clone()).collect())
    })
}

#[derive(Deserialize)]
struct Memberships {
    memberships: Vec<Membership>,
    total_count: usize,
}

#[derive(Deserialize)]
struct Membership {
    user: Option<Word>,
    group: Option<Word>,
}

/// Looks among the members of the project: only they are given its issues, and every account may see them.
async fn assignee(connection: &Connection, issue: &Value, person: &Person) -> Result<u64, Error> {
    let project = text(issue, "/project/id").unwrap_or_default();
    let (mut candidates, mut offset) = (Vec::new(), 0);
    loop {
        let url = connection.url(&["projects", &project, "memberships.json"]);
        let page = [("offset", offset), ("limit", MEMBERS_PER_PAGE)];
        let members: Memberships = fetch(connection, get(connection, url).query(&page)).await?;
        offset += members.memberships.len();
        let last = members.memberships.is_empty() || offset >= members.total_count.min(MAX_MEMBERS);
        let named = members.memberships.into_iter().filter_map(|member| member.user.or(member.group));
        candidates.extend(named.map(|word| Candidate {
            id: word.id.to_string(),
            name: word.name,
            login: None,
            email: None,
        }));
        if last {
            break;
        }
    }
    let found = people::pick(connection, person, &candidates)?;
    found.id.parse().map_err(|_| Error::permanent(connection, format!("member {} has no number", found.id)))
}
