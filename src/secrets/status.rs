//! How many texts are under which key.

use std::collections::BTreeMap;

use serde::Serialize;

use super::columns::SEALED;
use super::store;
use crate::base::secrets::key_of;
use crate::base::{KeyId, Result, Vault};
use crate::db::Db;

/// The texts of one column under one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Table and column.
    pub column: String,
    /// The key; `None` for texts of the first version, which do not name theirs.
    pub key: Option<KeyId>,
    /// How many.
    pub texts: i64,
    /// Whether new texts are sealed under this key.
    pub current: bool,
    /// Whether this process has the key; nobody can tell for texts that do not name theirs.
    pub here: Option<bool>,
}

/// Counts the sealed texts of every column by their key.
///
/// # Errors
/// [`Error`](crate::base::Error) of the database.
pub async fn status(db: &Db, vault: &Vault) -> Result<Vec<Count>> {
    let mut tx = db.read().await?;
    let mut counts = Vec::new();
    for column in SEALED {
        let mut by_key = BTreeMap::<Option<KeyId>, i64>::new();
        for (head, texts) in store::heads(&mut tx, column).await? {
            *by_key.entry(key_of(&head)).or_default() += texts;
        }
        counts.extend(by_key.into_iter().map(|(key, texts)| Count {
            column: format!("{}.{}", column.table, column.column),
            current: key.as_ref() == Some(vault.key_id()),
            here: key.as_ref().map(|key| vault.has(key)),
            key,
            texts,
        }));
    }
    Ok(counts)
}
