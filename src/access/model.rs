//! Tokens and who shows them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::scope::{Scope, Scopes};
use crate::base::{Actor, Error, Result, Secret, TenantId};

crate::id!(
    /// Identifies one API token, not its secret.
    TokenId, "token"
);

/// In front of every token, so that people and scanners of repositories know one when they see it.
const PREFIX: &str = "dkh_";

/// Who is calling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Who that is, for the audit record.
    pub actor: Actor,
    /// What it may do.
    pub scopes: Scopes,
}

impl Caller {
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

/// Draws a new token: 256 bits of randomness.
pub(crate) fn draw() -> Secret {
    let bytes: [u8; 32] = rand::random();
    Secret::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)))
}

/// Returns what the database keeps of a token. No salt and no slow hash: a token is no password, nobody can guess 256 bits.
pub(crate) fn hash(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(token.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_its_prefix_and_43_characters() {
        let token = draw();
        let rest = token.expose().strip_prefix(PREFIX).expect("prefixed");
        assert_eq!(rest.len(), 43);
        assert_ne!(token.expose(), draw().expose());
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
