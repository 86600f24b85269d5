//! Asking for runs: one unique job per system.

use deskhand_jobs::{Envelope, JobId, Priority};

use super::WorkOrders;
use super::context::load;
use crate::base::{Error, Result, TenantId};
use crate::db::Tx;
use crate::dispatch::Enqueue;
use crate::work_orders::model::{SyncSystem, System, SystemId};
use crate::work_orders::store::systems;

impl WorkOrders {
    /// Enqueues a run for every system whose turn it is, of all tenants. Answers how many.
    ///
    /// # Errors
    /// [`Error`] if the database does not answer; then none is enqueued.
    pub async fn sync_due(&self) -> Result<usize> {
        let mut tx = self.db.begin().await?;
        let now = tx.now();
        let mut asked = 0;
        for system in systems::active(&mut tx, None).await? {
            if system.is_due(now) && systems::note_attempt(&mut tx, &system).await? {
                enqueue(&mut tx, &system, Priority::Normal).await?;
                asked += 1;
            }
        }
        tx.commit().await?;
        Ok(asked)
    }

    /// Enqueues a run of one system now. If one is under way, the queue keeps that one and drops this.
    ///
    /// # Errors
    /// [`Error::NotFound`]; a conflict if the system is disabled.
    pub async fn sync_now(&self, tenant: &TenantId, id: SystemId) -> Result<JobId> {
        let mut tx = self.db.begin().await?;
        let system = load(&mut tx, tenant, id).await?;
        if !system.is_active {
            return Err(Error::conflict("system_disabled", "the system is disabled: enable it first"));
        }
        systems::note_attempt(&mut tx, &system).await?;
        let job = enqueue(&mut tx, &system, Priority::High).await?;
        tx.commit().await?;
        Ok(job)
    }

    /// Enqueues a run of every active system of a tenant now, or of all tenants.
    ///
    /// # Errors
    /// [`Error`] if the database does not answer; then none is enqueued.
    pub async fn sync_all(&self, tenant: Option<&TenantId>) -> Result<Vec<JobId>> {
        let mut tx = self.db.begin().await?;
        let mut jobs = Vec::new();
        for system in systems::active(&mut tx, tenant).await? {
            systems::note_attempt(&mut tx, &system).await?;
            jobs.push(enqueue(&mut tx, &system, Priority::High).await?);
        }
        tx.commit().await?;
        Ok(jobs)
    }
}

async fn enqueue(tx: &mut Tx, system: &System, priority: Priority) -> Result<JobId> {
    let mut job = Envelope::new(&SyncSystem { system: system.id })
        .map_err(|error| Error::internal("cannot make the job of a synchronisation", error))?;
    job.options.priority = priority;
    job.tenant = Some(system.tenant.to_string());
    tx.enqueue(&job).await
}
