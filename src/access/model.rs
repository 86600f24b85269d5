//! Tokens and who shows them.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::roles::RoleName;
use super::scope::{BuiltIn, Scope, Scopes};
use super::sessions::{SessionId, Visitor};
use crate::base::{Actor, ActorKind, Error, Result, Secret, TenantId, UserId};

crate::id!(
    /// Identifies one API token, not its secret.
    TokenId, "token"
);

/// In front of every token, so that people and scanners of repositories know one when they see it.
const PREFIX: &str = "dkh_";
const RANDOM_CHARS: usize = 43;
const CHECKSUM_CHARS: usize = 6;

/// Who is calling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Who that is, for the audit record.
    pub actor: Actor,
    /// What it may do.
    pub scopes: Scopes,
    /// The person behind it; `None` for a token.
    pub person: Option<Person>,
}

/// A person who signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The person.
    pub user: UserId,
    /// The session with which it came.
    pub session: SessionId,
    /// Its roles in the tenant.
    pub roles: BTreeSet<RoleName>,
    /// Whether it has to choose a password before anything else.
    pub must_change_password: bool,
}

impl Caller {
    /// Lets somebody at the command line of a host do everything in a tenant.
    pub fn terminal(tenant: TenantId) -> Self {
        Self { actor: Actor::terminal(tenant), scopes: BuiltIn::Admin.scopes(), person: None }
    }

    /// Turns a token into the caller of a request.
    pub fn token(token: TokenInfo) -> Self {
        let scopes = Scopes::read(&token.scopes);
        let actor =
            Actor { id: Some(token.id.to_string()), ..Actor::new(token.tenant_id, ActorKind::Token, token.name) };
        Self { actor, scopes, person: None }
    }

    /// Turns a visitor into the caller of a request.
    pub fn visitor(visitor: Visitor) -> Self {
        let Visitor { session, user, tenant, effective } = visitor;
        let actor = Actor { id: Some(user.id.to_string()), ..Actor::new(tenant, ActorKind::User, user.name) };
        let must_change_password = user.must_change_password;
        let person = Person { user: user.id, session, roles: effective.roles, must_change_password };
        Self { actor, scopes: effective.scopes, person: Some(person) }
    }

    /// Says no if others may do more: nobody hands out or takes what is not theirs.
    ///
    /// # Errors
    /// [`Error::Forbidden`] names what is missing.
    pub fn must_cover(&self, scopes: &Scopes) -> Result<()> {
        let missing: Vec<&str> = scopes.iter().filter(|scope| !self.scopes.allow(*scope)).map(Scope::as_str).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let message =
            format!("this would reach further than {} itself may: it lacks {}", self.actor, missing.join(", "));
        Err(Error::Forbidden { message })
    }

    /// Returns the person behind the call.
    ///
    /// # Errors
    /// [`Error::Conflict`] (`no_person`) for a token.
    pub fn must_be_person(&self) -> Result<&Person> {
        let cure = || format!("{} is no person: sign in to do this", self.actor);
        self.person.as_ref().ok_or_else(|| Error::conflict("no_person", cure()))
    }

    /// Returns the tenant in which it acts.
    pub fn tenant(&self) -> &TenantId {
        &self.actor.tenant
    }

    /// Says no if it may not do what a scope stands for.
    ///
    /// # Errors
    /// [`Error::Forbidden`] names the scope.
    pub fn must(&self, scope: Scope) -> Result<()> {
        if self.scopes.allow(scope) {
            return Ok(());
        }
        let message = format!("{} lacks the scope {scope}: ask an administrator for it", self.actor);
        Err(Error::Forbidden { message })
    }

    /// Says no if it acts in another tenant than the first: what all tenants share is steered from there.
    ///
    /// # Errors
    /// [`Error::Forbidden`] names the tenant.
    pub fn must_steer_all(&self) -> Result<()> {
        let first = TenantId::default();
        if *self.tenant() == first {
            return Ok(());
        }
        let message = format!("all tenants share this: it is steered from tenant {first} only");
        Err(Error::Forbidden { message })
    }
}

