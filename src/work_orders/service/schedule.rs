//! Asking for runs: one unique job per system.

use deskhand_jobs::{Envelope, JobId, Priority};
use serde::Serialize;

use super::WorkOrders;
use super::context::load;
use crate::audit::{Event, Record};
use crate::base::{Actor, Error, Result};
use crate::db::Tx;
use crate::dispatch::{Enqueue, ledger};
use crate::work_orders::figures;
use crate::work_orders::model::{SyncSystem, System, SystemId};
use crate::work_orders::store::systems;

/// The answer to a request for a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Asked {
    /// The job that runs it.
    pub job_id: JobId,
    /// Whether the job was under way already.
    pub joined: bool,
}

impl WorkOrders {
    /// Enqueues a run for every system whose turn it is and that has none under way, of all tenants. Answers how many.
    ///
    /// # Errors
    /// [`Error`] if the database does not answer; then none is enqueued.
    pub async fn sync_due(&self) -> Result<usize> {
        let mut tx = self.db.begin().await?;
        let now = tx.now();
        let mut asked = 0;
        for system in systems::active(&mut tx, None).await? {
            figures::known(&system);
            if system.is_due(now) && systems::note_attempt(&mut tx, &system).await? {
                asked += usize::from(!ask(&mut tx, &system, Priority::Normal).await?.joined);
            }
        }
        tx.commit().await?;
        Ok(asked)
    }

    /// Asks for a run of one system now: a new one, or the one that is under way.
    ///
    /// # Errors
    /// [`Error::NotFound`]; a conflict if the system is disabled.
    pub async fn sync_now(&self, actor: &Actor, id: SystemId) -> Result<Asked> {
        let mut tx = self.db.begin().await?;
        let system = load(&mut tx, &actor.tenant, id).await?;
        if !system.is_active {
            return Err(Error::conflict("system_disabled", "the system is disabled: enable it first"));
        }
        systems::note_attempt(&mut tx, &system).await?;
        let asked = ask(&mut tx, &system, Priority::High).await?;
        tx.record(actor, Event::new("work_order_system.sync", "work_order_system", &id).after(&asked)).await?;
        tx.commit().await?;
        Ok(asked)
    }

    /// Asks for a run of every active system of a tenant now, or of all tenants.
    ///
    /// # Errors
    /// [`Error`] if the database does not answer; then none is enqueued.
    pub async fn sync_all(&self, actor: Option<&Actor>) -> Result<Vec<Asked>> {
        let mut tx = self.db.begin().await?;
        let tenant = actor.map(|actor| &actor.tenant);
        let mut all = Vec::new();
        for system in systems::active(&mut tx, tenant).await? {
            systems::note_attempt(&mut tx, &system).await?;
            all.push(ask(&mut tx, &system, Priority::High).await?);
        }
        if let Some(actor) = actor {
            tx.record(actor, Event::new("work_order_system.sync_all", "work_order_systems", "all").after(&all)).await?;
        }
        tx.commit().await?;
        Ok(all)
    }
}

/// Takes the run that is under way, or enqueues one. The queue would drop a second one for its unique key, and whoever asked would
/// hold the id of a job that never runs.
async fn ask(tx: &mut Tx, system: &System, priority: Priority) -> Result<Asked> {
    if let Some(job_id) = systems::asked_job(tx, system.id).await?
        && ledger::state(tx, &system.tenant, job_id).await?.is_some_and(|state| !state.is_end())
    {
        return Ok(Asked { job_id, joined: true });
    }
    let job_id = enqueue(tx, system, priority).await?;
    systems::note_asked(tx, system.id, job_id).await?;
    Ok(Asked { job_id, joined: false })
}

async fn enqueue(tx: &mut Tx, system: &System, priority: Priority) -> Result<JobId> {
    let mut job = Envelope::new(&SyncSystem { system: system.id })
        .map_err(|error| Error::internal("cannot make the job of a synchronisation", error))?;
    job.options.priority = priority;
    job.tenant = Some(system.tenant.to_string());
    tx.enqueue(&job).await
}
