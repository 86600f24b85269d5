//! Settings, what waits in the cookie, and what the provider's claims say.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::access::roles::RoleName;
use crate::base::{Error, Result, Secret, TenantId};

/// The provider, and what its claims mean here.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the provider is, as its tokens name it.
    pub issuer: String,
    /// Who we are there.
    pub client_id: String,
    /// Our password there; empty if it wants none.
    pub client_secret: Secret,
    /// Our address to which the provider sends browsers back.
    pub redirect_url: String,
    /// What is asked for beside `openid`.
    pub scopes: Vec<String>,
    /// The claim that becomes the name of a new account.
    pub user_claim: String,
    /// The claim whose values become roles, with dots for what is within; empty if roles are granted here.
    pub roles_claim: String,
    /// Which value becomes which role.
    pub roles: BTreeMap<String, RoleName>,
    /// Whether somebody without an account gets one.
    pub auto_create: bool,
    /// The tenant of new accounts, in which roles are granted.
    pub tenant: TenantId,
}

/// What a browser comes back with.
#[derive(Debug, Clone, Default)]
pub struct Returned {
    /// What the provider gives out for a token, once.
    pub code: Option<String>,
    /// What we gave the browser to bring back.
    pub state: Option<String>,
    /// Why the provider did not let the person in.
    pub error: Option<String>,
}

/// What waits in the cookie, sealed.
#[derive(Serialize, Deserialize)]
pub(super) struct Ticket {
    pub(super) state: String,
    pub(super) nonce: String,
    pub(super) verifier: String,
    pub(super) ends_at: DateTime<Utc>,
}

impl Ticket {
    /// Says no to a browser that comes back too late or with the state of another.
    pub(super) fn check(&self, state: Option<&str>, now: DateTime<Utc>) -> Result<()> {
        if self.ends_at <= now {
            return Err(refused("the sign-in took too long"));
        }
        if state != Some(self.state.as_str()) {
            return Err(refused("this is not the sign-in that this browser began"));
        }
        Ok(())
    }
}

/// Who somebody is, by the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) subject: String,
    pub(super) name: String,
    pub(super) display_name: Option<String>,
    pub(super) email: Option<String>,
    pub(super) roles: BTreeSet<RoleName>,
}

/// Reads who somebody is from claims that were verified.
pub(super) fn identity(claims: &Value, settings: &Settings) -> Result<Identity> {
    let text = |name: &str| at(claims, name).and_then(Value::as_str).map(str::to_owned);
    let subject = text("sub").ok_or_else(|| refused("the provider does not say who it is"))?;
    let missing = || refused(format!("the provider does not tell the claim {}", settings.user_claim));
    let name = text(&settings.user_claim).ok_or_else(missing)?;
    let is_verified = claims.get("email_verified").is_none_or(|verified| *verified != Value::Bool(false));
    let values = match at(claims, &settings.roles_claim) {
        Some(Value::String(one)) => vec![one.as_str()],
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    Ok(Identity {
        // The same person number at another provider is another person.
        subject: format!("{}|{subject}", settings.issuer),
        name,
        display_name: text("name"),
        email: text("email").filter(|_| is_verified),
        roles: values.into_iter().filter_map(|value| settings.roles.get(value).cloned()).collect(),
    })
}

/// Finds a claim: by its whole name, else step by step at its dots.
fn at<'a>(claims: &'a Value, name: &str) -> Option<&'a Value> {
    claims.get(name).or_else(|| name.split('.').try_fold(claims, |within, step| within.get(step)))
}

/// Tells which roles to grant and which to take so that those that the provider keeps are those that it tells. Roles that it does not
/// keep stay as they are.
pub(super) fn changes(
    held: &BTreeSet<RoleName>,
    kept: &BTreeSet<RoleName>,
    told: &BTreeSet<RoleName>,
) -> (Vec<RoleName>, Vec<RoleName>) {
    let grant = told.difference(held).cloned().collect();
    let take = held.iter().filter(|role| kept.contains(role) && !told.contains(role)).cloned().collect();
    (grant, take)
}

/// Refuses a sign-in.
pub(super) fn refused(why: impl std::fmt::Display) -> Error {
    Error::Forbidden { message: format!("{why}: sign in again, or ask an administrator") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn role(name: &str) -> RoleName {
        RoleName::new(name).expect("a role")
    }

    fn settings() -> Settings {
        Settings {
            issuer: "https://id.example.com".to_owned(),
            client_id: "deskhand".to_owned(),
            client_secret: Secret::new(""),
            redirect_url: String::new(),
            scopes: Vec::new(),
            user_claim: "preferred_username".to_owned(),
            roles_claim: "realm_access.roles".to_owned(),
            roles: [("ops".to_owned(), role("operator"))].into(),
            auto_create: true,
            tenant: TenantId::default(),
        }
    }

    #[test]
    fn claims_say_who_somebody_is_and_which_roles_it_has() {
        let claims = json!({
            "sub": "7", "preferred_username": "dana", "name": "Dana K.", "email": "dana@example.com",
            "realm_access": {"roles": ["ops", "other"]},
        });
        let found = identity(&claims, &settings()).expect("reads");
        assert_eq!((found.subject.as_str(), found.name.as_str()), ("https://id.example.com|7", "dana"));
        assert_eq!(found.roles, [role("operator")].into());
        let unverified =
            json!({"sub": "7", "preferred_username": "d", "email": "x@example.com", "email_verified": false});
        assert_eq!(identity(&unverified, &settings()).expect("reads").email, None);
        let whole = json!({"sub": "7", "preferred_username": "d", "realm_access.roles": "ops"});
        assert_eq!(identity(&whole, &settings()).expect("reads").roles, [role("operator")].into());
        for wrong in [json!({"preferred_username": "dana"}), json!({"sub": "7"})] {
            assert!(identity(&wrong, &settings()).is_err());
        }
    }

    #[test]
    fn roles_that_the_provider_does_not_keep_stay() {
        let set = |names: &[&str]| names.iter().map(|name| role(name)).collect::<BTreeSet<_>>();
        let (grant, take) = changes(&set(&["qc", "admin"]), &set(&["operator", "admin"]), &set(&["operator"]));
        assert_eq!((grant, take), (vec![role("operator")], vec![role("admin")]));
    }

    #[test]
    fn only_the_browser_that_began_may_finish_and_in_time() {
        let now = DateTime::UNIX_EPOCH;
        let ticket = |ends_s| Ticket {
            state: "s".to_owned(),
            nonce: String::new(),
            verifier: String::new(),
            ends_at: now + chrono::TimeDelta::seconds(ends_s),
        };
        for (ends_s, state, fits) in
            [(1, Some("s"), true), (0, Some("s"), false), (1, Some("t"), false), (1, None, false)]
        {
            assert_eq!(ticket(ends_s).check(state, now).is_ok(), fits, "{ends_s} {state:?}");
        }
    }
}
