//! The error of every service. A subject that needs to tell more apart has its own type and turns it into this one at its
//! service; the doors turn this one into problem+json and exit codes, and nothing else does.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use deskhand_jobs::outcome::chain;
use serde::{Deserialize, Serialize};
use sqlx::error::DatabaseError;

/// Shorthand for results of services.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Anything that can be shown with its causes.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What is wrong with one field of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FieldError {
    /// Where, as a JSON pointer: `/api_url`, `/steps/0/delay`; empty for the whole.
    pub pointer: String,
    /// What is wrong and what would be right.
    pub message: String,
}

/// Why a service did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request is wrong; the same request will always be.
    #[error("{}", list(.0))]
    Invalid(Vec<FieldError>),
    /// The thing is not there, or belongs to another tenant.
    #[error("there is no {what} {id}")]
    NotFound {
        /// What was looked for.
        what: &'static str,
        /// Its id or name.
        id: String,
    },
    /// The request does not fit the present state.
    #[error("{message}")]
    Conflict {
        /// A stable name of the case, `snake_case`.
        code: &'static str,
        /// What stands against it and the cure.
        message: String,
    },
    /// The caller may not do this.
    #[error("{message}")]
    Forbidden {
        /// What is missing.
        message: String,
    },
    /// The caller asked too often; the same call may succeed after a while.
    #[error("{message}")]
    TooOften {
        /// What was too much.
        message: String,
        /// How long to wait.
        wait: Duration,
    },
    /// Something we depend on does not answer; the same call may succeed later.
    #[error("{what} does not answer")]
    Unavailable {
        /// What does not answer.
        what: String,
        /// What its client said.
        #[source]
        source: BoxError,
    },
    /// The database refused a statement: a defect of ours, or of its data.
    #[error("the database refused a statement")]
    Database(#[source] sqlx::Error),
    /// A defect of ours.
    #[error("{what}")]
    Internal {
        /// What went wrong.
        what: String,
        /// Why.
        #[source]
        source: Option<BoxError>,
    },
}

impl Error {
    /// Says that one field is wrong.
    pub fn field(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError { pointer: pointer.into(), message: message.into() }])
    }

    /// Says that a thing is not there.
    pub fn not_found(what: &'static str, id: &(impl fmt::Display + ?Sized)) -> Self {
        Self::NotFound { what, id: id.to_string() }
    }

    /// Says that the present state stands against the request.
    pub fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::Conflict { code, message: message.into() }
    }

    /// Says that something we depend on does not answer.
    pub fn unavailable(what: impl Into<String>, source: impl Into<BoxError>) -> Self {
        Self::Unavailable { what: what.into(), source: source.into() }
    }

    /// Reports a defect.
    pub fn internal(what: impl Into<String>, source: impl Into<BoxError>) -> Self {
        Self::Internal { what: what.into(), source: Some(source.into()) }
    }

    /// Returns the stable name of the case, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "invalid",
            Self::NotFound { .. } => "not_found",
            Self::Conflict { code, .. } => code,
            Self::Forbidden { .. } => "forbidden",
            Self::TooOften { .. } => "too_often",
            Self::Unavailable { .. } => "unavailable",
            Self::Database(_) | Self::Internal { .. } => "internal",
        }
    }

    /// Says whether the same call may succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable { .. } | Self::TooOften { .. } => true,
            Self::Database(source) => {
                let code = source.as_database_error().and_then(|error| error.code().map(Cow::into_owned));
                code.is_some_and(|code| passes(&code))
            }
            _ => false,
        }
    }

    /// Says to another one who asked together with the first why nothing came of it; the causes are text then.
    #[must_use]
    pub(crate) fn again(&self) -> Self {
        match self {
            Self::Unavailable { what, source } => Self::unavailable(what.clone(), chain(&**source)),
            passing if passing.is_transient() => Self::unavailable("the database", chain(passing)),
            other => Self::internal("what was asked for together with others failed", chain(other)),
        }
    }

    /// Says whether a unique index refused the row.
    pub fn is_unique_violation(&self) -> bool {
        matches!(self, Self::Database(source) if source.as_database_error().is_some_and(DatabaseError::is_unique_violation))
    }
}

