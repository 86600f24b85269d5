//! All processes of an installation need the same keys. The database knows which: it holds a known text under each.

use super::columns::SEALED;
use super::store;
use crate::base::{Error, Result, Secret, Vault};
use crate::db::{Db, Tx};

/// What is sealed; it is no secret.
const KNOWN: &str = "deskhand";

/// Sees to it that this process has the keys of its database, and that the database knows the key under which it will seal. The
/// first process of all says which key that is.
///
/// # Errors
/// [`Error::Invalid`] if the process has other keys than the database needs; it names both, and the cure.
pub async fn settle_keys(db: &Db, vault: &Vault) -> Result<()> {
    let mut tx = db.read().await?;
    if judge(&mut tx, vault).await? {
        return Ok(());
    }
    drop(tx);
    let mut tx = db.begin().await?;
    store::hold_checks(&mut tx).await?;
    // Another process may have been faster, with another key.
    if !judge(&mut tx, vault).await? {
        let key = vault.key_id();
        store::add_check(&mut tx, key, &vault.seal(&Secret::new(KNOWN), &place(key.as_str()))).await?;
        tx.commit().await?;
        tracing::info!(%key, "from now on secrets are sealed under the key {key}");
    }
    Ok(())
}

/// Checks that this process has the keys of its database, and changes nothing.
///
/// # Errors
/// As [`settle_keys`].
pub async fn check_keys(db: &Db, vault: &Vault) -> Result<()> {
    judge(&mut db.read().await?, vault).await.map(|_| ())
}

/// Says whether the database knows the present key; an error if it has texts under keys that are not here.
async fn judge(tx: &mut Tx, vault: &Vault) -> Result<bool> {
    let checks = store::checks(tx).await?;
    if checks.is_empty() {
        opens_what_is_there(tx, vault).await?;
        return Ok(false);
    }
    for (key, sealed) in &checks {
        if vault.open(sealed, &place(key)).is_err() {
            return Err(wrong(&format!("it has secrets under the key {key}"), vault));
        }
    }
    Ok(checks.iter().any(|(key, _)| key == vault.key_id().as_str()))
}

/// A database from before there were checks may have secrets already: whoever comes first with a wrong key must not become the one
/// who is right.
async fn opens_what_is_there(tx: &mut Tx, vault: &Vault) -> Result<()> {
    for column in SEALED {
        if let Some((id, sealed)) = store::sample(tx, column).await?
            && vault.open(&sealed, &column.place(&id)).is_err()
        {
            return Err(wrong(&format!("its secret {} is under another key", column.place(&id)), vault));
        }
    }
    Ok(())
}

fn wrong(found: &str, vault: &Vault) -> Error {
    let ours = vault.names();
    Error::field(
        "/secrets",
        format!(
            "these are not the keys of this database: {found}, and this process has {ours}. Give it the key of the other processes as \
             secrets.key or secrets.key_file, or as one of secrets.previous_keys while keys are changed; if that key is lost, enter the \
             secrets again in a new database"
        ),
    )
}

fn place(key: &str) -> String {
    format!("vault_checks:{key}:sealed")
}
