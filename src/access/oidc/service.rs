//! Sending browsers away, and letting in who comes back.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::TimeDelta;
use url::Url;

use super::model::{Identity, Returned, Settings, Ticket, changes, identity, refused};
use super::provider::{self, Proof};
use super::store;
use crate::access::context::Access;
use crate::access::model::{Caller, hash};
use crate::access::roles::{RoleName, service as roles, store as grants};
use crate::access::scope::BuiltIn;
use crate::access::sessions::{Knock, Login};
use crate::access::users::{Change, User, blank, name, store as users};
use crate::audit::{Event, Record};
use crate::base::{Actor, Error, Result, Secret, Vault};
use crate::db::Tx;
use crate::outbound::Http;

/// How long a sign-in may take.
const PATIENCE: TimeDelta = TimeDelta::minutes(10);

/// Where the cookie is sealed for.
const PLACE: &str = "oidc:ticket";

/// What signing in elsewhere stands on; clones share it.
#[derive(Debug, Clone)]
pub struct Oidc {
    settings: Arc<Settings>,
    http: Http,
    vault: Vault,
}

/// Where a browser goes, and what it keeps until it comes back.
#[derive(Debug, Clone)]
pub struct Departure {
    /// The page of the provider.
    pub url: Url,
    /// What the browser keeps, sealed.
    pub cookie: String,
    /// For how long, in seconds.
    pub patience_s: i64,
}

impl Oidc {
    /// Takes the settings, and what is needed to speak and to seal.
    pub fn new(settings: Settings, http: Http, vault: Vault) -> Self {
        Self { settings: Arc::new(settings), http, vault }
    }
}

impl Access {
    /// Sends a browser to the provider.
    ///
    /// # Errors
    /// [`Error::NotFound`] if no provider is set, [`Error::Unavailable`] if it does not answer.
    pub async fn depart(&self) -> Result<Departure> {
        let oidc = self.oidc()?;
        let asked = provider::ask(oidc.http.clone(), Arc::clone(&oidc.settings)).await?;
        let ends_at = self.db.clock().now() + PATIENCE;
        let ticket = Ticket { state: asked.state, nonce: asked.nonce, verifier: asked.verifier, ends_at };
        let text = serde_json::to_string(&ticket).map_err(|error| Error::internal("cannot write a ticket", error))?;
        let cookie = oidc.vault.seal(&Secret::new(text), PLACE);
        Ok(Departure { url: asked.url, cookie, patience_s: PATIENCE.num_seconds() })
    }

    /// Lets in who comes back from the provider with the cookie of [`Access::depart`].
    ///
    /// # Errors
    /// [`Error::Forbidden`] if the provider does not vouch for the person, the browser is another one, the state was used before, or
    /// there is no account and none is made; [`Error::Unavailable`] if the provider does not answer.
    pub async fn arrive(&self, returned: &Returned, cookie: Option<&str>, knock: &Knock) -> Result<Login> {
        let oidc = self.oidc()?;
        let now = self.db.clock().now();
        let sealed = cookie.ok_or_else(|| refused("this browser has not begun a sign-in"))?;
        let opened = oidc.vault.open(sealed, PLACE).map_err(|_| refused("this browser has not begun a sign-in"))?;
        let ticket: Ticket =
            serde_json::from_str(opened.expose()).map_err(|_| refused("this browser has not begun a sign-in"))?;
        ticket.check(returned.state.as_deref(), now)?;
        if returned.error.is_some() {
            return Err(refused("the provider did not let you in"));
        }
        let code = returned.code.as_deref().ok_or_else(|| refused("the provider sent no code"))?;
        let mut tx = self.db.begin().await?;
        if !store::use_up(&mut tx, &hash(&ticket.state), now - PATIENCE).await? {
            return Err(refused("this sign-in was finished before"));
        }
        tx.commit().await?;
        let proof = Proof { code: code.to_owned(), nonce: ticket.nonce, verifier: ticket.verifier };
        let clock = self.db.clock().clone();
        let claims = provider::claims(oidc.http.clone(), Arc::clone(&oidc.settings), clock, proof).await?;
        let found = identity(&claims, &oidc.settings)?;
        let mut tx = self.db.begin().await?;
        let user = account(&mut tx, &oidc.settings, &found).await?;
        if user.disabled_at.is_some() {
            return Err(refused(format!("{} may not come in", user.name)));
        }
        follow(&mut tx, &oidc.settings, &user, &found.roles).await?;
        let login = self.begin(&mut tx, user, None, knock, "oidc").await?;
        tx.commit().await?;
        Ok(login)
    }

    fn oidc(&self) -> Result<&Oidc> {
        self.oidc.as_ref().ok_or_else(|| Error::not_found("provider of sign-ins", "here: set access.oidc.issuer"))
    }
}

/// Finds the account of somebody, or makes one if that is wanted.
async fn account(tx: &mut Tx, settings: &Settings, found: &Identity) -> Result<User> {
    if let Some(user) = store::by_subject(tx, &found.subject).await? {
        return Ok(user);
    }
    let actor = Actor::system(settings.tenant.clone(), "oidc");
    let name = name(&found.name)?;
    if let Some(user) = users::by_name(tx, &name).await? {
        // An account with a password is somebody's here, whatever the provider calls others.
        if !store::bind(tx, user.id, &found.subject).await? {
            return Err(refused(format!("the name {name} is somebody else's account here")));
        }
        tx.record(&actor, Event::new("user.bind", "user", &user.id)).await?;
        return Ok(user);
    }
    if !settings.auto_create {
        return Err(refused(format!("there is no account for {name}")));
    }
    let change = Change { display_name: found.display_name.clone(), email: found.email.clone(), ..Change::default() };
    let user = blank(settings.tenant.clone(), name, tx.now(), &change)?;
    if !users::insert(tx, &user, None, Some(&found.subject)).await? {
        return Err(refused("somebody else signs in with this name at this moment"));
    }
    users::join(tx, &settings.tenant, user.id).await?;
    tx.record(&actor, Event::new("user.create", "user", &user.id).after(&user)).await?;
    Ok(user)
}

/// Makes the roles that the provider keeps those that it tells.
async fn follow(tx: &mut Tx, settings: &Settings, user: &User, told: &BTreeSet<RoleName>) -> Result<()> {
    if settings.roles_claim.is_empty() || users::member(tx, &settings.tenant, user.id).await?.is_none() {
        return Ok(());
    }
    let held = grants::grants_of(tx, &settings.tenant, user.id).await?;
    let held = held.into_iter().filter(|grant| grant.business_id.is_none()).map(|grant| grant.role).collect();
    let kept = settings.roles.values().cloned().collect();
    let (grant, take) = changes(&held, &kept, told);
    let actor = Actor::system(settings.tenant.clone(), "oidc");
    let caller = Caller { actor, scopes: BuiltIn::Admin.scopes(), person: None };
    for role in &grant {
        roles::grant_in(tx, &caller, user, role, None).await?;
    }
    for role in &take {
        roles::revoke_in(tx, &caller, user, role, None).await?;
    }
    Ok(())
}
