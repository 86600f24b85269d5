//! Roles, grants, and what follows from them.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::access::scope::{BuiltIn, Scopes};
use crate::base::{BadId, UserId};

/// Defines a checked text.
macro_rules! checked {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $example:literal, $fits:expr) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
        )]
        #[serde(try_from = "String", into = "String")]
        #[schema(value_type = String, example = $example)]
        pub struct $name(String);

        impl $name {
            /// Checks the text and wraps it.
            ///
            /// # Errors
            /// [`BadId`] tells the rule.
            pub fn new(text: impl Into<String>) -> Result<Self, BadId> {
                let text = text.into();
                let fits: fn(char) -> bool = $fits;
                if (1..=64).contains(&text.chars().count()) && text.chars().all(fits) {
                    return Ok(Self(text));
                }
                Err(BadId { what: $what, given: text.chars().take(64).collect(), rule: $rule })
            }

            /// Returns the text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadId;

            fn try_from(text: String) -> Result<Self, BadId> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        crate::sql_text!($name);
    };
}

checked!(
    /// The short name of a role, unique within its tenant.
    RoleName, "role", "it is 1 to 64 characters of a-z, 0-9, '_' and '-'", "operator",
    |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-'
);

checked!(
    /// A business, as a CMDB names it.
    BusinessId, "business", "it is 1 to 64 characters without spaces", "2005000002",
    |c| !c.is_whitespace() && !c.is_control()
);

impl From<BuiltIn> for RoleName {
    fn from(role: BuiltIn) -> Self {
        Self(role.as_str().to_owned())
    }
}

/// A role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Role {
    /// Its short name.
    pub name: RoleName,
    /// Its name for people, in their language.
    pub label: String,
    /// What it is for.
    pub description: String,
    /// What it may do in the API.
    pub scopes: Scopes,
    /// Whether every tenant has it; such a role cannot be changed.
    pub built_in: bool,
    /// Counts its changes.
    pub version: i64,
}

impl Role {
    /// Describes a role that every tenant has.
    pub(super) fn built_in(role: BuiltIn) -> Self {
        let (label, description) = match role {
            BuiltIn::Viewer => ("Viewer", "Looks at everything but access and the audit record."),
            BuiltIn::Operator => ("Operator", "Keeps jobs, queues, schedules and syncs running."),
            BuiltIn::Approver => ("Approver", "Decides on changes and on the calendar of freezes."),
            BuiltIn::Admin => ("Administrator", "Does everything."),
        };
        let (label, description) = (label.to_owned(), description.to_owned());
        Self { name: role.into(), label, description, scopes: role.scopes(), built_in: true, version: 0 }
    }
}

/// A role as a tenant wants it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RoleDraft)]
pub struct Draft {
    /// Its name for people; its short name if left out.
    pub label: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// What it may do in the API; nothing if left out.
    pub scopes: Option<Scopes>,
    /// The version that is changed; a conflict if it has moved on.
    pub version: Option<i64>,
}

/// One role of one person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Grant {
    /// The person.
    pub user_id: UserId,
    /// The role.
    pub role: RoleName,
    /// The business for which it counts; null for everything.
    pub business_id: Option<BusinessId>,
    /// Who granted it.
    pub granted_by: String,
    /// When it was granted.
    pub created_at: DateTime<Utc>,
}

/// What a person is and may do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Effective {
    /// Its roles.
    pub roles: BTreeSet<RoleName>,
    /// What they allow together.
    pub scopes: Scopes,
}

/// Tells what grants in one tenant amount to: for a business those for everything and those for it, else those for everything.
/// A role that is not among `roles` is nothing.
pub fn effective(grants: &[Grant], roles: &[Role], business: Option<&BusinessId>) -> Effective {
    let counts = |grant: &&Grant| grant.business_id.is_none() || grant.business_id.as_ref() == business;
    sum(grants.iter().filter(counts), roles)
}

/// Tells the most that grants allow, whatever the business.
pub fn reach(grants: &[Grant], roles: &[Role]) -> Scopes {
    sum(grants.iter(), roles).scopes
}

fn sum<'a>(grants: impl Iterator<Item = &'a Grant>, roles: &[Role]) -> Effective {
    let held = grants.filter_map(|grant| roles.iter().find(|role| role.name == grant.role));
    held.fold(Effective::default(), |mut all, role| {
        all.roles.insert(role.name.clone());
        all.scopes = all.scopes.with(&role.scopes);
        all
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> RoleName {
        RoleName::new(text).expect("a role")
    }

    fn business(text: &str) -> BusinessId {
        BusinessId::new(text).expect("a business")
    }

    #[test]
    fn a_grant_for_everything_counts_everywhere_and_one_for_a_business_there() {
        let desk = Role {
            name: name("qc"),
            scopes: Scopes::read("audit:read"),
            built_in: false,
            ..Role::built_in(BuiltIn::Viewer)
        };
        let roles = [Role::built_in(BuiltIn::Viewer), Role::built_in(BuiltIn::Operator), desk];
        let grant = |role: &str, of: Option<&str>| Grant {
            user_id: UserId::new(),
            role: name(role),
            business_id: of.map(business),
            granted_by: String::new(),
            created_at: DateTime::UNIX_EPOCH,
        };
        let grants = [grant("viewer", None), grant("operator", Some("7")), grant("qc", Some("8")), grant("gone", None)];
        for (asked, expected, scope, allowed) in [
            (None, &["viewer"][..], "jobs:write", false),
            (Some("7"), &["operator", "viewer"], "jobs:write", true),
            (Some("8"), &["qc", "viewer"], "audit:read", true),
            (Some("9"), &["viewer"], "audit:read", false),
        ] {
            let found = effective(&grants, &roles, asked.map(business).as_ref());
            let names: Vec<&str> = found.roles.iter().map(RoleName::as_str).collect();
            assert_eq!(names, expected, "{asked:?}");
            assert_eq!(found.scopes.allow(scope.parse().expect("a scope")), allowed, "{asked:?} {scope}");
        }
        assert!(reach(&grants, &roles).cover(&Scopes::read("jobs:write audit:read")));
        assert_eq!(effective(&[], &roles, None), Effective::default());
    }

    #[test]
    fn names_of_roles_are_plain_and_businesses_are_what_a_cmdb_says() {
        for (text, role, business) in
            [("qc", true, true), ("QC", false, true), ("运维", false, true), ("", false, false), ("a b", false, false)]
        {
            assert_eq!((RoleName::new(text).is_ok(), BusinessId::new(text).is_ok()), (role, business), "{text:?}");
        }
    }
}