/// A token that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewToken {
    /// What it is for.
    pub name: String,
    /// What it is to be allowed.
    pub scopes: Scopes,
    /// When it ends; `None` is never.
    pub expires_at: Option<DateTime<Utc>>,
}

/// What may be told of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct TokenInfo {
    /// The token.
    pub id: TokenId,
    /// Its tenant.
    pub tenant_id: TenantId,
    /// What it is for.
    pub name: String,
    /// What it may do, separated by spaces.
    pub scopes: String,
    /// Who made it; `None` if that was not noted yet.
    pub created_by: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last shown, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
    /// When it ends; `None` is never.
    pub expires_at: Option<DateTime<Utc>>,
}

impl TokenInfo {
    /// Says whether the token has ended.
    pub(crate) fn is_expired(&self, now: DateTime<Utc>) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    /// Says whether its last use is worth noting: once a minute, not at each of a thousand requests.
    pub(crate) fn is_use_stale(&self, now: DateTime<Utc>) -> bool {
        self.last_used_at.is_none_or(|last| now - last >= chrono::TimeDelta::minutes(1))
    }
}

/// Draws a new token: 256 bits of randomness, and a checksum, by which a scanner knows a real one without asking us.
pub(crate) fn draw() -> Secret {
    let token = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()));
    let sum = checksum(&token);
    Secret::new(format!("{token}{sum}"))
}

/// Says whether a text looks like a token of ours with a wrong checksum: mistyped, cut off or made up. Tokens of old have none, and
/// those that an operator chose look as they like.
pub(crate) fn is_garbled(token: &str) -> bool {
    let split = token.starts_with(PREFIX).then(|| token.split_at_checked(PREFIX.len() + RANDOM_CHARS)).flatten();
    split.is_some_and(|(token, sum)| sum.len() == CHECKSUM_CHARS && sum != checksum(token))
}

fn checksum(token: &str) -> String {
    let mut text = URL_SAFE_NO_PAD.encode(Sha256::digest(format!("checksum:{token}")));
    text.truncate(CHECKSUM_CHARS);
    text
}

/// Returns what the database keeps of a token. No salt and no slow hash: a token is no password, nobody can guess 256 bits.
pub(crate) fn hash(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(token.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_its_prefix_and_a_checksum() {
        let token = draw();
        let token = token.expose();
        let rest = token.strip_prefix(PREFIX).expect("prefixed");
        assert_eq!(rest.len(), RANDOM_CHARS + CHECKSUM_CHARS);
        assert_ne!(token, draw().expose());
        let other = if token.ends_with('A') { "B" } else { "A" };
        for (text, garbled) in [
            (token.to_owned(), false),
            (format!("{}{other}", &token[..token.len() - 1]), true),
            (token[..PREFIX.len() + RANDOM_CHARS].to_owned(), false),
            ("dkh_short".to_owned(), false),
            ("a-token-that-an-operator-chose".to_owned(), false),
            (format!("dkh_{}", "ä".repeat(25)), false),
        ] {
            assert_eq!(is_garbled(&text), garbled, "{text}");
        }
    }

    #[test]
    fn uses_are_noted_once_a_minute_and_ends_are_ends() {
        let now = DateTime::UNIX_EPOCH + chrono::TimeDelta::days(1);
        let second = chrono::TimeDelta::seconds(1);
        let mut token = TokenInfo {
            id: TokenId::new(),
            tenant_id: TenantId::default(),
            name: "ci".into(),
            scopes: String::new(),
            created_by: None,
            created_at: now,
            last_used_at: None,
            expires_at: None,
        };
        assert!(token.is_use_stale(now) && !token.is_expired(now));
        token.last_used_at = Some(now - second);
        assert!(!token.is_use_stale(now));
        token.expires_at = Some(now);
        assert!(token.is_expired(now) && !token.is_expired(now - second));
    }
}
