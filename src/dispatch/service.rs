//! What people and programs do with jobs: enqueue, look, retry, cancel, redrive, discard. Each acts on the ledger and the queue,
//! and says no to what does not fit the state of the job.

use std::sync::Arc;

use deskhand_jobs::queue::{Cancelled, JobRecord, Pace, Queue};
use deskhand_jobs::{JobId, Registry, outcome};
use serde_json::json;

use super::entry::Entry;
use super::intake::{Ask, Intake, intake};
use super::ledger::{self, Filter};
use super::lines::{Idempotency, Line};
use super::model::LedgerState;
use super::remote::{Lookup, lookup};
use super::steer;
use super::wanted::check_key;
use crate::audit::{self, Event};
use crate::base::{Actor, Error, PageRequest, Paged, Result, TenantId};
use crate::db::Db;

pub use super::wanted::NewJob;

/// The use cases around single jobs.
#[derive(Clone)]
pub struct Service {
    pub(super) db: Db,
    pub(super) queue: Arc<dyn Queue>,
    pub(super) registry: Arc<Registry>,
    pub(super) remotes: Lookup,
    intake: Intake,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").field("db", &self.db.url()).finish_non_exhaustive()
    }
}

/// The answer to a request for a job.
#[derive(Debug, Clone)]
pub struct Enqueued {
    /// The job.
    pub entry: Entry,
    /// Whether it is new; `false` if the idempotency key was used before.
    pub created: bool,
}

/// A job as the ledger and the queue know it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// What the ledger knows.
    pub entry: Entry,
    /// What the queue knows: where exactly it is while it is there.
    pub live: Option<JobRecord>,
}

impl Service {
    /// Makes the service over a database, a queue and the kinds that exist.
    pub fn new(db: Db, queue: Arc<dyn Queue>, registry: Arc<Registry>) -> Self {
        let (remotes, intake) = (lookup(db.clone()), intake(db.clone()));
        Self { db, queue, registry, remotes, intake }
    }

    /// Accepts a job; it is durable when this returns.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a kind or arguments that do not exist, [`Error::Conflict`] (`idempotency_key_reused`) if the key
    /// belongs to another request.
    pub async fn enqueue(&self, actor: &Actor, new: NewJob) -> Result<Enqueued> {
        let tenant = &actor.tenant;
        let mut idempotency = None;
        if let Some(key) = &new.idempotency_key {
            check_key(key)?;
            idempotency = Some(Idempotency { key: key.clone(), hash: new.fingerprint()? });
        }
        let mut remote = None;
        if let Some(queue) = &new.queue {
            remote = self.remote_queue(tenant, queue).await?;
        }
        let envelope = new.envelope(&self.registry, tenant, remote.as_ref())?;
        let line = Line::new(envelope, idempotency)?.made_now();
        self.intake.ask(Ask { actor: actor.clone(), line }).await?
    }

    /// Reads one job. A queue that does not answer leaves the ledger's own knowledge: what was accepted must not look refused.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the tenant has no such job.
    pub async fn get(&self, tenant: &TenantId, id: JobId) -> Result<Seen> {
        let entry = self.entry(tenant, id).await?;
        let live = match entry.state {
            LedgerState::Pushed => self.queue.job(id).await.unwrap_or_else(|error| {
                tracing::warn!(job_id = %id, error = outcome::chain(&error), "job {id} is told without the queue");
                None
            }),
            _ => None,
        };
        Ok(Seen { entry, live })
    }

    pub(super) async fn entry(&self, tenant: &TenantId, id: JobId) -> Result<Entry> {
        let mut tx = self.db.read().await?;
        ledger::get(&mut tx, tenant, id).await?.ok_or_else(|| Error::not_found("job", &id))
    }

