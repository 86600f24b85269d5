//! What the use cases around people stand on.

use std::time::Duration;

use super::oidc::Oidc;
use super::service::{self, Tokens};
use super::sessions::Strangers;
use super::users::Passwords;
use crate::db::Db;

/// The use cases around people: their accounts, and how they come in.
#[derive(Debug, Clone)]
pub struct Access {
    pub(super) db: Db,
    pub(super) passwords: Passwords,
    pub(super) spans: Spans,
    pub(super) oidc: Option<Oidc>,
    strangers: Strangers,
    pub(super) tokens: Tokens,
}

/// How long sessions last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spans {
    /// How long one may lie idle.
    pub idle: Duration,
    /// How long one lasts at most.
    pub longest: Duration,
}

impl Access {
    /// Puts the use cases together.
    pub fn new(db: Db, passwords: Passwords, spans: Spans) -> Self {
        let tokens = service::tokens(db.clone());
        Self { db, passwords, spans, oidc: None, strangers: Strangers::default(), tokens }
    }

    /// Lets people sign in elsewhere as well.
    #[must_use]
    pub fn with_oidc(self, oidc: Option<Oidc>) -> Self {
        Self { oidc, ..self }
    }

    /// Returns the counts of those who show tokens that are nobody's.
    pub fn strangers(&self) -> &Strangers {
        &self.strangers
    }
}
