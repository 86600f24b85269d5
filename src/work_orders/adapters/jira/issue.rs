//! From an issue to a ticket. Only what cannot be named is refused; whatever else is missing or odd stays empty.

use serde_json::Value;

use super::document;
use crate::work_orders::adapters::Connection;
use crate::work_orders::adapters::fields::{text, texts};
use crate::work_orders::model::{Category, Remote, RowError, end_of_day, parse_instant};

pub(super) fn read(connection: &Connection, issue: &Value) -> Result<Remote, RowError> {
    let key = text(issue, "/key");
    // The key changes when an issue moves to another project; the id stays.
    let Some(external_id) = text(issue, "/id") else {
        let message = "the issue has no id";
        // By its key it can be asked for as well.
        return Err(key.map_or_else(|| RowError::nameless(None, message), |key| RowError::of(key, message)));
    };
    let Some(fields) = issue.get("fields").filter(|fields| fields.is_object()) else {
        return Err(RowError::of(external_id, "the issue came without its fields"));
    };
    let key = key.unwrap_or_else(|| external_id.clone());
    let date = |pointer| text(fields, pointer).and_then(|text| parse_instant(&text));
    Ok(Remote {
        title: text(fields, "/summary").unwrap_or_else(|| key.clone()),
        description: fields.get("description").map(document::to_text).unwrap_or_default(),
        status: text(fields, "/status/name").unwrap_or_default(),
        category_of_status: fields.pointer("/status/statusCategory/key").and_then(Value::as_str).and_then(category),
        priority: text(fields, "/priority/name").unwrap_or_default(),
        reporter: text(fields, "/reporter/displayName"),
        reporter_email: text(fields, "/reporter/emailAddress"),
        assignee: text(fields, "/assignee/displayName"),
        assignee_email: text(fields, "/assignee/emailAddress"),
        reported_at: date("/created"),
        due_date: text(fields, "/duedate").and_then(|text| end_of_day(&text)),
        resolved_at: date("/resolutiondate"),
        category: text(fields, "/components/0/name").or_else(|| text(fields, "/issuetype/name")),
        tags: texts(fields.get("labels")),
        url: Some(connection.url(&["browse", &key]).into()),
        updated_at: date("/updated"),
        external_id,
        external_key: key,
    })
}

/// Reads the key of a status category.
pub(super) fn category(key: &str) -> Option<Category> {
    match key {
        "new" => Some(Category::ToDo),
        "indeterminate" => Some(Category::InProgress),
        "done" => Some(Category::Done),
        _ => None,
    }
}