/// Says whether a refusal of a database passes by itself. Postgres has codes of five characters, SQLite numbers below 10,000.
fn passes(code: &str) -> bool {
    if code.len() == 5 {
        // Lost connections, conflicts of transactions, no room or memory; a server that stops, starts or only reads; a lock or a
        // statement that took too long.
        let classes = ["08", "40", "53"].iter().any(|class| code.starts_with(class));
        return classes
            || matches!(code, "57P01" | "57P02" | "57P03" | "57P05" | "57014" | "25006" | "25P03" | "55P03");
    }
    // The low byte is the kind: busy, locked, out of memory, a failing disk, a full disk.
    code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 5 | 6 | 7 | 10 | 13))
}

impl From<sqlx::Error> for Error {
    fn from(source: sqlx::Error) -> Self {
        match source {
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => {
                Self::unavailable("the database", source)
            }
            // Postgres keeps no NUL in a text, SQLite does; every text of ours comes from a caller.
            sqlx::Error::Database(refusal) if matches!(refusal.code().as_deref(), Some("22021" | "22P05")) => {
                Self::field("", "a text holds a NUL character, which cannot be stored: remove it")
            }
            other => Self::Database(other),
        }
    }
}

impl From<deskhand_jobs::queue::Error> for Error {
    fn from(source: deskhand_jobs::queue::Error) -> Self {
        match source {
            deskhand_jobs::queue::Error::Unavailable { .. } => Self::unavailable("the queue", source),
            deskhand_jobs::queue::Error::Cursor(message) => Self::field("/cursor", message),
            other => Self::internal("the queue refused a call", other),
        }
    }
}

impl From<deskhand_jobs::EnvelopeError> for Error {
    fn from(source: deskhand_jobs::EnvelopeError) -> Self {
        Self::field("/args", source.to_string())
    }
}

impl From<deskhand_jobs::Rejected> for Error {
    fn from(source: deskhand_jobs::Rejected) -> Self {
        let pointer = match &source {
            deskhand_jobs::Rejected::UnknownKind { .. } => "/kind",
            deskhand_jobs::Rejected::Args { .. } | deskhand_jobs::Rejected::Envelope(_) => "/args",
        };
        Self::field(pointer, source.to_string())
    }
}

impl From<super::BadId> for Error {
    fn from(source: super::BadId) -> Self {
        Self::field("", source.to_string())
    }
}

fn list(fields: &[FieldError]) -> String {
    let show = |field: &FieldError| {
        if field.pointer.is_empty() { field.message.clone() } else { format!("{}: {}", field.pointer, field.message) }
    };
    fields.iter().map(show).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_has_a_stable_code() {
        assert_eq!(Error::field("/name", "it is empty").code(), "invalid");
        assert_eq!(Error::not_found("job", &7).to_string(), "there is no job 7");
        assert_eq!(Error::conflict("version", "it moved on").code(), "version");
        assert_eq!(Error::from(sqlx::Error::PoolTimedOut).code(), "unavailable");
        assert!(Error::from(sqlx::Error::PoolTimedOut).is_transient());
        assert_eq!(Error::from(sqlx::Error::RowNotFound).code(), "internal");
    }

    #[test]
    fn what_passes_by_itself_is_told_from_what_does_not() {
        for (code, expected) in [
            ("40001", true),
            ("40P01", true),
            ("57P01", true),
            ("53300", true),
            ("25006", true),
            ("23505", false),
            ("42P01", false),
            ("5", true),
            ("261", true),
            ("517", true),
            ("13", true),
            ("2067", false),
            ("1", false),
        ] {
            assert_eq!(passes(code), expected, "{code}");
        }
    }

    #[test]
    fn wrong_fields_are_listed_with_their_place() {
        let fields = vec![
            FieldError { pointer: "/a".into(), message: "too long".into() },
            FieldError { pointer: String::new(), message: "not an object".into() },
        ];
        assert_eq!(Error::Invalid(fields).to_string(), "/a: too long; not an object");
    }
}
