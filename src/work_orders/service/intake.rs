//! Taking in what a system says of one ticket.

use crate::base::Result;
use crate::db::Tx;
use crate::work_orders::model::{Content, SyncStatus, System, WorkOrder, is_stale, merge};
use crate::work_orders::store::orders::{self, Known, Stored};

/// Stores a ticket. `known` is what the page's look at the database found of it.
///
/// What is as it was costs no statement at all; what nobody has touched here is written over in one; only where something stands
/// between the two sides are they laid over each other.
pub(super) async fn take(tx: &mut Tx, system: &System, content: &Content, known: Option<&Known>) -> Result<Stored> {
    let hash = content.hash();
    if let Some(known) = known {
        if known.is(content, &hash) {
            return Ok(Stored::Unchanged);
        }
        if known.has(&hash) {
            orders::touch(tx, system, content).await?;
            return Ok(Stored::Unchanged);
        }
    }
    if let Some(stored) = orders::insert(tx, system, content, &hash).await? {
        return Ok(stored);
    }
    // Somebody may have removed the system meanwhile.
    let Some(order) = orders::hold_external(tx, system, &content.external_id).await? else {
        return Ok(Stored::Unchanged);
    };
    overlay(tx, order, content, hash).await
}

/// Lays what a system says over a ticket that is held.
async fn overlay(tx: &mut Tx, order: WorkOrder, content: &Content, hash: String) -> Result<Stored> {
    let now = tx.now();
    let same_hash = order.content_hash == hash;
    if (same_hash && order.deleted_at.is_none()) || is_stale(order.exchange.mark, content, now) {
        return Ok(Stored::Unchanged);
    }
    let (merged, exchange) = merge(&order.content, order.exchange.clone(), content, now);
    let next = WorkOrder { content: merged, exchange, content_hash: hash, deleted_at: None, ..order.clone() };
    let next = settled(next, now);
    let is_news = next.exchange != order.exchange
        || order.deleted_at.is_some()
        || timeless(&next.content) != timeless(&order.content);
    orders::write(tx, &next).await?;
    Ok(if is_news { Stored::Updated } else { Stored::Unchanged })
}

/// Says of a ticket how it stands towards its system, now that this has just spoken.
pub(super) fn settled(mut order: WorkOrder, now: chrono::DateTime<chrono::Utc>) -> WorkOrder {
    order.reported_at = order.content.reported_at.unwrap_or(order.reported_at);
    order.last_sync_at = now;
    order.updated_at = now;
    if !order.exchange.has_changes() {
        order.sync_status = SyncStatus::Success;
        order.sync_error = None;
    }
    order
}

/// Leaves out what may differ without being a change: a row always has a date of report, a system may have none.
fn timeless(content: &Content) -> Content {
    Content { external_updated_at: None, reported_at: None, ..content.clone() }
}
