//! A ticket as it is shown.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::work_orders::model::{Content, Field, Push, Side, SyncStatus, SystemId, WorkOrder, WorkOrderId};

/// A work order.
#[derive(Serialize, ToSchema)]
#[schema(as = WorkOrder)]
pub(super) struct View {
    /// The work order.
    id: WorkOrderId,
    /// From which system it comes.
    system: SystemId,
    #[serde(flatten)]
    content: Content,
    /// When it was last read there.
    last_sync_at: DateTime<Utc>,
    /// Whether both sides say the same: pending while something was changed here that the system does not have, failed if it does not
    /// take it.
    sync_status: SyncStatus,
    /// Why it did not.
    sync_error: Option<String>,
    /// Changes made here that the system does not have.
    pending: Vec<Pending>,
    /// Fields that both sides changed, until somebody sets them again.
    conflicts: Vec<Conflict>,
    /// Fields that the system has undone too often: they are left alone for a while.
    held: Vec<Hold>,
    /// The last attempt to take changes to the system.
    external_update: Option<Push>,
    /// Counts the changes.
    version: i64,
    /// When it was first read.
    created_at: DateTime<Utc>,
    /// When it last changed here.
    updated_at: DateTime<Utc>,
    /// When it was found to be gone from its system.
    deleted_at: Option<DateTime<Utc>>,
}

/// A change made here that the system does not have.
#[derive(Serialize, ToSchema)]
#[schema(as = PendingChange)]
struct Pending {
    /// The field.
    field: Field,
    /// What it says here.
    here: Value,
    /// What the system last said.
    there: Value,
    /// Whether an update takes it to the system; what does not travel is kept here only.
    travels: bool,
    /// Who changed it.
    by: String,
    /// When.
    since: DateTime<Utc>,
}

/// A field that both sides changed.
#[derive(Serialize, ToSchema)]
#[schema(as = FieldConflict)]
struct Conflict {
    /// The field.
    field: Field,
    /// What was said here.
    here: Value,
    /// What the system said.
    there: Value,
    /// Whose word was kept.
    kept: Side,
    /// When it was seen.
    at: DateTime<Utc>,
}

/// A field that is left alone.
#[derive(Serialize, ToSchema)]
#[schema(as = HeldField)]
struct Hold {
    /// The field.
    field: Field,
    /// When it is written again.
    until: DateTime<Utc>,
    /// How often the system undid it, and what to do.
    reason: String,
}

impl View {
    /// Shows a ticket at an instant.
    pub(super) fn of(order: WorkOrder, now: DateTime<Utc>) -> Self {
        let exchange = order.exchange;
        let pending = exchange.pending.into_iter().map(|(field, change)| Pending {
            field,
            here: field.of(&order.content),
            travels: change.travels(field),
            there: change.base,
            by: change.by,
            since: change.since,
        });
        let conflicts = exchange.clashes.into_iter().map(|(field, clash)| Conflict {
            field,
            here: clash.here,
            there: clash.there,
            kept: clash.kept,
            at: clash.at,
        });
        let held = Field::ALL.iter().filter_map(|&field| {
            let (undone, until) = exchange.swings.held(field, now)?;
            let reason = format!(
                "the system undid our {field} {undone} times within an hour: find out which rule or program there sets it"
            );
            Some(Hold { field, until, reason })
        });
        Self {
            pending: pending.collect(),
            conflicts: conflicts.collect(),
            held: held.collect(),
            external_update: exchange.push,
            id: order.id,
            system: order.system,
            content: order.content,
            last_sync_at: order.last_sync_at,
            sync_status: order.sync_status,
            sync_error: order.sync_error,
            version: order.version,
            created_at: order.created_at,
            updated_at: order.updated_at,
            deleted_at: order.deleted_at,
        }
    }
}
