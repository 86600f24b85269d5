//! Sealing everything anew under the present key, while others work.

use serde::Serialize;

use super::columns::{Column, SEALED};
use super::{status, store};
use crate::audit::{Event, Record};
use crate::base::{Actor, KeyId, Result, Vault};
use crate::db::Db;

/// How many texts one transaction seals anew, unless somebody says otherwise.
pub const BATCH: u64 = 100;

/// A text that could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unreadable {
    /// Where it is: table, id and column.
    pub place: String,
    /// Why, and the cure.
    pub why: String,
}

/// What came of a change of keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Rotation {
    /// The key under which all is now.
    pub key: Option<KeyId>,
    /// How many texts were sealed anew.
    pub resealed: u64,
    /// How many were changed by somebody else meanwhile; what they wrote is judged like any other text.
    pub overtaken: u64,
    /// Those that could not be opened. They stay as they are.
    pub unreadable: Vec<Unreadable>,
    /// How many texts are under other keys at the end: those that could not be opened, and those that a process with another key
    /// wrote meanwhile.
    pub left: i64,
    /// How many keys the database needs no more.
    pub retired: u64,
}

/// Seals anew whatever is not under the present key, so many texts in one transaction. It may be stopped at any time, and goes on where
/// it was. When nothing is left under other keys, the database does not ask for them any more.
///
/// # Errors
/// [`Error`](crate::base::Error) of the database; what was sealed anew before stays so.
pub async fn rotate(db: &Db, vault: &Vault, actor: &Actor, batch: u64) -> Result<Rotation> {
    let mut rotation = Rotation { key: Some(vault.key_id().clone()), ..Rotation::default() };
    for column in SEALED {
        let mut after = String::new();
        while let Some(last) = reseal(db, vault, column, &after, batch.max(1), &mut rotation).await? {
            after = last;
        }
    }
    let others = status::status(db, vault).await?;
    rotation.left = others.iter().filter(|count| !count.current).map(|count| count.texts).sum();
    let mut tx = db.begin().await?;
    if rotation.left == 0 {
        store::hold_checks(&mut tx).await?;
        rotation.retired = store::drop_other_checks(&mut tx, vault.key_id()).await?;
    }
    tx.record(actor, Event::new("secrets.rotate", "vault_key", vault.key_id()).after(&rotation)).await?;
    tx.commit().await?;
    Ok(rotation)
}

/// Seals one batch anew; returns the last id, or nothing if there was none left.
async fn reseal(
    db: &Db,
    vault: &Vault,
    column: &Column,
    after: &str,
    batch: u64,
    rotation: &mut Rotation,
) -> Result<Option<String>> {
    let mut tx = db.begin().await?;
    let rows = store::stale(&mut tx, column, vault, after, batch).await?;
    let mut round = Rotation::default();
    for (id, sealed) in &rows {
        let place = column.place(id);
        match vault.reseal(sealed, &place) {
            Ok(None) => {}
            Ok(Some(anew)) if store::replace(&mut tx, column, id, sealed, &anew).await? => round.resealed += 1,
            Ok(Some(_)) => round.overtaken += 1,
            Err(error) => round.unreadable.push(Unreadable { place, why: error.to_string() }),
        }
    }
    tx.commit().await?;
    rotation.resealed += round.resealed;
    rotation.overtaken += round.overtaken;
    rotation.unreadable.append(&mut round.unreadable);
    Ok(rows.into_iter().next_back().map(|(id, _)| id))
}
