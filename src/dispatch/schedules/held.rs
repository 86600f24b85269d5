//! The one slot of a schedule that waits.

use chrono::{DateTime, Utc};

use super::model::{Schedule, Slot};
use super::store;
use crate::base::Result;
use crate::db::Tx;

/// Passes over the slot that waits, if there is one; its row says why. The caller writes the schedule.
pub(super) async fn drop_it(tx: &mut Tx, schedule: &mut Schedule, why: &str, now: DateTime<Utc>) -> Result<()> {
    schedule.held_until = None;
    if let Some(slot_at) = schedule.held_slot_at.take() {
        store::settle_held(tx, schedule, &Slot::skipped(slot_at, why.to_owned(), now)).await?;
    }
    Ok(())
}
