//! What can go wrong before there is an answer to judge. No message holds a header, a query or a body.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::policy::Refusal;

/// What hindered a connection, as far as the parts below say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hindrance {
    /// The name of the host is not known.
    Name,
    /// The certificate is not trusted, or the other side does not speak TLS.
    Tls,
    /// Nobody listens there, or something in between.
    Other,
}

/// Why there is no whole answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection, or it broke before the answer began.
    #[error("cannot reach {host}")]
    Unreachable {
        /// Scheme, host and port.
        host: String,
        /// What hindered it.
        hindrance: Hindrance,
        /// What the client said.
        #[source]
        source: reqwest::Error,
    },
    /// The time was up.
    #[error("{host} did not answer in time ({connect_timeout_s} s to connect, {timeout_s} s in all)")]
    TimedOut {
        /// Scheme, host and port.
        host: String,
        /// The time for a connection, in seconds.
        connect_timeout_s: u64,
        /// The time for the whole, in seconds.
        timeout_s: u64,
    },
    /// The answer broke off.
    #[error("the answer of {host} broke off")]
    Truncated {
        /// Scheme, host and port.
        host: String,
        /// What the client said.
        #[source]
        source: reqwest::Error,
    },
    /// The answer is too large to be read.
    #[error(
        "the answer of {host} is larger than {max_bytes} bytes: ask for less at once, or raise outbound.max_answer_bytes"
    )]
    TooLarge {
        /// Scheme, host and port.
        host: String,
        /// The largest that is read.
        max_bytes: usize,
    },
    /// The other side points elsewhere.
    #[error("{host} redirects to another host or in circles: give the final address")]
    Redirected {
        /// Scheme, host and port.
        host: String,
    },
    /// The address must not be called.
    #[error("{host} is a {refusal}")]
    Refused {
        /// Scheme, host and port.
        host: String,
        /// Why, and the cure.
        refusal: Refusal,
    },
    /// The request itself cannot be made.
    #[error("the request to {host} cannot be made")]
    Request {
        /// Scheme, host and port.
        host: String,
        /// What the client said.
        #[source]
        source: reqwest::Error,
    },
    /// The host has failed too often in a row and is left alone for a while.
    #[error("{host} is not called before {until}: too many calls in a row have failed, the last with {saw}")]
    Resting {
        /// Scheme, host and port.
        host: String,
        /// When it is tried again.
        until: DateTime<Utc>,
        /// How long that is.
        wait: Duration,
        /// What the last failure looked like.
        saw: String,
    },
    /// The host asked to be left alone for a while.
    #[error("{host} is not called before {until}: it asked to wait so long")]
    Asked {
        /// Scheme, host and port.
        host: String,
        /// Until when.
        until: DateTime<Utc>,
        /// How long that is.
        wait: Duration,
    },
    /// As many calls as allowed are under way, and none ended in time.
    #[error(
        "{per_host} calls to {host} are under way, and none ended in time: raise outbound.per_host if it can take more at once"
    )]
    Crowded {
        /// Scheme, host and port.
        host: String,
        /// How many are allowed.
        per_host: usize,
    },
}

impl Error {
    /// Returns the name of the case, for figures.
    pub(super) fn outcome(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::TimedOut { .. } => "timed_out",
            Self::Truncated { .. } => "truncated",
            Self::TooLarge { .. } => "too_large",
            Self::Redirected { .. } => "redirected",
            Self::Refused { .. } => "refused",
            Self::Request { .. } => "request",
            Self::Resting { .. } => "resting",
            Self::Asked { .. } => "asked",
            Self::Crowded { .. } => "crowded",
        }
    }
}
