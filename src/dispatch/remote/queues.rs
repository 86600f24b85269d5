//! Declaring remote queues: by name, each a tenant's own.

use deskhand_jobs::QueueName;

use super::model::{RemoteDefaults, RemoteQueue};
use super::{name, store};
use crate::audit::{self, Event, Record};
use crate::base::{Actor, Error, Result, TenantId};
use crate::dispatch::Service;

/// The shortest time limit: a worker on the other side of a network is told of the job after a while.
const MIN_TIMEOUT_MS: u64 = 1_000;

/// The longest time limit: a week.
const MAX_TIMEOUT_MS: u64 = 7 * 24 * 3_600_000;

impl Service {
    /// Declares a remote queue, or declares it otherwise: that holds for jobs that are enqueued from then on.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a name that is too long or numbers that make no limit.
    pub async fn declare_remote_queue(
        &self,
        actor: &Actor,
        name: QueueName,
        defaults: RemoteDefaults,
    ) -> Result<RemoteQueue> {
        check_name(&actor.tenant, &name)?;
        check_timeout(defaults.timeout_ms)?;
        if defaults.max_attempts == Some(0) {
            return Err(Error::field("/max_attempts", "a job has at least 1 attempt"));
        }
        let mut tx = self.db.begin().await?;
        let before = store::queue(&mut tx, &actor.tenant, &name).await?;
        if let Some(before) = before.as_ref().filter(|before| before.defaults == defaults) {
            return Ok(before.clone());
        }
        let now = tx.now();
        let created_at = before.as_ref().map_or(now, |before| before.created_at);
        let queue = RemoteQueue { name, defaults, created_at, updated_at: now };
        store::put_queue(&mut tx, &actor.tenant, &queue).await?;
        let mut event = Event::new("remote_queue.declare", "remote_queue", &queue.name).after(&queue);
        if let Some(before) = &before {
            event = event.before(before);
        }
        tx.record(actor, event).await?;
        tx.commit().await?;
        Ok(queue)
    }

    /// Lists the remote queues of a tenant by name.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn remote_queues(&self, tenant: &TenantId) -> Result<Vec<RemoteQueue>> {
        let mut tx = self.db.read().await?;
        store::queues(&mut tx, tenant).await
    }

    /// Returns the queue of the engine behind a remote queue of a tenant.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the tenant has not declared it.
    pub async fn behind_remote_queue(&self, tenant: &TenantId, name: &QueueName) -> Result<QueueName> {
        let mut tx = self.db.read().await?;
        let declared = store::queue(&mut tx, tenant, name).await?;
        let behind = declared.and_then(|queue| name::behind(tenant, &queue.name));
        behind.ok_or_else(|| Error::not_found("remote queue", name))
    }

    /// Forgets a remote queue that has no job left.
    ///
    /// # Errors
    /// [`Error::NotFound`], or [`Error::Conflict`] (`queue_not_empty`).
    pub async fn remove_remote_queue(&self, actor: &Actor, name: &QueueName) -> Result<()> {
        let mut tx = self.db.begin().await?;
        let queue = store::queue(&mut tx, &actor.tenant, name).await?;
        let queue = queue.ok_or_else(|| Error::not_found("remote queue", name))?;
        let behind = name::behind(&actor.tenant, name).ok_or_else(|| Error::not_found("remote queue", name))?;
        if store::has_jobs(&mut tx, &actor.tenant, &behind).await? {
            let message = format!(
                "remote queue {name} has jobs that wait, run or are dead: let workers finish them, cancel them, discard the dead"
            );
            return Err(Error::conflict("queue_not_empty", message));
        }
        store::remove_queue(&mut tx, &actor.tenant, name).await?;
        tx.record(actor, Event::new("remote_queue.remove", "remote_queue", name).before(&queue)).await?;
        tx.commit().await
    }

    /// Pauses a remote queue of a tenant, or lets it hand out jobs again.
    ///
    /// # Errors
    /// [`Error::NotFound`], else [`Error`] of the database or the queue.
    pub async fn switch_remote_queue(&self, actor: &Actor, name: &QueueName, paused: bool) -> Result<()> {
        let behind = self.behind_remote_queue(&actor.tenant, name).await?;
        let action = if paused { "remote_queue.pause" } else { "remote_queue.resume" };
        let change = async {
            let switched = if paused { self.queue.pause(&behind).await } else { self.queue.resume(&behind).await };
            Ok(switched?)
        };
        audit::service::around(&self.db, actor, Event::new(action, "remote_queue", name), change).await
    }

    /// Limits how many jobs of a remote queue run at once, over all its workers; `None` for as many as they take.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Invalid`] for 0, else [`Error`] of the database or the queue.
    pub async fn limit_remote_queue(&self, actor: &Actor, name: &QueueName, concurrency: Option<u32>) -> Result<()> {
        if concurrency == Some(0) {
            let cure = "it is at least 1, or null for no limit; pause the queue to stop it";
            return Err(Error::field("/concurrency", cure));
        }
        let behind = self.behind_remote_queue(&actor.tenant, name).await?;
        let after = serde_json::json!({ "concurrency": concurrency });
        let event = Event::new("remote_queue.limit", "remote_queue", name).after(&after);
        let change = async { Ok(self.queue.limit(&behind, concurrency).await?) };
        audit::service::around(&self.db, actor, event, change).await
    }
}

/// Refuses a time limit that no worker could keep.
pub(in crate::dispatch) fn check_timeout(timeout_ms: Option<u64>) -> Result<()> {
    if timeout_ms.is_none_or(|ms| (MIN_TIMEOUT_MS..=MAX_TIMEOUT_MS).contains(&ms)) {
        return Ok(());
    }
    let message = format!("a time limit is between {MIN_TIMEOUT_MS} ms and 7 days, {MAX_TIMEOUT_MS} ms");
    Err(Error::field("/timeout_ms", message))
}

fn check_name(tenant: &TenantId, name: &QueueName) -> Result<()> {
    if name::in_front(name).is_some() || *name == QueueName::default() {
        return Err(Error::field("/name", format!("{name} is taken by this program: choose another name")));
    }
    match name::longest(tenant) {
        0 => {
            Err(Error::field("/name", format!("the name of tenant {tenant} is too long: it can have no remote queue")))
        }
        longest if name.as_str().len() > longest => {
            let message = format!("the name of a remote queue of tenant {tenant} has at most {longest} characters");
            Err(Error::field("/name", message))
        }
        _ => Ok(()),
    }
}
