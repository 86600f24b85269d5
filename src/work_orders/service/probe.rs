//! Trying the address and the credentials of a system, and saying what is wrong with them.

use deskhand_jobs::outcome::chain;
use serde::Serialize;

use super::WorkOrders;
use super::context::adapter_of;
use crate::base::{Result, TenantId};
use crate::work_orders::adapters::{Account, Error, Seen};
use crate::work_orders::model::SystemId;

/// What is wrong with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ConnectionProblem)]
pub enum Problem {
    /// The name of the host is not known.
    Dns,
    /// Nobody listens there, or a firewall is in between.
    Unreachable,
    /// The certificate is not trusted, or the other side does not speak TLS.
    Tls,
    /// No answer came in time.
    Timeout,
    /// The credentials are wrong: 401.
    Unauthorized,
    /// The credentials are right, and may not do this: 403.
    Forbidden,
    /// Somebody answers, but not the API: 404, a redirect or a page for people.
    WrongPath,
    /// It asks to be left alone for a while, or rests after many failures.
    Busy,
    /// It answers with an error of its own.
    ServerError,
    /// It does not understand the request.
    NotAccepted,
}

impl Problem {
    /// Finds out from what a call said.
    fn of(error: &Error) -> Self {
        match (error, error.seen()) {
            (Error::Auth { .. }, Seen::Status(403)) => Self::Forbidden,
            (Error::Auth { .. }, _) => Self::Unauthorized,
            (Error::RateLimited { .. } | Error::Resting { .. }, _) => Self::Busy,
            (Error::Gone { .. }, _)
            | (Error::Permanent { .. }, Seen::Status(404 | 405 | 410) | Seen::Redirect)
            | (Error::Transient { .. }, Seen::OtherAnswer) => Self::WrongPath,
            (Error::Transient { .. }, Seen::UnknownName) => Self::Dns,
            (Error::Transient { .. }, Seen::NoTls) => Self::Tls,
            (Error::Transient { .. }, Seen::Silence) => Self::Timeout,
            (Error::Transient { .. }, Seen::NoConnection) => Self::Unreachable,
            (Error::Transient { .. }, _) => Self::ServerError,
            (Error::Permanent { .. } | Error::Refused { .. } | Error::Conflict { .. }, _) => Self::NotAccepted,
        }
    }

    /// Returns what to do about it.
    fn cure(self) -> &'static str {
        match self {
            Self::Dns => {
                "the name of the host is not known here: look for a slip in api_url, and at the DNS of this host"
            }
            Self::Unreachable => "nobody listens there: check host and port of api_url, and the firewall in between",
            Self::Tls => {
                "the connection is not trusted: check that api_url speaks https on this port, and that its certificate is \
                 signed by one that this host trusts (outbound.ca_file takes one more)"
            }
            Self::Timeout => "no answer came in time: check host and port of api_url, and the firewall in between",
            Self::Unauthorized => {
                "401, the credentials are wrong: enter username, api_key and password of this system anew"
            }
            Self::Forbidden => "403, the account is known and may not do this: give it the permission to read tickets",
            Self::WrongPath => {
                "somebody answers there, but not the API: check the path of api_url and the kind of the system"
            }
            Self::Busy => "it wants to be left alone: try again in a while",
            Self::ServerError => "it answers with an error of its own: look at the system itself",
            Self::NotAccepted => "it does not understand us: check system_type and the settings of this system",
        }
    }
}

/// What a test of a connection found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Probe {
    /// Whether the system answers and accepts the credentials.
    pub success: bool,
    /// What it said, and the cure if it is bad news.
    pub message: String,
    /// What is wrong, in a word for programs.
    pub problem: Option<Problem>,
    /// Who we are there.
    pub account: Option<Account>,
}

impl WorkOrders {
    /// Asks a system who we are there. Bad news is an answer, not an error.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::base::Error::NotFound).
    pub async fn test_connection(&self, tenant: &TenantId, id: SystemId) -> Result<Probe> {
        let system = self.system(tenant, id).await?;
        let connection = self.connect(&system)?;
        Ok(match adapter_of(&system.system_type)?.authenticate(&connection).await {
            Ok(account) => {
                let message = format!("{} knows us as {}", system.api_url, account.name);
                Probe { success: true, message, problem: None, account: Some(account) }
            }
            Err(error) => {
                let problem = Problem::of(&error);
                let message = format!("{}; {}", chain(&error), problem.cure());
                Probe { success: false, message, problem: Some(problem), account: None }
            }
        })
    }
}
