//! Why a call to a ticket system brought nothing, told apart by what to do next. Every message names the system, its address
//! and the cure; none holds a credential.

use std::time::Duration;

use super::Connection;
use crate::base::error::BoxError;
use crate::work_orders::model::RowError;

/// What was seen of a system when a call brought nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Seen {
    /// Nothing that would tell one failure from another.
    #[default]
    Nothing,
    /// The name of its host is not known.
    UnknownName,
    /// No trusted connection.
    NoTls,
    /// No connection.
    NoConnection,
    /// No answer in time.
    Silence,
    /// It points to another host.
    Redirect,
    /// An answer that is not what the API gives.
    OtherAnswer,
    /// An answer with this status.
    Status(u16),
}

/// Why a call to a ticket system brought nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It does not accept who we say we are; a person must act.
    #[error("{at} refused the credentials ({detail}): check username, api_key and password of this system")]
    Auth {
        /// Name and address of the system.
        at: String,
        /// Status and reason.
        detail: String,
        /// What was seen.
        seen: Seen,
    },
    /// It wants to be left alone for a while.
    #[error("{at} asks to wait ({detail}); the synchronisation goes on by itself")]
    RateLimited {
        /// Name and address of the system.
        at: String,
        /// Status and reason.
        detail: String,
        /// How long at least, if it says.
        retry_after: Option<Duration>,
    },
    /// It has failed so often that it is left alone for a while; nothing was asked of it.
    #[error("{at} rests ({detail}); the synchronisation goes on by itself")]
    Resting {
        /// Name and address of the system.
        at: String,
        /// Until when, and what was seen.
        detail: String,
        /// How long.
        wait: Duration,
    },
    /// It did not answer, or answered something unreadable; the same call may succeed later.
    #[error("{at} gave no usable answer ({detail})")]
    Transient {
        /// Name and address of the system.
        at: String,
        /// What came instead.
        detail: String,
        /// The cause, if there is one behind it.
        #[source]
        source: Option<BoxError>,
        /// What was seen.
        seen: Seen,
    },
    /// It does not understand us; the same call will never succeed.
    #[error("{at} does not accept the request ({detail})")]
    Permanent {
        /// Name and address of the system.
        at: String,
        /// What it said and the cure.
        detail: String,
        /// What was seen.
        seen: Seen,
    },
    /// It does not want this change of this ticket; a person must act, other tickets are fine.
    #[error("{at} refuses the change: {}{}", .messages.join("; "), offered(.allowed))]
    Refused {
        /// Name and address of the system.
        at: String,
        /// Why, a sentence each.
        messages: Vec<String>,
        /// What it would take instead, in its own words, if it says so.
        allowed: Vec<String>,
    },
    /// Somebody has changed the ticket since we read it: read it again, then decide.
    #[error("{at} has a newer state of the ticket ({detail})")]
    Conflict {
        /// Name and address of the system.
        at: String,
        /// What is newer.
        detail: String,
    },
    /// The ticket to be changed is not there any more, or the account may not see it.
    #[error("{at} has no such ticket any more ({detail})")]
    Gone {
        /// Name and address of the system.
        at: String,
        /// Which ticket, and what the system said.
        detail: String,
    },
}

impl Error {
    /// Says that the credentials were refused.
    pub fn auth(connection: &Connection, detail: impl Into<String>) -> Self {
        Self::Auth { at: at(connection), detail: detail.into(), seen: Seen::default() }
    }

    /// Says that the system asks to wait.
    pub fn rate_limited(connection: &Connection, detail: impl Into<String>, retry_after: Option<Duration>) -> Self {
        Self::RateLimited { at: at(connection), detail: detail.into(), retry_after }
    }

    /// Says that the system is left alone for a while.
    pub fn resting(connection: &Connection, detail: impl Into<String>, wait: Duration) -> Self {
        Self::Resting { at: at(connection), detail: detail.into(), wait }
    }

    /// Says that there was no usable answer.
    pub fn transient(connection: &Connection, detail: impl Into<String>, source: Option<BoxError>) -> Self {
        Self::Transient { at: at(connection), detail: detail.into(), source, seen: Seen::default() }
    }

    /// Says that a ticket was shown that cannot be taken.
    pub fn unreadable(connection: &Connection, ticket: &str, error: &RowError) -> Self {
        Self::transient(connection, format!("{ticket}: {}", error.message), None)
    }

    /// Says that the request will never succeed.
    pub fn permanent(connection: &Connection, detail: impl Into<String>) -> Self {
        Self::Permanent { at: at(connection), detail: detail.into(), seen: Seen::default() }
    }

    /// Says that the system does not want a change.
    pub fn refused(connection: &Connection, messages: Vec<String>, allowed: Vec<String>) -> Self {
        Self::Refused { at: at(connection), messages, allowed }
    }

    /// Says that somebody was faster.
    pub fn conflict(connection: &Connection, detail: impl Into<String>) -> Self {
        Self::Conflict { at: at(connection), detail: detail.into() }
    }

    /// Adds what was seen.
    #[must_use]
    pub fn having(mut self, what: Seen) -> Self {
        if let Self::Auth { seen, .. } | Self::Transient { seen, .. } | Self::Permanent { seen, .. } = &mut self {
            *seen = what;
        }
        self
    }

    /// Returns what was seen.
    pub fn seen(&self) -> Seen {
        match self {
            Self::Auth { seen, .. } | Self::Transient { seen, .. } | Self::Permanent { seen, .. } => *seen,
            _ => Seen::Nothing,
        }
    }

    /// Says that a ticket is not there any more.
    pub fn gone(connection: &Connection, detail: impl Into<String>) -> Self {
        Self::Gone { at: at(connection), detail: detail.into() }
    }
}

fn offered(allowed: &[String]) -> String {
    if allowed.is_empty() { String::new() } else { format!(" (it would take: {})", allowed.join(", ")) }
}

fn at(connection: &Connection) -> String {
    format!("system {:?} at {}", connection.name, connection.api_url)
}
