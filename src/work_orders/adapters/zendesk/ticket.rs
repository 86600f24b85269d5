//! From a ticket of Zendesk to ours. People come beside the tickets, by id.

use std::collections::HashMap;

use serde_json::Value;

use crate::work_orders::adapters::fields::{text, texts};
use crate::work_orders::adapters::{Connection, Deleted};
use crate::work_orders::model::{Category, Remote, RowError, parse_instant};

/// What a ticket of the export is.
pub(super) enum Found {
    /// A ticket.
    There(Box<Remote>),
    /// What is left of one.
    Deleted(Deleted),
}

/// The users of an answer.
pub(super) struct People<'a>(HashMap<u64, &'a Value>);

impl<'a> People<'a> {
    pub(super) fn of(users: &'a [Value]) -> Self {
        Self(users.iter().filter_map(|user| Some((user.get("id")?.as_u64()?, user))).collect())
    }

    fn tell(&self, ticket: &Value, role: &str, field: &str) -> Option<String> {
        let id = ticket.get(role)?.as_u64()?;
        self.0.get(&id).and_then(|user| text(user, field))
    }
}

pub(super) fn read(connection: &Connection, ticket: &Value, people: &People<'_>) -> Result<Found, RowError> {
    let Some(external_id) = text(ticket, "/id") else {
        return Err(RowError::nameless(text(ticket, "/subject"), "the ticket has no id"));
    };
    let Some(status) = text(ticket, "/status") else {
        return Err(RowError::of(external_id, "the ticket came without its status"));
    };
    let date = |pointer| text(ticket, pointer).and_then(|text| parse_instant(&text));
    if status == "deleted" {
        return Ok(Found::Deleted(Deleted { external_id, at: date("/updated_at") }));
    }
    Ok(Found::There(Box::new(Remote {
        title: text(ticket, "/subject").unwrap_or_else(|| external_id.clone()),
        description: text(ticket, "/description").unwrap_or_default(),
        category_of_status: category(&status),
        status,
        priority: text(ticket, "/priority").unwrap_or_default(),
        reporter: people.tell(ticket, "requester_id", "/name"),
        reporter_email: people.tell(ticket, "requester_id", "/email"),
        assignee: people.tell(ticket, "assignee_id", "/name"),
        assignee_email: people.tell(ticket, "assignee_id", "/email"),
        reported_at: date("/created_at"),
        due_date: date("/due_at"),
        // Only the metrics of a ticket know it, at the price of a request each.
        resolved_at: None,
        category: text(ticket, "/type"),
        tags: texts(ticket.get("tags")),
        url: Some(connection.url(&["agent", "tickets", &external_id]).into()),
        updated_at: date("/updated_at"),
        external_key: external_id.clone(),
        external_id,
    })))
}

/// Says what a status means; "open" and "pending" are words that others use otherwise.
pub(super) fn category(status: &str) -> Option<Category> {
    match status {
        "new" => Some(Category::ToDo),
        "open" | "pending" | "hold" => Some(Category::InProgress),
        "solved" | "closed" => Some(Category::Done),
        _ => None,
    }
}
