//! A work order: what a system told us, and what we keep of it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::words::words;
use super::{Category, Exchange, Mapping, Priority, RowError, Status, SystemId, WorkOrderId};
use crate::base::TenantId;

const MAX_TITLE_CHARS: usize = 200;
/// Longer ones do not fit into an index.
const MAX_ID_BYTES: usize = 500;

words!(
    /// How the last exchange of one work order with its system went.
    SyncStatus, "sync status" {
        /// Not exchanged yet.
        Pending = "pending",
        /// As in the system.
        Success = "success",
        /// The exchange failed.
        Failed = "failed",
    }
);

/// A ticket in the words of its system.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remote {
    /// What names it for ever, also when it is moved.
    pub external_id: String,
    /// What people call it there, such as OPS-12.
    pub external_key: String,
    /// The title.
    pub title: String,
    /// The text, without mark-up of the system's own kind.
    pub description: String,
    /// Their word.
    pub status: String,
    /// What they say the word means.
    pub category_of_status: Option<Category>,
    /// Their word.
    pub priority: String,
    /// Who reported it.
    pub reporter: Option<String>,
    /// Where to reach them.
    pub reporter_email: Option<String>,
    /// Who works on it.
    pub assignee: Option<String>,
    /// Where to reach them.
    pub assignee_email: Option<String>,
    /// When it was reported, if that can be read.
    pub reported_at: Option<DateTime<Utc>>,
    /// When it is due.
    pub due_date: Option<DateTime<Utc>>,
    /// When it was resolved.
    pub resolved_at: Option<DateTime<Utc>>,
    /// What it is about, in one word.
    pub category: Option<String>,
    /// Its labels.
    pub tags: Vec<String>,
    /// Where a person reads it.
    pub url: Option<String>,
    /// When it last changed, if that can be read.
    pub updated_at: Option<DateTime<Utc>>,
}

/// What we keep of a ticket: cleaned, mapped, ready to be stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Content {
    /// What names it in its system for ever.
    pub external_id: String,
    /// What people call it there.
    pub external_key: String,
    /// The title, at most 200 characters.
    pub title: String,
    /// The text.
    pub description: String,
    /// How far it is, in our words.
    pub status: Status,
    /// How urgent it is, in our words.
    pub priority: Priority,
    /// Their word for the status.
    pub external_status: String,
    /// Their word for the priority.
    pub external_priority: String,
    /// Who reported it.
    pub reporter: Option<String>,
    /// Where to reach them.
    pub reporter_email: Option<String>,
    /// Who works on it.
    pub assignee: Option<String>,
    /// Where to reach them.
    pub assignee_email: Option<String>,
    /// When it was reported; `None` if the system does not say.
    pub reported_at: Option<DateTime<Utc>>,
    /// When it is due.
    pub due_date: Option<DateTime<Utc>>,
    /// When it was resolved.
    pub resolved_at: Option<DateTime<Utc>>,
    /// What it is about, in one word.
    pub category: Option<String>,
    /// Its labels.
    pub tags: Vec<String>,
    /// Where a person reads it.
    pub url: Option<String>,
    /// When it last changed there.
    pub external_updated_at: Option<DateTime<Utc>>,
}

impl Content {
    /// Cleans and maps a ticket.
    pub fn of(remote: Remote, mapping: &Mapping) -> Self {
        Self {
            status: mapping.status(&remote.status, remote.category_of_status),
            priority: mapping.priority(&remote.priority),
            external_id: clean(remote.external_id),
            external_key: clean(remote.external_key),
            title: clean(remote.title).chars().take(MAX_TITLE_CHARS).collect(),
            description: clean(remote.description),
            external_status: clean(remote.status),
            external_priority: clean(remote.priority),
            reporter: remote.reporter.map(clean),
            reporter_email: remote.reporter_email.map(clean),
            assignee: remote.assignee.map(clean),
            assignee_email: remote.assignee_email.map(clean),
            reported_at: remote.reported_at,
            due_date: remote.due_date,
            resolved_at: remote.resolved_at,
            category: remote.category.map(clean),
            tags: remote.tags.into_iter().map(clean).collect(),
            url: remote.url.map(clean),
            external_updated_at: remote.updated_at,
        }
    }

