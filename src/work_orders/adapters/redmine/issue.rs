//! From an issue of Redmine to a ticket.

use serde_json::Value;

use crate::work_orders::adapters::Connection;
use crate::work_orders::adapters::fields::text;
use crate::work_orders::model::{Category, Remote, RowError, end_of_day, parse_instant};

pub(super) fn read(connection: &Connection, issue: &Value) -> Result<Remote, RowError> {
    let Some(external_id) = text(issue, "/id") else {
        return Err(RowError::nameless(text(issue, "/subject"), "the issue has no id"));
    };
    if text(issue, "/subject").is_none() && text(issue, "/status/name").is_none() {
        return Err(RowError::of(external_id, "the issue came without subject and status"));
    }
    let date = |pointer| text(issue, pointer).and_then(|text| parse_instant(&text));
    let status = text(issue, "/status/name").unwrap_or_default();
    Ok(Remote {
        title: text(issue, "/subject").unwrap_or_else(|| external_id.clone()),
        description: text(issue, "/description").unwrap_or_default(),
        category_of_status: category(&status, issue.pointer("/status/is_closed").and_then(Value::as_bool)),
        status,
        priority: text(issue, "/priority/name").unwrap_or_default(),
        reporter: text(issue, "/author/name"),
        // Redmine shows addresses to administrators only, a person at a time.
        reporter_email: None,
        assignee: text(issue, "/assigned_to/name"),
        assignee_email: None,
        reported_at: date("/created_on"),
        due_date: text(issue, "/due_date").and_then(|text| end_of_day(&text)),
        resolved_at: date("/closed_on"),
        category: text(issue, "/category/name").or_else(|| text(issue, "/tracker/name")),
        tags: Vec::new(),
        url: Some(connection.url(&["issues", &external_id]).into()),
        updated_at: date("/updated_on"),
        external_key: external_id.clone(),
        external_id,
    })
}

/// Says what a status means. Only "closed" is certain: an issue that is "Resolved" is open still, as is one nobody has begun.
pub(super) fn category(status: &str, is_closed: Option<bool>) -> Option<Category> {
    match (is_closed, status) {
        (Some(true), _) => Some(Category::Done),
        // As Redmine comes, somebody has worked on it and waits for an answer.
        (_, "Feedback") => Some(Category::InProgress),
        _ => None,
    }
}
