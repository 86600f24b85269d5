//! Making tokens and knowing who shows one.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};

use super::context::Access;
use super::model::{self, Caller, NewToken, TokenId, TokenInfo};
use super::scope::{BuiltIn, Scopes};
use super::{store, tenants, text};
use crate::audit::{Event, Record};
use crate::base::clock::cut;
use crate::base::{Actor, Error, Result, Secret, TenantId, Together};
use crate::db::Db;

/// The name of the first token.
const BOOTSTRAP: &str = "bootstrap";
/// The shortest token that an operator may choose.
const MIN_CHOSEN_CHARS: usize = 16;

/// Sees to it that there is a first token: the given one, which replaces an earlier bootstrap token, or a new one if there is no
/// token at all. Returns the secret of a new one, to be printed once.
///
/// # Errors
/// [`Error::Invalid`] if the given token is too short, else [`Error`] of the database.
pub async fn bootstrap(db: &Db, given: Option<&Secret>) -> Result<Option<Secret>> {
    if let Some(given) = given
        && given.expose().chars().count() < MIN_CHOSEN_CHARS
    {
        let cure = format!("the admin token is shorter than {MIN_CHOSEN_CHARS} characters: choose a longer one");
        return Err(Error::field("/admin_token", cure));
    }
    let mut tx = db.begin().await?;
    let tenant = TenantId::default();
    let secret = match given {
        Some(given) => {
            store::replace(&mut tx, &tenant, BOOTSTRAP, &model::hash(given.expose())).await?;
            given.clone()
        }
        None if store::any(&mut tx).await? => return Ok(None),
        None => model::draw(),
    };
    let actor = Actor::system(tenant, BOOTSTRAP);
    let token = token(&actor, BOOTSTRAP, &BuiltIn::Admin.scopes(), tx.now(), None);
    let made = store::insert(&mut tx, &token, &model::hash(secret.expose())).await?;
    if made {
        tx.record(&actor, Event::new("token.create", "token", &token.id).after(&token)).await?;
        tx.commit().await?;
    }
    Ok((made && given.is_none()).then_some(secret))
}

/// Makes a token in the caller's tenant and returns its secret, which nobody can read again.
///
/// # Errors
/// [`Error::Invalid`] for a name that is empty or long, or an end that is past; [`Error::Forbidden`] for scopes that the
/// caller lacks; [`Error::Conflict`] (`token_name_taken`) for a name that is taken.
pub async fn create(db: &Db, caller: &Caller, wanted: &NewToken) -> Result<(TokenInfo, Secret)> {
    let name = text::line("/name", &wanted.name, 100)?;
    caller.must_cover(&wanted.scopes)?;
    let mut tx = db.begin().await?;
    if wanted.expires_at.is_some_and(|end| end <= tx.now()) {
        return Err(Error::field("/expires_at", "the end of a token lies in the future"));
    }
    tenants::service::find(&mut tx, caller.tenant()).await?;
    let secret = model::draw();
    let token = token(&caller.actor, &name, &wanted.scopes, tx.now(), wanted.expires_at.map(cut));
    if !store::insert(&mut tx, &token, &model::hash(secret.expose())).await? {
        return Err(Error::conflict(
            "token_name_taken",
            format!("there is a token named {name:?}: revoke it or choose another name"),
        ));
    }
    tx.record(&caller.actor, Event::new("token.create", "token", &token.id).after(&token)).await?;
    tx.commit().await?;
    Ok((token, secret))
}

/// Looks tokens up by their hashes, for all requests that ask at the same time.
pub(super) type Tokens = Together<String, Result<Option<Caller>>>;

/// The most tokens that are looked up at once.
const MOST: usize = 256;

