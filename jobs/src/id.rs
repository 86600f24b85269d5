//! The names that travel: jobs, batches, queues, groups, kinds, workers.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A name that does not fit its rule; the text says which rule and what was given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {given:?} is not valid: {rule}")]
pub struct Invalid {
    what: &'static str,
    given: String,
    rule: &'static str,
}

impl Invalid {
    pub(crate) fn new(what: &'static str, given: impl fmt::Display, rule: &'static str) -> Self {
        Self { what, given: given.to_string(), rule }
    }
}

/// Defines an id that is a `UUIDv7`, so that ids sort by the millisecond in which they were made.
macro_rules! uuid_name {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(value_type = String, format = Uuid))]
        pub struct $name(Uuid);

        impl $name {
            /// Makes a new id from the clock and randomness.
            #[allow(clippy::new_without_default, reason = "each call gives another value")]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }

            /// Returns the 16 bytes that stores keep.
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// Reads the 16 bytes that `as_bytes` gave; `None` for any other length.
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                Uuid::from_slice(bytes).ok().map(Self)
            }

            /// Returns the instant in the id, in milliseconds since 1970; 0 if the id is of another UUID version.
            pub fn created_at_ms(&self) -> i64 {
                self.0.get_timestamp().map_or(0, |at| {
                    let (seconds, nanos) = at.to_unix();
                    seconds as i64 * 1000 + i64::from(nanos) / 1_000_000
                })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = Invalid;

            fn from_str(text: &str) -> Result<Self, Invalid> {
                Uuid::parse_str(text).map(Self).map_err(|_| Invalid {
                    what: $what,
                    given: text.to_owned(),
                    rule: "it is a UUID such as 019aa8c2-7c1e-7000-8000-000000000000",
                })
            }
        }
    };
}

uuid_name!(
    /// Identifies one job everywhere; pushing the same id twice is one job.
    JobId, "job id"
);

uuid_name!(
    /// Identifies one batch of jobs; opening the same id twice is one batch.
    BatchId, "batch id"
);

/// Identifies one life of a worker process: random, made anew at each start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(value_type = String, example = "00c0ffee00c0ffee"))]
pub struct WorkerId(u64);

impl WorkerId {
    /// Draws a new id.
    #[allow(clippy::new_without_default, reason = "each call gives another value")]
    pub fn new() -> Self {
        Self(rand::random())
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for WorkerId {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid = || Invalid { what: "worker id", given: text.to_owned(), rule: "it is 16 hexadecimal digits" };
        if text.len() != 16 {
            return Err(invalid());
        }
        u64::from_str_radix(text, 16).map(Self).map_err(|_| invalid())
    }
}

impl Serialize for WorkerId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for WorkerId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Defines a name held as text: its rule is checked at construction and at decoding. A job's names are copied many times on its way,
/// so that copies share the text.
macro_rules! text_name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(value_type = String))]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks the text and wraps it.
            ///
            /// # Errors
            /// [`Invalid`] if the text does not follow the rule.
            pub fn new(text: impl Into<Arc<str>>) -> Result<Self, Invalid> {
                let text = text.into();
                Self::check(&text).map(|()| Self(text))
            }

            /// Checks a text without wrapping it.
            ///
            /// # Errors
            /// [`Invalid`] if the text does not follow the rule.
            pub fn check(text: &str) -> Result<(), Invalid> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) { Ok(()) } else { Err(Invalid::new($what, text, $rule)) }
            }

            /// Returns the text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = Invalid;

            fn from_str(text: &str) -> Result<Self, Invalid> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = Invalid;

            fn try_from(text: String) -> Result<Self, Invalid> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0.as_ref().to_owned()
            }
        }
    };
}

fn plain(text: &str, extra: &[u8]) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || extra.contains(&b))
}

text_name!(
    /// Names a queue.
    QueueName, "queue", "1 to 64 characters of a-z, 0-9, '_' and '-'", |text| plain(text, b"_-")
);

impl QueueName {
    /// Copies the text too, for another thread: threads that count copies of one text at once wait for each other.
    pub(crate) fn apart(&self) -> Self {
        Self(self.as_str().into())
    }
}

text_name!(
    /// Names what a job does, as `subject.verb`; stable on the wire.
    Kind, "kind", "1 to 64 characters of a-z, 0-9, '_' and at least one '.' as in work_orders.sync",
    |text| plain(text, b"_.") && text.contains('.')
);

text_name!(
    /// Names jobs that share limits, such as "site:7".
    GroupKey, "group", "1 to 128 bytes without control characters",
    |text| (1..=128).contains(&text.len()) && !text.chars().any(char::is_control)
);

impl Default for QueueName {
    fn default() -> Self {
        Self("default".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_their_rule() {
        for (text, queue, kind) in [
            ("default", true, false),
            ("work_orders.sync", false, true),
            ("a-b", true, false),
            ("", false, false),
            ("Upper.case", false, false),
            ("{tag}", false, false),
        ] {
            assert_eq!(QueueName::new(text).is_ok(), queue, "queue {text:?}");
            assert_eq!(Kind::new(text).is_ok(), kind, "kind {text:?}");
        }
    }

    #[test]
    fn ids_survive_text_and_bytes() {
        let id = JobId::new();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(JobId::from_slice(id.as_bytes()), Some(id));
        assert!(id.created_at_ms() > 1_600_000_000_000);
        let worker = WorkerId(42);
        assert_eq!(worker.to_string(), "000000000000002a");
        assert_eq!(worker.to_string().parse(), Ok(worker));
    }
}
