//! Making tokens and knowing who shows one.

use chrono::{DateTime, Utc};

use super::model::{self, Caller, TokenId, TokenInfo};
use super::scope::Scopes;
use super::store;
use crate::base::{Actor, ActorKind, Error, Result, Secret, TenantId};
use crate::db::Db;

/// The name of the first token.
const BOOTSTRAP: &str = "bootstrap";
/// What the first token may do.
const EVERYTHING: &str = "admin";
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
            store::remove(&mut tx, &tenant, BOOTSTRAP, &model::hash(given.expose())).await?;
            given.clone()
        }
        None if store::any(&mut tx).await? => return Ok(None),
        None => model::draw(),
    };
    let token = token(&tenant, BOOTSTRAP, EVERYTHING, tx.now(), None);
    let made = store::insert(&mut tx, &token, &model::hash(secret.expose())).await?;
    tx.commit().await?;
    Ok((made && given.is_none()).then_some(secret))
}

/// Makes a token and returns its secret, which nobody can read again.
///
/// # Errors
/// [`Error::Invalid`] for a name that is empty or long, [`Error::Conflict`] (`token_name_taken`) for one that is taken.
pub async fn create(
    db: &Db,
    tenant: &TenantId,
    name: &str,
    scopes: &str,
    expires_at: Option<DateTime<Utc>>,
) -> Result<(TokenInfo, Secret)> {
    if name.trim().is_empty() || name.chars().count() > 100 {
        return Err(Error::field("/name", "the name of a token has 1 to 100 characters"));
    }
    let mut tx = db.begin().await?;
    let secret = model::draw();
    let token = token(tenant, name.trim(), scopes, tx.now(), expires_at);
    if !store::insert(&mut tx, &token, &model::hash(secret.expose())).await? {
        return Err(Error::conflict(
            "token_name_taken",
            format!("there is a token named {name:?}: revoke it or choose another name"),
        ));
    }
    tx.commit().await?;
    Ok((token, secret))
}

/// Tells who shows a token; `None` if it is nobody's or has ended.
///
/// # Errors
/// [`Error`] of the database.
pub async fn authenticate(db: &Db, token: &str) -> Result<Option<Caller>> {
    let mut tx = db.read().await?;
    let now = tx.now();
    let found = store::by_hash(&mut tx, &model::hash(token)).await?;
    // Back to the pool before another one is taken, or many callers at once could take all and wait for each other.
    tx.rollback().await?;
    let Some(found) = found.filter(|found| !found.is_expired(now)) else { return Ok(None) };
    if found.is_use_stale(now) {
        let mut tx = db.begin().await?;
        store::note_use(&mut tx, found.id, now).await?;
        tx.commit().await?;
    }
    let scopes = Scopes::read(&found.scopes);
    let actor = Actor { id: Some(found.id.to_string()), ..Actor::new(found.tenant_id, ActorKind::Token, found.name) };
    Ok(Some(Caller { actor, scopes }))
}

/// Lists the tokens of a tenant by name.
///
/// # Errors
/// [`Error`] of the database.
pub async fn list(db: &Db, tenant: &TenantId) -> Result<Vec<TokenInfo>> {
    let mut tx = db.read().await?;
    store::list(&mut tx, tenant).await
}

/// Ends a token.
///
/// # Errors
/// [`Error::NotFound`] if the tenant has no token of this name.
pub async fn revoke(db: &Db, tenant: &TenantId, name: &str) -> Result<()> {
    let mut tx = db.begin().await?;
    if !store::remove(&mut tx, tenant, name, "").await? {
        return Err(Error::not_found("token", name));
    }
    tx.commit().await
}

fn token(
    tenant: &TenantId,
    name: &str,
    scopes: &str,
    now: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
) -> TokenInfo {
    TokenInfo {
        id: TokenId::new(),
        tenant_id: tenant.clone(),
        name: name.to_owned(),
        scopes: scopes.to_owned(),
        created_at: now,
        last_used_at: None,
        expires_at,
    }
}
