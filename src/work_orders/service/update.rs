//! Asking for an update of a ticket in its system: one job per ticket.

use chrono::{DateTime, Utc};
use deskhand_jobs::{Envelope, JobId, Priority};

use super::context::load;
use super::edit::{THING, edit, held, is_at};
use super::{Asked, WorkOrders};
use crate::audit::{Event, Record};
use crate::base::{Actor, Error, Result};
use crate::db::Tx;
use crate::dispatch::{Enqueue, ledger};
use crate::work_orders::model::{Edits, Push, UpdateExternal, WorkOrder, WorkOrderId};
use crate::work_orders::store::orders;

impl WorkOrders {
    /// Asks for what was changed here to be taken to the system, after making the changes that come with the request. Somebody who
    /// asks while the job of an earlier request is under way gets that job, which then takes the new changes along.
    ///
    /// # Errors
    /// As [`WorkOrders::update_work_order`]; a conflict if the system is disabled or there is nothing to take there.
    pub async fn update_external(
        &self,
        actor: &Actor,
        id: WorkOrderId,
        edits: &Edits,
        version: Option<i64>,
    ) -> Result<Asked> {
        let mut tx = self.db.begin().await?;
        let order = held(&mut tx, actor, id).await?;
        is_at(&order, version)?;
        let system = load(&mut tx, &actor.tenant, order.system).await?;
        if !system.is_active {
            return Err(Error::conflict("system_disabled", "the system is disabled: enable it first"));
        }
        let mut order = edit(&mut tx, actor, order, edits, &system).await?;
        let now = tx.now();
        takes_something(&order, now)?;
        let joined = under_way(&mut tx, &order).await?;
        let asked = if let Some(job_id) = joined {
            if let Some(push) = &mut order.exchange.push {
                push.again = true;
            }
            Asked { job_id, joined: true }
        } else {
            let job_id = enqueue(&mut tx, &order).await?;
            order.exchange.push = Some(Push::asked(job_id, order.exchange.to_push(now), now));
            Asked { job_id, joined: false }
        };
        orders::write(&mut tx, &order).await?;
        tx.record(actor, Event::new("work_order.update_external", THING, &id).after(&asked)).await?;
        tx.commit().await?;
        Ok(asked)
    }
}

fn takes_something(order: &WorkOrder, now: DateTime<Utc>) -> Result<()> {
    if !order.exchange.to_push(now).is_empty() {
        return Ok(());
    }
    if order.exchange.has_changes() {
        let cure = "the ticket says until when, and how often: find out which rule or program there sets them";
        return Err(Error::conflict("fields_held", format!("the system undid these fields too often: {cure}")));
    }
    let cure = "change it first with PUT, or send the changes along with this request";
    Err(Error::conflict("nothing_to_update", format!("nothing was changed here that the system does not have: {cure}")))
}

/// Returns the job that takes changes of the ticket there, if it has not ended.
async fn under_way(tx: &mut Tx, order: &WorkOrder) -> Result<Option<JobId>> {
    let Some(push) = &order.exchange.push else { return Ok(None) };
    let state = ledger::state(tx, &order.tenant, push.job_id).await?;
    Ok(state.filter(|state| !state.is_end()).map(|_| push.job_id))
}

async fn enqueue(tx: &mut Tx, order: &WorkOrder) -> Result<JobId> {
    let mut job = Envelope::new(&UpdateExternal { work_order: order.id })
        .map_err(|error| Error::internal("cannot make the job of an update", error))?;
    job.options.priority = Priority::High;
    job.tenant = Some(order.tenant.to_string());
    tx.enqueue(&job).await
}
