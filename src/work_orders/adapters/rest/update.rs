//! One ticket: reading and changing it.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::call::{get, signed};
use super::plan::Plan;
use super::template::Slot;
use super::ticket::{self, Found, put};
use crate::work_orders::adapters::judge::{fetch_one, push, unmoved};
use crate::work_orders::adapters::{Connection, Error, wanted};
use crate::work_orders::model::{Change, Edit, Remote};

pub(super) async fn show(connection: &Connection, plan: &Plan, external_id: &str) -> Result<Option<Remote>, Error> {
    let url = plan.detail.fill(connection, |slot| (slot == Slot::Id).then(|| external_id.to_owned()));
    let Some(body) = fetch_one::<Value>(connection, get(connection, plan, url)).await? else { return Ok(None) };
    let Some(item) = body.pointer(&plan.detail_path) else {
        let message = format!("the answer has no ticket at {}: change detail_path of this system", plan.detail_path);
        return Err(Error::permanent(connection, message));
    };
    match ticket::read(&plan.places, item) {
        Ok(Found::There(remote)) => Ok(Some(*remote)),
        Ok(Found::Deleted(_)) => Ok(None),
        Err(error) => Err(Error::permanent(connection, format!("{}: change detail_path or id_path", error.message))),
    }
}

pub(super) async fn write(
    connection: &Connection,
    plan: &Plan,
    external_id: &str,
    change: &Change,
    seen: Option<DateTime<Utc>>,
) -> Result<Remote, Error> {
    let Some(template) = &plan.update else {
        let message = "this system is set up for reading only: give it an update_url".to_owned();
        return Err(Error::refused(connection, vec![message], Vec::new()));
    };
    let gone = || Error::gone(connection, format!("ticket {external_id}"));
    let is = show(connection, plan, external_id).await?.ok_or_else(gone)?;
    unmoved(connection, is.updated_at, seen)?;
    let body = body(connection, plan, &is, change)?;
    if body.as_object().is_some_and(serde_json::Map::is_empty) {
        return Ok(is);
    }
    let url = template.fill(connection, |slot| (slot == Slot::Id).then(|| external_id.to_owned()));
    let request = match plan.update_method {
        reqwest::Method::PATCH => connection.http.patch(url),
        reqwest::Method::POST => connection.http.post(url),
        _ => connection.http.put(url),
    };
    push(connection, signed(connection, plan, request).json(&body)).await?;
    show(connection, plan, external_id).await?.ok_or_else(gone)
}

/// Makes what is sent: each field where it is read, below `update_path`.
fn body(connection: &Connection, plan: &Plan, is: &Remote, change: &Change) -> Result<Value, Error> {
    let places = &plan.places;
    let mapping = &connection.mapping;
    let (mut body, mut refused) = (json!({}), Vec::new());
    let mut set = |field: &str, place: Option<&String>, value: Value| match place {
        Some(place) => put(&mut body, &format!("{}{place}", plan.update_path), value),
        None => refused.push(format!("{field}: this system is set up without {field}_path")),
    };
    if let Some(title) = &change.title {
        set("title", Some(&places.title), json!(title));
    }
    if let Some(description) = &change.description {
        set("description", places.description.as_ref(), json!(description));
    }
    match &change.due_date {
        Edit::Keep => {}
        Edit::Clear => set("due", places.due.as_ref(), Value::Null),
        Edit::To(due) => set("due", places.due.as_ref(), json!(plan.due.write(*due))),
    }
    match &change.category {
        Edit::Keep => {}
        Edit::Clear => set("category", places.category.as_ref(), Value::Null),
        Edit::To(category) => set("category", places.category.as_ref(), json!(category)),
    }
    if let Some(tags) = &change.tags {
        set("tags", places.tags.as_ref(), json!(tags));
    }
    let email = places.assignee_email.as_ref();
    match &change.assignee {
        Edit::Keep => {}
        Edit::Clear => set("assignee", email.or(places.assignee.as_ref()), Value::Null),
        // Only one of the two is sent: of two that do not fit together a system could take either.
        Edit::To(person) => match (email, &person.email, &person.name) {
            (Some(place), Some(email), _) => set("assignee", Some(place), json!(email)),
            (_, _, Some(name)) => set("assignee", places.assignee.as_ref(), json!(name)),
            (_, _, None) => set("assignee", None, Value::Null),
        },
    }
    if let Some(status) = change.status.filter(|wanted| mapping.status(&is.status, is.category_of_status) != *wanted) {
        let found = wanted::status(connection, &is.status, status, &plan.status_values, |word| (word, None))
            .map_err(|error| with_cure(connection, error, plan.status_values.is_empty(), "status"))?;
        set("status", Some(&places.status), json!(found));
    }
    if let Some(priority) = change.priority.filter(|wanted| mapping.priority(&is.priority) != *wanted) {
        let found = wanted::priority(connection, priority, &plan.priority_values, |word| word)
            .map_err(|error| with_cure(connection, error, plan.priority_values.is_empty(), "priority"))?;
        set("priority", places.priority.as_ref(), json!(found));
    }
    if refused.is_empty() { Ok(body) } else { Err(Error::refused(connection, refused, Vec::new())) }
}

/// Words can be picked only where they are known.
fn with_cure(connection: &Connection, error: Error, unknown: bool, field: &str) -> Error {
    if !unknown {
        return error;
    }
    let message =
        format!("{field}: give this system its words as {field}_values, so that the one which fits can be sent");
    Error::refused(connection, vec![message], Vec::new())
}
