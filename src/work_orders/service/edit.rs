//! Changing a ticket here.

use serde_json::{Map, Value};

use super::WorkOrders;
use super::context::{adapter_of, load};
use crate::audit::{Event, Record};
use crate::base::{Actor, Error, Result};
use crate::db::Tx;
use crate::work_orders::model::{Content, Edits, Field, SyncStatus, System, WorkOrder, WorkOrderId};
use crate::work_orders::store::orders;

/// What the audit record calls a ticket.
pub(super) const THING: &str = "work_order";

impl WorkOrders {
    /// Changes a work order here. The system learns of it when somebody asks for an update there; until then the fields stay as they
    /// are here, and are shown as pending.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Invalid`] with every field that is wrong; a conflict if `version` is given and is not the present
    /// one, or if the ticket is gone from its system.
    pub async fn update_work_order(
        &self,
        actor: &Actor,
        id: WorkOrderId,
        edits: &Edits,
        version: Option<i64>,
    ) -> Result<WorkOrder> {
        let mut tx = self.db.begin().await?;
        let order = held(&mut tx, actor, id).await?;
        is_at(&order, version)?;
        let system = load(&mut tx, &actor.tenant, order.system).await?;
        let changed = edit(&mut tx, actor, order, edits, &system).await?;
        tx.commit().await?;
        Ok(changed)
    }
}

/// Reads a work order and holds it.
pub(super) async fn held(tx: &mut Tx, actor: &Actor, id: WorkOrderId) -> Result<WorkOrder> {
    let found = orders::hold(tx, &actor.tenant, id).await?;
    found.ok_or_else(|| Error::not_found("work order", &id))
}

/// Refuses if who changes a work order has seen another version of it.
pub(super) fn is_at(order: &WorkOrder, version: Option<i64>) -> Result<()> {
    let Some(seen) = version.filter(|seen| *seen != order.version) else { return Ok(()) };
    let message = format!(
        "the work order was changed meanwhile, it has version {} and not {seen}: read it again, look whether your change still \
         fits, and send it with the new version",
        order.version
    );
    Err(Error::conflict("version_moved", message))
}

/// Changes a work order that is held, and records it; what changes nothing is not recorded.
pub(super) async fn edit(
    tx: &mut Tx,
    actor: &Actor,
    order: WorkOrder,
    edits: &Edits,
    system: &System,
) -> Result<WorkOrder> {
    if order.deleted_at.is_some() {
        let message = "the ticket is gone from its system: it can be read, and no longer be changed";
        return Err(Error::conflict("work_order_gone", message));
    }
    let now = tx.now();
    let mut next = order.clone();
    let by = actor.to_string();
    let lacking = adapter_of(&system.system_type).map(|adapter| adapter.lacks(&system.settings)).unwrap_or_default();
    next.exchange.edit(&mut next.content, edits, &by, &lacking, now).map_err(Error::Invalid)?;
    if next == order {
        return Ok(order);
    }
    next.updated_at = now;
    next.sync_status = if next.exchange.has_changes() { SyncStatus::Pending } else { SyncStatus::Success };
    next.sync_error = None;
    orders::write(tx, &next).await?;
    next.version += 1;
    let (before, after) = difference(&order.content, &next.content);
    tx.record(actor, Event::new("work_order.update", THING, &order.id).before(&before).after(&after)).await?;
    Ok(next)
}

/// Tells the fields that differ, as they were and as they are.
fn difference(old: &Content, new: &Content) -> (Map<String, Value>, Map<String, Value>) {
    let differing = || Field::ALL.iter().filter(|field| field.of(old) != field.of(new));
    let told = |content| differing().map(|field| (field.to_string(), field.of(content))).collect();
    (told(old), told(new))
}
