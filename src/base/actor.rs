//! Who does something, and from where. Use cases that change something take an [`Actor`] and note it in the audit record.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::TenantId;

crate::id!(
    /// Identifies one request that bears an idempotency key, so that its effects can be found again.
    ClaimId, "claim"
);

/// What kind of someone acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ActorKind {
    /// A program with an API token.
    Token,
    /// A person who signed in.
    User,
    /// Somebody at the command line of a host.
    Terminal,
    /// The program itself: a schedule, a worker.
    System,
}

impl ActorKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Token, Self::User, Self::Terminal, Self::System];

    /// Returns the name in the database and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::User => "user",
            Self::Terminal => "terminal",
            Self::System => "system",
        }
    }
}

impl fmt::Display for ActorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is no kind of actor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no kind of actor: it is token, user, terminal or system")]
pub struct NoActorKind(String);

impl FromStr for ActorKind {
    type Err = NoActorKind;

    fn from_str(text: &str) -> Result<Self, NoActorKind> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| NoActorKind(text.to_owned()))
    }
}

crate::sql_text!(ActorKind);

/// Who acts, in which tenant, from where and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The tenant in which it acts.
    pub tenant: TenantId,
    /// What it is.
    pub kind: ActorKind,
    /// The id of the token or the user.
    pub id: Option<String>,
    /// The name of the token, the user, the account of the host or the part of the program.
    pub name: String,
    /// From where a request came.
    pub address: Option<IpAddr>,
    /// The id of the request.
    pub request_id: Option<String>,
    /// Why, in the words of who acts.
    pub reason: Option<String>,
    /// The request's claim, if it bears an idempotency key.
    pub claim: Option<ClaimId>,
}

impl Actor {
    /// Names a part of the program itself.
    pub fn system(tenant: TenantId, name: impl Into<String>) -> Self {
        Self::new(tenant, ActorKind::System, name)
    }

    /// Names who sits at the command line, by the account of the host.
    pub fn terminal(tenant: TenantId) -> Self {
        let account = ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
        Self::new(tenant, ActorKind::Terminal, account.unwrap_or_else(|| "unknown".to_owned()))
    }

    /// Names someone of whom nothing else is known yet.
    pub fn new(tenant: TenantId, kind: ActorKind, name: impl Into<String>) -> Self {
        Self { tenant, kind, id: None, name: name.into(), address: None, request_id: None, reason: None, claim: None }
    }
}

/// As in `token ci` or `user dana`.
impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_survive_their_name() {
        for kind in ActorKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
        assert!("robot".parse::<ActorKind>().is_err());
    }

    #[test]
    fn an_actor_reads_as_a_sentence_needs_it() {
        assert_eq!(Actor::system(TenantId::default(), "scheduler").to_string(), "system scheduler");
    }
}
