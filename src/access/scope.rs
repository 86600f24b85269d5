//! What a caller may do, in words that stand in a token and in the document of the API.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};

/// Defines the scopes, each with its word and its sentence.
macro_rules! scopes {
    ($($variant:ident = $word:literal, $sentence:literal;)+) => {
        /// One permission, `area:verb`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Scope {
            $(#[doc = $sentence] #[serde(rename = $word)] $variant),+
        }

        impl Scope {
            /// All scopes.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Returns the word in tokens and on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// Says in a sentence what it allows.
            pub fn sentence(self) -> &'static str {
                match self { $(Self::$variant => $sentence),+ }
            }
        }
    };
}

scopes! {
    JobsRead = "jobs:read", "Look at jobs and dead letters.";
    JobsWrite = "jobs:write", "Enqueue, retry, cancel, edit, redrive and discard jobs.";
    JobsWork = "jobs:work", "Claim and finish jobs over HTTP, as a worker.";
    QueuesRead = "queues:read", "Look at queues, groups and workers.";
    QueuesWrite = "queues:write", "Pause and resume queues, set limits.";
    SchedulesRead = "schedules:read", "Look at schedules and freeze windows.";
    SchedulesWrite = "schedules:write", "Run, pause, resume and edit schedules.";
    FreezesWrite = "freezes:write", "Edit the calendar of freeze windows.";
    WorkOrdersRead = "work_orders:read", "Look at ticket systems, work orders and sync logs.";
    WorkOrdersWrite = "work_orders:write", "Change ticket systems and work orders, ask for syncs.";
    MetricsRead = "metrics:read", "Scrape the figures.";
    AuditRead = "audit:read", "Read, prove and export the audit record.";
    AccessRead = "access:read", "Look at users, roles, grants and tokens.";
    AccessWrite = "access:write", "Change users, roles, grants and tokens.";
    Admin = "admin", "Everything.";
}

// The words come out of a macro, where the derive does not find them.
impl PartialSchema for Scope {
    fn schema() -> RefOr<Schema> {
        let words = Self::ALL.iter().map(|scope| scope.as_str());
        let text = ObjectBuilder::new().schema_type(SchemaType::Type(Type::String)).enum_values(Some(words));
        text.description(Some("One permission, `area:verb`.")).into()
    }
}

impl ToSchema for Scope {}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is no scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is no scope: the scopes are {}", Scopes::all())]
pub struct NoScope {
    given: String,
}

impl FromStr for Scope {
    type Err = NoScope;

    fn from_str(text: &str) -> Result<Self, NoScope> {
        let found = Self::ALL.iter().copied().find(|scope| scope.as_str() == text);
        found.ok_or_else(|| NoScope { given: text.to_owned() })
    }
}

/// A set of scopes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct Scopes(BTreeSet<Scope>);

impl Scopes {
    /// Returns every scope.
    pub fn all() -> Self {
        Self(Scope::ALL.iter().copied().collect())
    }

    /// Reads what a row keeps: words with spaces between. A word that this version does not know allows nothing.
    pub fn read(text: &str) -> Self {
        Self(text.split_whitespace().filter_map(|word| word.parse().ok()).collect())
    }

    /// Says whether it allows what a scope stands for; [`Scope::Admin`] allows everything.
    pub fn allow(&self, scope: Scope) -> bool {
        self.0.contains(&scope) || self.0.contains(&Scope::Admin)
    }

    /// Says whether it allows all that another set allows.
    pub fn cover(&self, other: &Self) -> bool {
        other.0.iter().all(|scope| self.allow(*scope))
    }

    /// Returns what either set allows.
    #[must_use]
    pub fn with(mut self, other: &Self) -> Self {
        self.0.extend(&other.0);
        self
    }

    /// Walks the scopes in their order.
    pub fn iter(&self) -> impl Iterator<Item = Scope> + '_ {
        self.0.iter().copied()
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().collect())
    }
}

/// Words with spaces between, as a row keeps them.
impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<&str> = self.iter().map(Scope::as_str).collect();
        f.write_str(&words.join(" "))
    }
}

/// A role that every tenant has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum BuiltIn {
    /// Looks at everything but access and the audit record.
    Viewer,
    /// A viewer who keeps jobs, queues, schedules and syncs running.
    Operator,
    /// A viewer who decides: on changes, on the calendar of freezes; reads the audit record.
    Approver,
    /// Everything.
    Admin,
}

impl BuiltIn {
    /// All built-in roles.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Operator, Self::Approver, Self::Admin];

    /// Returns the name in the database and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Approver => "approver",
            Self::Admin => "admin",
        }
    }

    /// Returns what the role may do.
    pub fn scopes(self) -> Scopes {
        use Scope::{
            Admin, AuditRead, FreezesWrite, JobsRead, JobsWrite, MetricsRead, QueuesRead, QueuesWrite, SchedulesRead,
            SchedulesWrite, WorkOrdersRead, WorkOrdersWrite,
        };
        let viewer = [JobsRead, QueuesRead, SchedulesRead, WorkOrdersRead, MetricsRead];
        let more: &[Scope] = match self {
            Self::Viewer => &[],
            Self::Operator => &[JobsWrite, QueuesWrite, SchedulesWrite, WorkOrdersWrite],
            Self::Approver => &[FreezesWrite, AuditRead],
            Self::Admin => &[Admin],
        };
        viewer.into_iter().chain(more.iter().copied()).collect()
    }
}

impl FromStr for BuiltIn {
    type Err = NoBuiltIn;

    fn from_str(text: &str) -> Result<Self, NoBuiltIn> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or_else(|| NoBuiltIn(text.to_owned()))
    }
}

/// A text that is no built-in role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no role that every tenant has: those are viewer, operator, approver and admin")]
pub struct NoBuiltIn(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_survive_their_words_and_unknown_ones_allow_nothing() {
        for scope in Scope::ALL {
            assert_eq!(scope.as_str().parse(), Ok(*scope));
            assert_eq!(serde_json::to_value(scope).expect("JSON"), scope.as_str());
            assert!(scope.sentence().ends_with('.'));
        }
        let read = Scopes::read("jobs:read of_tomorrow:read");
        assert_eq!(read.to_string(), "jobs:read");
        assert!("jobs".parse::<Scope>().expect_err("no scope").to_string().contains("work_orders:read"));
    }

    #[test]
    fn admin_allows_everything_and_nobody_else_does() {
        for role in BuiltIn::ALL {
            let all = Scope::ALL.iter().all(|scope| role.scopes().allow(*scope));
            assert_eq!(all, role == BuiltIn::Admin, "{}", role.as_str());
            assert!(role.scopes().cover(&BuiltIn::Viewer.scopes()), "every role can look");
        }
        assert!(!BuiltIn::Operator.scopes().allow(Scope::AccessRead));
        assert!(!Scopes::read("jobs:read").cover(&Scopes::read("jobs:read jobs:write")));
    }
}
