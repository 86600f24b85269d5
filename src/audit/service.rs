//! Reading and proving the record, and noting what happens outside the database.

use deskhand_jobs::outcome::chain as causes;
use serde_json::json;

use super::chain::{Verdict, Walk};
use super::model::{Entry, Event, Filter};
use super::record::Record;
use super::store;
use crate::base::{Actor, ClaimId, Error, Result, TenantId};
use crate::db::{Db, Tx};

/// How many entries are walked at once.
const STRIDE: i64 = 1_000;

/// Lists up to `limit` entries before a place in the chain, the latest first.
///
/// # Errors
/// [`Error`] of the database.
pub async fn list(
    db: &Db,
    tenant: &TenantId,
    filter: &Filter,
    before_seq: Option<i64>,
    limit: u64,
) -> Result<Vec<Entry>> {
    let mut tx = db.read().await?;
    let rows = store::list(&mut tx, tenant, filter, before_seq, limit).await?;
    Ok(rows.into_iter().map(Entry::from).collect())
}

/// Reads up to `limit` entries after a place, in the order of the chain: what an export is made of.
///
/// # Errors
/// [`Error`] of the database.
pub async fn after(db: &Db, tenant: &TenantId, seq: i64, limit: i64) -> Result<Vec<Entry>> {
    let mut tx = db.read().await?;
    Ok(store::walk(&mut tx, tenant, seq, limit).await?.into_iter().map(Entry::from).collect())
}

/// Walks the whole chain of a tenant and says whether it is whole.
///
/// # Errors
/// [`Error`] of the database.
pub async fn verify(db: &Db, tenant: &TenantId) -> Result<Verdict> {
    // One transaction: what is added meanwhile is neither walked nor missed.
    let mut tx = db.read().await?;
    let head = store::head(&mut tx, tenant).await?;
    let mut walk = Walk::new();
    loop {
        let rows = store::walk(&mut tx, tenant, walk.at(), STRIDE).await?;
        if rows.is_empty() {
            return Ok(walk.finish(head));
        }
        for row in &rows {
            if let Err(broken) = walk.step(row) {
                return Ok(walk.stop(broken));
            }
        }
    }
}

/// Finds what the request with a claim did first, if it did anything.
///
/// # Errors
/// [`Error`] of the database.
pub async fn of_claim(tx: &mut Tx, tenant: &TenantId, claim: ClaimId) -> Result<Option<Entry>> {
    Ok(store::of_claim(tx, tenant, claim).await?.map(Entry::from))
}

/// Notes a change and makes it where no transaction reaches: the intent is noted first, and a failure after it.
///
/// # Errors
/// [`Error`] of the database, and then nothing was changed; else the error of the change.
pub async fn around<T, E>(
    db: &Db,
    actor: &Actor,
    event: Event,
    change: impl Future<Output = Result<T, E>>,
) -> Result<T, E>
where
    E: From<Error> + std::error::Error + 'static,
{
    note(db, actor, event.clone()).await?;
    match change.await {
        Ok(changed) => Ok(changed),
        Err(error) => {
            let failed = Event { before: None, ..event }.after(&json!({"failed": causes(&error)}));
            if let Err(unnoted) = note(db, actor, failed).await {
                tracing::warn!(
                    error = causes(&unnoted),
                    "cannot note that a change failed: the record has its intent only"
                );
            }
            Err(error)
        }
    }
}

/// Adds an entry in a transaction of its own.
///
/// # Errors
/// [`Error`] of the database.
pub async fn note(db: &Db, actor: &Actor, event: Event) -> Result<()> {
    let mut tx = db.begin().await?;
    tx.record(actor, event).await?;
    tx.commit().await
}