    /// Refuses what no database could keep.
    ///
    /// # Errors
    /// [`RowError`] says why.
    pub fn checked(self) -> Result<Self, RowError> {
        let bytes = self.external_id.len();
        if bytes > MAX_ID_BYTES {
            let message = format!("its id has {bytes} bytes, at most {MAX_ID_BYTES} can be kept");
            return Err(RowError::nameless(Some(self.external_id), message));
        }
        Ok(self)
    }

    /// Returns the hash by which an unchanged ticket is recognised, as 64 hexadecimal digits. When it last changed there does not
    /// count: a ticket that was only commented on is the same to us.
    ///
    /// # Panics
    /// Never: every field has a JSON form.
    pub fn hash(&self) -> String {
        use std::fmt::Write;
        let timeless = Self { external_updated_at: None, ..self.clone() };
        let json = serde_json::to_vec(&timeless).expect("a ticket has only JSON fields");
        Sha256::digest(&json).iter().fold(String::with_capacity(64), |mut text, byte| {
            write!(text, "{byte:02x}").expect("a string takes all that is written to it");
            text
        })
    }
}

/// Postgres keeps no NUL in text; one such ticket must not stop its page.
fn clean(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "") } else { text }
}

/// A work order as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkOrder {
    /// Our id.
    pub id: WorkOrderId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Where it comes from.
    pub system: SystemId,
    /// What it says here: what the system told us, and what was changed since.
    pub content: Content,
    /// The hash of what the system told us.
    pub content_hash: String,
    /// What stands between it and its system.
    pub exchange: Exchange,
    /// When it was reported; when it was first seen, if the system does not say.
    pub reported_at: DateTime<Utc>,
    /// When it was last stored from the system.
    pub last_sync_at: DateTime<Utc>,
    /// How the last exchange went.
    pub sync_status: SyncStatus,
    /// What went wrong in it.
    pub sync_error: Option<String>,
    /// Counts the changes of the row.
    pub version: i64,
    /// When it was first stored.
    pub created_at: DateTime<Utc>,
    /// When the row last changed.
    pub updated_at: DateTime<Utc>,
    /// When it was found to be gone from its system.
    pub deleted_at: Option<DateTime<Utc>>,
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::work_orders::model::parse_instant;

    pub(in crate::work_orders::model) fn content() -> Content {
        Content::of(remote(), &Mapping::default())
    }

    fn remote() -> Remote {
        Remote {
            external_id: "10001".into(),
            title: "printer on fire".into(),
            status: "Open".into(),
            updated_at: parse_instant("2026-01-01T00:00:00Z"),
            ..Remote::default()
        }
    }

    #[test]
    fn the_hash_changes_with_what_is_kept_and_only_then() {
        let mapping = Mapping::default();
        let hash = Content::of(remote(), &mapping).hash();
        assert_eq!(hash.len(), 64);
        assert_eq!(hash, Content::of(remote(), &mapping).hash());
        let commented = Remote { updated_at: parse_instant("2026-01-02T00:00:00Z"), ..remote() };
        assert_eq!(hash, Content::of(commented, &mapping).hash());
        let renamed = Remote { title: "printer off fire".into(), ..remote() };
        assert_ne!(hash, Content::of(renamed, &mapping).hash());
        let mapped = Mapping { status: [("open".to_owned(), Status::Processing)].into(), ..Mapping::default() };
        assert_ne!(hash, Content::of(remote(), &mapped).hash(), "a new mapping must reach old tickets");
    }

    #[test]
    fn content_is_cleaned_not_refused() {
        let wild = Remote { title: "ü\0".repeat(300), description: "a\0b".into(), ..remote() };
        let content = Content::of(wild, &Mapping::default());
        assert_eq!(content.title.chars().count(), 200);
        assert_eq!(content.description, "ab");
        let endless = Remote { external_id: "9".repeat(501), ..remote() };
        let error = Content::of(endless, &Mapping::default()).checked().expect_err("it fits into no index");
        assert_eq!((error.external_id.len(), error.can_be_asked_for), (200, false));
    }
}
