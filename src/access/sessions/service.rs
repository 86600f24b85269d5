//! Signing in and out, and knowing who comes with a session.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::json;

use super::cookie;
use super::model::{Session, SessionId, Visitor, choose};
use super::store;
use super::throttle::{ACCOUNT, ADDRESS, FORGOTTEN_AFTER, Policy, place_of_address, place_of_name};
use crate::access::context::Access;
use crate::access::model::Caller;
use crate::access::roles::service::effective_of;
use crate::access::users::{User, Verdict, store as users};
use crate::audit::{Event, Record};
use crate::base::clock::later;
use crate::base::{Actor, ActorKind, Error, Result, Secret, TenantId, UserId};
use crate::db::Tx;

/// From where somebody comes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Knock {
    /// The address of the browser.
    pub address: Option<IpAddr>,
    /// What the browser calls itself.
    pub user_agent: Option<String>,
    /// The id of the request.
    pub request_id: Option<String>,
}

/// Somebody who has just signed in.
#[derive(Debug, Clone)]
pub struct Login {
    /// What the browser is to keep; nobody can read it again.
    pub secret: Secret,
    /// The session.
    pub session: Session,
    /// The person.
    pub user: User,
}

/// Longer names are nobody's, and what the browser calls itself is cut.
const MAX_CHARS: usize = 300;

impl Access {
    /// Signs somebody in with a password; `None` if there is nobody with this name and password, without saying which of them is
    /// wrong, and after the same time.
    ///
    /// # Errors
    /// [`Error::TooOften`] if too many attempts by this name or from this address have failed, [`Error::Forbidden`] if the person is
    /// no member of the tenant that is asked for, or of none that is served.
    pub async fn login(
        &self,
        name: &str,
        password: &Secret,
        tenant: Option<&TenantId>,
        knock: &Knock,
    ) -> Result<Option<Login>> {
        let name: String = name.trim().to_lowercase().chars().take(MAX_CHARS).collect();
        self.charge(&name, knock.address).await?;
        let mut tx = self.db.read().await?;
        let user = users::by_name(&mut tx, &name).await?;
        let kept = match &user {
            Some(user) if user.disabled_at.is_none() => users::password_hash(&mut tx, user.id).await?,
            _ => None,
        };
        // Back to the pool: hashing takes its time.
        tx.rollback().await?;
        let verdict = self.passwords.judge(password, kept.as_deref()).await?;
        let Some(user) = user.filter(|_| verdict != Verdict::Wrong) else {
            self.refuse(&name, knock).await?;
            return Ok(None);
        };
        let renewed = match verdict {
            Verdict::Outdated => Some(self.passwords.keep(password).await?),
            Verdict::Right | Verdict::Wrong => None,
        };
        let mut tx = self.db.begin().await?;
        if let Some(hash) = renewed {
            users::set_password_hash(&mut tx, user.id, &hash).await?;
        }
        store::forget_name(&mut tx, &name).await?;
        if let Some(address) = knock.address {
            store::take_back(&mut tx, Kind::Address.as_str(), &place_of_address(address)).await?;
        }
        let login = self.begin(&mut tx, user, tenant, knock, "password").await?;
        tx.commit().await?;
        Ok(Some(login))
    }

    /// Begins a session of somebody who has proved who it is.
    ///
    /// # Errors
    /// [`Error::Forbidden`] if the person is no member of the tenant that is asked for, or of none that is served.
    pub(in crate::access) async fn begin(
        &self,
        tx: &mut Tx,
        user: User,
        tenant: Option<&TenantId>,
        knock: &Knock,
        by: &str,
    ) -> Result<Login> {
        let now = tx.now();
        let memberships = users::memberships(tx, user.id, true).await?;
        let Some(tenant) = choose(tenant, &user.tenant_id, &memberships) else {
            let message = match tenant {
                Some(tenant) => format!("{} is no member of tenant {tenant}: leave the tenant out", user.name),
                None => format!("{} is a member of no tenant that is served: ask an administrator", user.name),
            };
            return Err(Error::Forbidden { message });
        };
        let secret = cookie::draw();
        let session = Session {
            id: SessionId::new(),
            tenant_id: tenant.clone(),
            user_id: user.id,
            address: knock.address.map(|address| address.to_string()),
            user_agent: knock.user_agent.as_ref().map(|agent| agent.chars().take(MAX_CHARS).collect()),
            created_at: now,
            last_used_at: now,
            expires_at: later(now, self.spans.longest),
        };
        store::prune(tx, now).await?;
        store::insert(tx, &session, &crate::access::model::hash(secret.expose())).await?;
        users::note_login(tx, user.id, now).await?;
        let event = Event::new("session.begin", "session", &session.id).after(&json!({"user": user.name, "by": by}));
        tx.record(&actor(&user, tenant, knock), event).await?;
        Ok(Login { secret, session, user })
    }

