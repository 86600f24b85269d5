//! Locking several rows of the ledger, always in the order of their ids.

use deskhand_jobs::JobId;

use crate::base::{Error, Result};
use crate::db::{Backend, Tx};
use crate::on;

/// Holds rows until the end of the transaction, before one statement changes them all.
///
/// A statement over many rows locks them in whatever order its plan comes to them, and the plans of two differ: each may wait for
/// a row of the other. SQLite has one writer, so there nobody waits for a row.
pub(super) async fn hold(tx: &mut Tx, ids: &[JobId]) -> Result<()> {
    if ids.len() < 2 || tx.backend() == Backend::Sqlite {
        return Ok(());
    }
    let ids = serde_json::to_string(ids).map_err(|error| Error::internal("cannot write the ids of jobs", error))?;
    let sql = "SELECT 1 FROM jobs WHERE id IN (SELECT json_array_elements_text($1::json)) ORDER BY id FOR UPDATE";
    Ok(on!(tx, |c| sqlx::query(sql).bind(ids).execute(c).await.map(|_| ()))?)
}