/// Opens the look-up.
pub(super) fn tokens(db: Db) -> Tokens {
    Together::new(MOST, move |hashes: Vec<String>| {
        let db = db.clone();
        async move {
            match known(&db, hashes.iter().cloned().collect()).await {
                Ok(known) => hashes.iter().map(|hash| Ok(known.get(hash).cloned())).collect(),
                Err(error) => hashes.iter().map(|_| Err(error.again())).collect(),
            }
        }
    })
}

impl Access {
    /// Tells who shows a token; `None` if it is nobody's, has ended or its tenant is disabled. The database is asked after the request
    /// came, so a token that was revoked before is nobody's.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn caller(&self, token: &str) -> Result<Option<Caller>> {
        if model::is_garbled(token) {
            return Ok(None);
        }
        self.tokens.ask(model::hash(token)).await?
    }
}

/// Tells who shows a token, without waiting for others who ask.
///
/// # Errors
/// [`Error`] of the database.
pub async fn authenticate(db: &Db, token: &str) -> Result<Option<Caller>> {
    if model::is_garbled(token) {
        return Ok(None);
    }
    let hash = model::hash(token);
    Ok(known(db, BTreeSet::from([hash.clone()])).await?.remove(&hash))
}

/// Tells whose the tokens with these hashes are.
async fn known(db: &Db, hashes: BTreeSet<String>) -> Result<HashMap<String, Caller>> {
    let mut tx = db.look().await?;
    let now = tx.now();
    let mut found = store::by_hashes(&mut tx, &hashes).await?;
    // Back to the pool before another one is taken, or many callers at once could take all and wait for each other.
    tx.rollback().await?;
    found.retain(|(_, token)| !token.is_expired(now));
    let stale: Vec<TokenId> =
        found.iter().filter(|(_, token)| token.is_use_stale(now)).map(|(_, token)| token.id).collect();
    if !stale.is_empty() {
        let mut tx = db.begin().await?;
        for id in stale {
            store::note_use(&mut tx, id, now).await?;
        }
        tx.commit().await?;
    }
    Ok(found.into_iter().map(|(hash, token)| (hash, Caller::token(token))).collect())
}

/// Lists the tokens of a tenant by name.
///
/// # Errors
/// [`Error`] of the database.
pub async fn list(db: &Db, tenant: &TenantId) -> Result<Vec<TokenInfo>> {
    let mut tx = db.read().await?;
    store::list(&mut tx, tenant).await
}

/// Ends a token of the caller's tenant.
///
/// # Errors
/// [`Error::NotFound`] if there is none of this id, [`Error::Forbidden`] if it may do more than the caller.
pub async fn revoke(db: &Db, caller: &Caller, id: TokenId) -> Result<()> {
    end(db, caller, &id.to_string(), |token| token.id == id).await
}

/// Ends a token of the caller's tenant by its name.
///
/// # Errors
/// As [`revoke`].
pub async fn revoke_named(db: &Db, caller: &Caller, name: &str) -> Result<()> {
    end(db, caller, name, |token| token.name == name).await
}

async fn end(db: &Db, caller: &Caller, which: &str, is_it: impl Fn(&TokenInfo) -> bool) -> Result<()> {
    let mut tx = db.begin().await?;
    let all = store::list(&mut tx, caller.tenant()).await?;
    let token = all.into_iter().find(is_it).ok_or_else(|| Error::not_found("token", which))?;
    caller.must_cover(&Scopes::read(&token.scopes))?;
    if !store::remove(&mut tx, caller.tenant(), token.id).await? {
        return Err(Error::not_found("token", which));
    }
    tx.record(&caller.actor, Event::new("token.revoke", "token", &token.id).before(&token)).await?;
    tx.commit().await
}

fn token(
    actor: &Actor,
    name: &str,
    scopes: &Scopes,
    now: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
) -> TokenInfo {
    TokenInfo {
        id: TokenId::new(),
        tenant_id: actor.tenant.clone(),
        name: name.to_owned(),
        scopes: scopes.to_string(),
        created_by: Some(actor.to_string()),
        created_at: now,
        last_used_at: None,
        expires_at,
    }
}
