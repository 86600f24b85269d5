//! Every kind of job there is.

use deskhand_jobs::Registry;

use crate::base::{Clock, Result, Vault};
use crate::db::Db;

/// Registers the jobs of every subject.
pub(super) fn registry(_db: &Db, _vault: &Vault, _clock: &Clock) -> Result<Registry> {
    Ok(Registry::new())
}
