//! What is noted, and how it is read again.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::base::{ActorKind, ClaimId, TenantId};

/// The longest note of a state; a longer one is told by its size.
const MAX_STATE_BYTES: usize = 32 * 1024;

/// Names of fields that are never noted, whoever hands them in: the last net under views that forget to mask.
const SECRET_FIELDS: [&str; 8] =
    ["password", "api_key", "api_secret", "secret", "token", "authorization", "webhook_url", "client_secret"];

/// One change, as a use case tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub(super) action: &'static str,
    pub(super) object_kind: &'static str,
    pub(super) object_id: String,
    pub(super) before: Option<String>,
    pub(super) after: Option<String>,
}

impl Event {
    /// Says what was done to which thing, as in `Event::new("queue.pause", "queue", &name)`.
    pub fn new(action: &'static str, object_kind: &'static str, object_id: &(impl ToString + ?Sized)) -> Self {
        Self { action, object_kind, object_id: object_id.to_string(), before: None, after: None }
    }

    /// Notes how the thing was before.
    #[must_use]
    pub fn before(self, state: &impl Serialize) -> Self {
        Self { before: Some(noted(state)), ..self }
    }

    /// Notes how the thing is after.
    #[must_use]
    pub fn after(self, state: &impl Serialize) -> Self {
        Self { after: Some(noted(state)), ..self }
    }
}

fn noted(state: &impl Serialize) -> String {
    let Ok(mut value) = serde_json::to_value(state) else {
        return r#"{"unreadable": true}"#.to_owned();
    };
    mask(&mut value);
    // Postgres has no text with NUL in it.
    let text = value.to_string().replace("\\u0000", "\\ufffd");
    if text.len() <= MAX_STATE_BYTES { text } else { format!(r#"{{"left_out_bytes": {}}}"#, text.len()) }
}

fn mask(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if SECRET_FIELDS.contains(&name.as_str()) && !value.is_null() && !value.is_boolean() {
                    *value = Value::from("***");
                } else {
                    mask(value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(mask),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// One entry of the record.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[schema(as = AuditEntry)]
pub struct Entry {
    /// Whose record it is.
    pub tenant_id: TenantId,
    /// Its place in the chain; the first is 1.
    pub seq: i64,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// What kind of someone did it.
    pub actor_kind: ActorKind,
    /// The id of the token or the user.
    pub actor_id: Option<String>,
    /// The name of who did it.
    pub actor_name: String,
    /// From where the request came.
    pub address: Option<String>,
    /// The id of the request, as the log has it.
    pub request_id: Option<String>,
    /// What was done, `object.verb`.
    pub action: String,
    /// What kind of thing it was done to.
    pub object_kind: String,
    /// Which one.
    pub object_id: String,
    /// How it was before, as JSON without secrets.
    #[schema(value_type = Option<serde_json::Value>)]
    pub before: Option<Box<RawValue>>,
    /// How it is after, as JSON without secrets.
    #[schema(value_type = Option<serde_json::Value>)]
    pub after: Option<Box<RawValue>>,
    /// Why, in the words of who did it.
    pub reason: Option<String>,
    /// The hash of the entry before.
    pub previous_hash: String,
    /// The hash of this entry and, through the one before, of all before it.
    pub hash: String,
    /// The claim of the request, if it bore an idempotency key.
    #[serde(skip)]
    pub claim_id: Option<ClaimId>,
}

/// Which entries are wanted; what is `None` does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// What was done.
    pub action: Option<String>,
    /// What kind of thing it was done to.
    pub object_kind: Option<String>,
    /// Which one.
    pub object_id: Option<String>,
    /// Who did it, by name.
    pub actor: Option<String>,
    /// At this instant or later.
    pub after: Option<DateTime<Utc>>,
    /// Before this instant.
    pub before: Option<DateTime<Utc>>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_state_is_noted_without_its_secrets() {
        let state =
            json!({"name": "x", "password": "hunter2", "nested": [{"api_key": "k", "token": null}], "secret": true});
        let event = Event::new("system.update", "system", "7").before(&state);
        let noted: Value = serde_json::from_str(&event.before.expect("noted")).expect("JSON");
        assert_eq!(
            noted,
            json!({"name": "x", "password": "***", "nested": [{"api_key": "***", "token": null}], "secret": true})
        );
    }

    #[test]
    fn a_state_that_is_too_long_is_told_by_its_size() {
        let event = Event::new("job.edit", "job", "7").after(&"x".repeat(MAX_STATE_BYTES));
        assert_eq!(event.after.expect("noted"), format!(r#"{{"left_out_bytes": {}}}"#, MAX_STATE_BYTES + 2));
    }

    #[test]
    fn a_character_that_one_database_refuses_is_replaced() {
        assert_eq!(Event::new("a.b", "a", "1").after(&"x\0y").after.expect("noted"), "\"x\\ufffdy\"");
    }
}
