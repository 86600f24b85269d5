//! Taking in what a system says of tickets.

use std::collections::HashMap;

use crate::base::Result;
use crate::db::Tx;
use crate::work_orders::model::{Content, Counts, Remote, RowError, SyncStatus, System, WorkOrder, is_stale, merge};
use crate::work_orders::store::orders::{self, Known, Stored};

/// A ticket, cleaned and mapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fresh {
    /// What we keep of it.
    pub(super) content: Content,
    /// By which it is recognised.
    pub(super) hash: String,
}

impl Fresh {
    /// Cleans and maps a ticket.
    pub(super) fn of(remote: Remote, system: &System) -> std::result::Result<Self, RowError> {
        let content = Content::of(remote, &system.mapping).checked()?;
        Ok(Self { hash: content.hash(), content })
    }
}

/// Stores tickets, each of them once, and counts what became of them.
///
/// What is as it was costs no statement at all; what nobody has touched here is written over, all in a few; only where something stands
/// between the two sides are they laid over each other, one by one.
pub(super) async fn take(tx: &mut Tx, system: &System, fresh: Vec<Fresh>, counts: &mut Counts) -> Result<()> {
    let known = known(tx, system, &fresh).await?;
    take_beside(tx, system, fresh, &known, counts).await
}

/// Reads what is known of these tickets.
pub(super) async fn known(tx: &mut Tx, system: &System, fresh: &[Fresh]) -> Result<HashMap<String, Known>> {
    let ids: Vec<&str> = fresh.iter().map(|fresh| fresh.content.external_id.as_str()).collect();
    orders::known(tx, system, &ids).await
}

/// Stores tickets as [`take`] does, for who has read what is known of them.
pub(super) async fn take_beside(
    tx: &mut Tx,
    system: &System,
    fresh: Vec<Fresh>,
    known: &HashMap<String, Known>,
    counts: &mut Counts,
) -> Result<()> {
    counts.fetched += fresh.len() as i64;
    let mut news = Vec::with_capacity(fresh.len());
    for Fresh { content, hash } in fresh {
        match known.get(&content.external_id) {
            Some(known) if known.is(&content, &hash) => counts.unchanged += 1,
            Some(known) if known.has(&hash) => {
                orders::touch(tx, system, &content).await?;
                counts.unchanged += 1;
            }
            _ => news.push((content, hash)),
        }
    }
    let stored = orders::insert(tx, system, &news).await?;
    for (content, hash) in news {
        let what = match stored.get(&content.external_id) {
            Some(what) => *what,
            // Somebody may have removed the system meanwhile.
            None => match orders::hold_external(tx, system, &content.external_id).await? {
                Some(order) => overlay(tx, order, &content, hash).await?,
                None => Stored::Unchanged,
            },
        };
        match what {
            Stored::Created => counts.created += 1,
            Stored::Updated => counts.updated += 1,
            Stored::Unchanged => counts.unchanged += 1,
        }
    }
    Ok(())
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