    /// Lists jobs, latest first.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn list(&self, tenant: &TenantId, filter: &Filter, page: PageRequest) -> Result<Paged<Entry>> {
        let mut tx = self.db.read().await?;
        ledger::list(&mut tx, tenant, filter, page).await
    }

    /// Lists up to `size` jobs that were enqueued before one of them, latest first, and says behind which the next ones are; any place
    /// in the list costs the same.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn walk(
        &self,
        tenant: &TenantId,
        filter: &Filter,
        before: Option<JobId>,
        size: u64,
    ) -> Result<(Vec<Entry>, Option<JobId>)> {
        let mut tx = self.db.read().await?;
        let mut entries = ledger::walk(&mut tx, tenant, filter, before, size + 1).await?;
        let is_last = entries.len() as u64 <= size;
        entries.truncate(size as usize);
        let next = entries.last().filter(|_| !is_last).map(|entry| entry.id);
        Ok((entries, next))
    }

    /// Lets a job run now that waits for a later time; a dead one is redriven.
    ///
    /// # Errors
    /// [`Error::NotFound`], or [`Error::Conflict`] (`not_waiting`) if it waits for no time.
    pub async fn retry(&self, actor: &Actor, id: JobId) -> Result<Entry> {
        let tenant = &actor.tenant;
        let hurry = async || match self.state(tenant, id).await? {
            LedgerState::Pending => steer::hurry(&self.db, id).await,
            LedgerState::Pushed if self.queue.retry_now(id).await? => Ok(()),
            LedgerState::Waiting => {
                let message = format!(
                    "job {id} runs when the members of its batch have ended: `deskhand jobs list --batch {id}` shows them"
                );
                Err(Error::conflict("not_waiting", message))
            }
            LedgerState::Dead => self.revive(tenant, &[id], Pace::NOW).await.map(drop),
            state => {
                let message = format!("job {id} is {state} and waits for no later time: nothing to hurry");
                Err(Error::conflict("not_waiting", message))
            }
        };
        self.state(tenant, id).await?;
        audit::service::around(&self.db, actor, Event::new("job.retry", "job", &id), Box::pin(hurry())).await?;
        self.get(tenant, id).await.map(|seen| seen.entry)
    }

    /// Ends a job that waits, asks one that runs to stop; the answer says which.
    ///
    /// # Errors
    /// [`Error::NotFound`], or [`Error::Conflict`] (`already_ended`).
    pub async fn cancel(&self, actor: &Actor, id: JobId, reason: &str) -> Result<Cancelled> {
        let state = self.state(&actor.tenant, id).await?;
        let event = Event::new("job.cancel", "job", &id).before(&json!({"state": state}));
        audit::service::around(&self.db, actor, event, Box::pin(self.cancel_from(state, id, reason))).await
    }

    async fn cancel_from(&self, state: LedgerState, id: JobId, reason: &str) -> Result<Cancelled> {
        let unsent = [LedgerState::Waiting, LedgerState::Pending];
        if unsent.contains(&state) && steer::end(&self.db, id, &unsent, reason).await? {
            return Ok(Cancelled::Ended);
        }
        let answer = if state.is_end() { Cancelled::AlreadyEnded } else { self.queue.cancel(id).await? };
        match answer {
            Cancelled::Ended | Cancelled::Asked => Ok(answer),
            // The queue lost it, and nobody has sent it again yet.
            Cancelled::Unknown
                if steer::end(&self.db, id, &[LedgerState::Pending, LedgerState::Pushed], reason).await? =>
            {
                Ok(Cancelled::Ended)
            }
            Cancelled::Unknown | Cancelled::AlreadyEnded => {
                let message = format!("job {id} has ended: nothing to cancel; a dead job is discarded or redriven");
                Err(Error::conflict("already_ended", message))
            }
        }
    }

    async fn state(&self, tenant: &TenantId, id: JobId) -> Result<LedgerState> {
        let mut tx = self.db.read().await?;
        ledger::state(&mut tx, tenant, id).await?.ok_or_else(|| Error::not_found("job", &id))
    }
}
