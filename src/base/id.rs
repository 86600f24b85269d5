//! Ids: newtypes over UUIDv7, kept as text in both databases, so that a dump reads the same everywhere.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A text that is not the id it was given for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {given:?} is not valid: {rule}")]
pub struct BadId {
    /// What the id names.
    pub what: &'static str,
    /// What was given.
    pub given: String,
    /// What it has to look like.
    pub rule: &'static str,
}

impl BadId {
    /// Says that a text is not a UUID.
    pub fn not_a_uuid(what: &'static str, given: &str) -> Self {
        let given = given.chars().take(64).collect();
        Self { what, given, rule: "it is a UUID such as 019aa8c2-7c1e-7000-8000-000000000000" }
    }
}

/// Makes a type bind and read as the text that its `Display` writes and its `FromStr` reads, on every database.
#[macro_export]
macro_rules! sql_text {
    ($name:ty) => {
        impl<DB: ::sqlx::Database> ::sqlx::Type<DB> for $name
        where
            String: ::sqlx::Type<DB>,
        {
            fn type_info() -> DB::TypeInfo {
                <String as ::sqlx::Type<DB>>::type_info()
            }

            fn compatible(info: &DB::TypeInfo) -> bool {
                <String as ::sqlx::Type<DB>>::compatible(info)
            }
        }

        impl<'q, DB: ::sqlx::Database> ::sqlx::Encode<'q, DB> for $name
        where
            String: ::sqlx::Encode<'q, DB>,
        {
            fn encode_by_ref(
                &self,
                buffer: &mut <DB as ::sqlx::Database>::ArgumentBuffer,
            ) -> ::std::result::Result<::sqlx::encode::IsNull, ::sqlx::error::BoxDynError> {
                <String as ::sqlx::Encode<'q, DB>>::encode(self.to_string(), buffer)
            }
        }

        impl<'r, DB: ::sqlx::Database> ::sqlx::Decode<'r, DB> for $name
        where
            String: ::sqlx::Decode<'r, DB>,
        {
            fn decode(
                value: <DB as ::sqlx::Database>::ValueRef<'r>,
            ) -> ::std::result::Result<Self, ::sqlx::error::BoxDynError> {
                Ok(<String as ::sqlx::Decode<'r, DB>>::decode(value)?.parse::<Self>()?)
            }
        }
    };
}

/// Defines an id: `id!(/// Identifies one ticket. TicketId, "ticket");`
#[macro_export]
macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, ::serde::Serialize, ::serde::Deserialize,
            ::utoipa::ToSchema,
        )]
        #[serde(transparent)]
        #[schema(value_type = String, format = Uuid)]
        pub struct $name(::uuid::Uuid);

        impl $name {
            /// Makes a new id; ids sort by the millisecond in which they were made.
            #[allow(clippy::new_without_default, reason = "each call gives another value")]
            pub fn new() -> Self {
                Self(::uuid::Uuid::now_v7())
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                ::std::fmt::Display::fmt(&self.0, f)
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = $crate::base::BadId;

            fn from_str(text: &str) -> ::std::result::Result<Self, Self::Err> {
                ::uuid::Uuid::parse_str(text).map(Self).map_err(|_| $crate::base::BadId::not_a_uuid($what, text))
            }
        }

        $crate::sql_text!($name);
    };
}

id!(
    /// Identifies one person.
    UserId, "user"
);

/// Identifies one tenant: a short name that people can read.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, example = "default")]
pub struct TenantId(String);

impl TenantId {
    /// Checks the text and wraps it.
    ///
    /// # Errors
    /// [`BadId`] unless it is 1 to 64 characters of a-z, 0-9, '_' and '-'.
    pub fn new(text: impl Into<String>) -> std::result::Result<Self, BadId> {
        let text = text.into();
        let fits = (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-');
        if fits {
            return Ok(Self(text));
        }
        let given = text.chars().take(64).collect();
        Err(BadId { what: "tenant", given, rule: "it is 1 to 64 characters of a-z, 0-9, '_' and '-'" })
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for TenantId {
    fn default() -> Self {
        Self("default".to_owned())
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TenantId {
    type Err = BadId;

    fn from_str(text: &str) -> std::result::Result<Self, BadId> {
        Self::new(text)
    }
}

impl TryFrom<String> for TenantId {
    type Error = BadId;

    fn try_from(text: String) -> std::result::Result<Self, BadId> {
        Self::new(text)
    }
}

impl From<TenantId> for String {
    fn from(tenant: TenantId) -> Self {
        tenant.0
    }
}

crate::sql_text!(TenantId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_survive_text_and_json() {
        let id = UserId::new();
        assert_eq!(id.to_string().parse(), Ok(id));
        let json = serde_json::to_string(&id).expect("an id is text");
        assert_eq!(serde_json::from_str::<UserId>(&json).expect("reads back"), id);
    }

    #[test]
    fn a_wrong_id_names_itself_and_the_rule() {
        let error = "42".parse::<UserId>().expect_err("not a uuid");
        assert!(error.to_string().starts_with("user \"42\" is not valid: it is a UUID"), "{error}");
    }

    #[test]
    fn tenants_are_short_plain_names() {
        for (text, fits) in [("default", true), ("acme-2_b", true), ("", false), ("Acme", false), ("a b", false)] {
            assert_eq!(TenantId::new(text).is_ok(), fits, "{text:?}");
        }
        assert!(TenantId::new("x".repeat(65)).is_err());
    }
}
