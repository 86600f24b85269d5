//! The fields of a ticket that can be changed here.

use serde_json::{Value, json};

use super::Content;
use super::words::words;

words!(
    /// A field that can be changed here and taken to the system.
    #[schema(as = TicketField)]
    Field, "field" {
        /// The title.
        Title = "title",
        /// The text.
        Description = "description",
        /// How far it is.
        Status = "status",
        /// How urgent it is.
        Priority = "priority",
        /// Who works on it.
        Assignee = "assignee",
        /// Where to reach them.
        AssigneeEmail = "assignee_email",
        /// When it is due.
        DueDate = "due_date",
        /// What it is about.
        Category = "category",
        /// Its labels.
        Tags = "tags",
    }
);

/// A side of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = TicketSide)]
pub enum Side {
    /// What was said here.
    Here,
    /// What the system says.
    There,
}

impl Field {
    /// Returns whose word counts when both sides changed the field: who works on a ticket, how far it is and how urgent is decided
    /// where the work is done; what it says was written by whoever cared to write it here.
    pub fn winner(self) -> Side {
        match self {
            Self::Status | Self::Priority | Self::Assignee | Self::AssigneeEmail => Side::There,
            Self::Title | Self::Description | Self::DueDate | Self::Category | Self::Tags => Side::Here,
        }
    }

    /// Reads the field of a ticket, as it is shown.
    pub fn of(self, content: &Content) -> Value {
        match self {
            Self::Title => json!(content.title),
            Self::Description => json!(content.description),
            Self::Status => json!(content.status),
            Self::Priority => json!(content.priority),
            Self::Assignee => json!(content.assignee),
            Self::AssigneeEmail => json!(content.assignee_email),
            Self::DueDate => json!(content.due_date),
            Self::Category => json!(content.category),
            Self::Tags => json!(content.tags),
        }
    }

    /// Takes the field over from another ticket.
    pub fn copy(self, from: &Content, to: &mut Content) {
        match self {
            Self::Title => to.title.clone_from(&from.title),
            Self::Description => to.description.clone_from(&from.description),
            Self::Status => to.status = from.status,
            Self::Priority => to.priority = from.priority,
            Self::Assignee => to.assignee.clone_from(&from.assignee),
            Self::AssigneeEmail => to.assignee_email.clone_from(&from.assignee_email),
            Self::DueDate => to.due_date = from.due_date,
            Self::Category => to.category.clone_from(&from.category),
            Self::Tags => to.tags.clone_from(&from.tags),
        }
    }
}
