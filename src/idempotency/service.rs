//! Holding keys, keeping answers.

use super::model::{Answer, Found, Held, Key, State, decide};
use super::store::{self, Row};
use crate::audit;
use crate::base::{Actor, ClaimId, Error, Result, Secret, TenantId, Vault};
use crate::db::Db;

/// Says what becomes of a request that bears a key; `hash` tells different requests apart.
///
/// # Errors
/// [`Error`] of the database.
pub async fn hold(db: &Db, vault: &Vault, actor: &Actor, key: &Key, hash: &str) -> Result<Held> {
    let holder = format!("{}:{}", actor.kind, actor.id.as_ref().unwrap_or(&actor.name));
    let place = (&actor.tenant, holder.as_str(), key);
    let mut tx = db.begin().await?;
    let claim = ClaimId::new();
    if store::insert(&mut tx, place, claim, hash).await? {
        store::prune(&mut tx).await?;
        tx.commit().await?;
        return Ok(Held::Mine(claim));
    }
    // Given back at this moment: who comes again finds it free.
    let Some(row) = store::hold(&mut tx, place).await? else {
        return Ok(Held::Busy(std::time::Duration::from_secs(1)));
    };
    let state = State {
        hash: &row.hash,
        is_answered: row.sealed_answer.is_some(),
        created_at: row.created_at,
        locked_until: row.locked_until,
    };
    let held = match decide(&state, hash, tx.now()) {
        Found::Reused => Held::Reused,
        Found::Busy(wait) => Held::Busy(wait),
        Found::Answered => match open(vault, &row) {
            Some(answer) => Held::Answered(answer),
            // Sealed with a key that is gone: what it did is on record.
            None => lost(audit::service::of_claim(&mut tx, &actor.tenant, row.claim_id).await?, &row)?,
        },
        Found::Expired => {
            store::remove(&mut tx, &actor.tenant, row.claim_id).await?;
            store::insert(&mut tx, place, claim, hash).await?;
            Held::Mine(claim)
        }
        Found::Abandoned => {
            if let Some(entry) = audit::service::of_claim(&mut tx, &actor.tenant, row.claim_id).await? {
                Held::Lost(Box::new(entry))
            } else {
                store::lock(&mut tx, &actor.tenant, row.claim_id).await?;
                Held::Mine(row.claim_id)
            }
        }
    };
    tx.commit().await?;
    Ok(held)
}

fn lost(entry: Option<audit::Entry>, row: &Row) -> Result<Held> {
    let missing = || Error::internal("cannot open a kept answer", format!("claim {}", row.claim_id));
    entry.map(|entry| Held::Lost(Box::new(entry))).ok_or_else(missing)
}

fn open(vault: &Vault, row: &Row) -> Option<Answer> {
    let text = vault.open(row.sealed_answer.as_ref()?, &place(row.claim_id)).ok()?;
    serde_json::from_str(text.expose()).ok()
}

/// Where an answer is sealed: answers may hold what is shown only once.
fn place(claim: ClaimId) -> String {
    format!("idempotency_keys:{claim}:sealed_answer")
}

/// Keeps the answer to a request that was carried out.
///
/// # Errors
/// [`Error`] of the database.
pub async fn keep(db: &Db, vault: &Vault, tenant: &TenantId, claim: ClaimId, answer: &Answer) -> Result<()> {
    let text = serde_json::to_string(answer).map_err(|error| Error::internal("cannot write an answer", error))?;
    let sealed = vault.seal(&Secret::new(text), &place(claim));
    let mut tx = db.begin().await?;
    store::answer(&mut tx, tenant, claim, &sealed).await?;
    tx.commit().await
}

/// Gives the key of a refused request back, unless it did something all the same.
///
/// # Errors
/// [`Error`] of the database.
pub async fn release(db: &Db, tenant: &TenantId, claim: ClaimId) -> Result<()> {
    let mut tx = db.begin().await?;
    if audit::service::of_claim(&mut tx, tenant, claim).await?.is_none() {
        store::remove(&mut tx, tenant, claim).await?;
    }
    tx.commit().await
}