    /// Tells who comes with a session; `None` if it is nobody's or has ended. `wanted` is the tenant in which it is to act.
    ///
    /// # Errors
    /// [`Error::Forbidden`] if the person is no member of that tenant.
    pub async fn visitor(&self, secret: &str, wanted: Option<&TenantId>) -> Result<Option<Visitor>> {
        let mut tx = self.db.read().await?;
        let now = tx.now();
        let found = store::by_hash(&mut tx, &crate::access::model::hash(secret)).await?;
        let Some(session) = found.filter(|session| !session.is_over(now, self.spans.idle)) else { return Ok(None) };
        let user = users::by_id(&mut tx, session.user_id).await?.filter(|user| user.disabled_at.is_none());
        let Some(user) = user else { return Ok(None) };
        let memberships = users::memberships(&mut tx, user.id, true).await?;
        let tenant = match wanted {
            Some(wanted) if !memberships.contains(wanted) => {
                let message = format!("{} is no member of tenant {wanted}: name one of its own", user.name);
                return Err(Error::Forbidden { message });
            }
            Some(wanted) => wanted.clone(),
            // It never moves to another tenant by itself.
            None if !memberships.contains(&session.tenant_id) => return Ok(None),
            None => session.tenant_id.clone(),
        };
        let effective = effective_of(&mut tx, &tenant, user.id, None).await?;
        // Back to the pool before another one is taken, or many callers at once could take all and wait for each other.
        tx.rollback().await?;
        if session.is_use_stale(now) {
            let mut tx = self.db.begin().await?;
            store::note_use(&mut tx, session.id, now).await?;
            tx.commit().await?;
        }
        Ok(Some(Visitor { session: session.id, user, tenant, effective }))
    }

    /// Lists the sessions of a person, the latest first.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn sessions(&self, user: UserId) -> Result<Vec<Session>> {
        let mut tx = self.db.read().await?;
        let now = tx.now();
        let all = store::of_user(&mut tx, user).await?;
        Ok(all.into_iter().filter(|session| !session.is_over(now, self.spans.idle)).collect())
    }

    /// Ends one session of a person.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the person has none of this id.
    pub async fn end_session(&self, caller: &Caller, user: UserId, id: SessionId) -> Result<()> {
        let mut tx = self.db.begin().await?;
        if !store::end(&mut tx, user, id).await? {
            return Err(Error::not_found("session", &id));
        }
        tx.record(&caller.actor, Event::new("session.end", "session", &id)).await?;
        tx.commit().await
    }

    /// Counts an attempt as failed before it is judged: those that come at once see each other.
    async fn charge(&self, name: &str, address: Option<IpAddr>) -> Result<()> {
        let mut tx = self.db.begin().await?;
        let now = tx.now();
        store::forget_before(&mut tx, now - FORGOTTEN_AFTER).await?;
        let places =
            [Some((Kind::Account, place_of_name(name))), address.map(|a| (Kind::Address, place_of_address(a)))];
        let (mut counted, mut wait) = (Vec::new(), None::<Duration>);
        // The name before the address, always: whoever holds one then waits for the other in the same order.
        for (kind, place) in places.into_iter().flatten() {
            let so_far = store::hold_failures(&mut tx, kind.as_str(), &place).await?;
            wait = wait.max(kind.policy().wait(so_far, now));
            counted.push((kind, place, kind.policy().after(so_far, now)));
        }
        if let Some(wait) = wait {
            tx.rollback().await?;
            let message = "too many attempts to sign in have failed".to_owned();
            return Err(Error::TooOften { message, wait });
        }
        for (kind, place, count) in counted {
            store::set_failures(&mut tx, kind.as_str(), &place, count).await?;
        }
        tx.commit().await
    }

    /// Checks the password of somebody who is in already, counted like a sign-in.
    pub(in crate::access) async fn is_password(
        &self,
        user: &User,
        password: &Secret,
        address: Option<IpAddr>,
    ) -> Result<bool> {
        self.charge(&user.name, address).await?;
        let mut tx = self.db.read().await?;
        let kept = users::password_hash(&mut tx, user.id).await?;
        tx.rollback().await?;
        if self.passwords.judge(password, kept.as_deref()).await? == Verdict::Wrong {
            return Ok(false);
        }
        let mut tx = self.db.begin().await?;
        store::forget_name(&mut tx, &user.name).await?;
        if let Some(address) = address {
            store::take_back(&mut tx, Kind::Address.as_str(), &place_of_address(address)).await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Notes a sign-in that failed. A name that is nobody's is not noted: it may be a password in the wrong field.
    async fn refuse(&self, name: &str, knock: &Knock) -> Result<()> {
        let mut tx = self.db.begin().await?;
        let user = users::by_name(&mut tx, name).await?;
        let now = tx.now();
        let so_far = store::hold_failures(&mut tx, Kind::Account.as_str(), &place_of_name(name)).await?;
        let wait_s = ACCOUNT.wait(so_far, now).map(|wait| wait.as_secs());
        let state = json!({"failures": so_far.failures, "wait_s": wait_s});
        let (actor, id) = match user {
            Some(user) => (actor(&user, user.tenant_id.clone(), knock), user.id.to_string()),
            None => (knocking(TenantId::default(), "nobody of this name", knock), "unknown".to_owned()),
        };
        tx.record(&actor, Event::new("session.refuse", "user", &id).after(&state)).await?;
        tx.commit().await
    }
}

/// What failures are counted by.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Account,
    Address,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Account => store::ACCOUNT_KIND,
            Self::Address => "address",
        }
    }

    fn policy(self) -> Policy {
        match self {
            Self::Account => ACCOUNT,
            Self::Address => ADDRESS,
        }
    }
}

fn actor(user: &User, tenant: TenantId, knock: &Knock) -> Actor {
    Actor { id: Some(user.id.to_string()), ..knocking(tenant, &user.name, knock) }
}

fn knocking(tenant: TenantId, name: &str, knock: &Knock) -> Actor {
    let actor = Actor::new(tenant, ActorKind::User, name);
    Actor { address: knock.address, request_id: knock.request_id.clone(), ..actor }
}
