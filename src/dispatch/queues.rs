//! What people do with whole queues: pause, resume, limit. All tenants share them.

use deskhand_jobs::QueueName;
use serde_json::json;

use super::Service;
use crate::audit::{self, Event};
use crate::base::{Actor, Error, Result};

impl Service {
    /// Stops a queue from handing out jobs; those that run go on.
    ///
    /// # Errors
    /// [`Error`] of the database or the queue.
    pub async fn pause_queue(&self, actor: &Actor, queue: &QueueName) -> Result<()> {
        let event = Event::new("queue.pause", "queue", queue);
        self.on_queue(actor, event, async { Ok(self.queue.pause(queue).await?) }).await
    }

    /// Lets a paused queue hand out jobs again.
    ///
    /// # Errors
    /// [`Error`] of the database or the queue.
    pub async fn resume_queue(&self, actor: &Actor, queue: &QueueName) -> Result<()> {
        let event = Event::new("queue.resume", "queue", queue);
        self.on_queue(actor, event, async { Ok(self.queue.resume(queue).await?) }).await
    }

    /// Limits how many jobs of a queue run at once, over all workers; `None` takes the limit away.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a limit of 0, else [`Error`] of the database or the queue.
    pub async fn limit_queue(&self, actor: &Actor, queue: &QueueName, concurrency: Option<u32>) -> Result<()> {
        if concurrency == Some(0) {
            let cure = "it is at least 1, or null for no limit; pause the queue to stop it";
            return Err(Error::field("/concurrency", cure));
        }
        let event = Event::new("queue.limit", "queue", queue).after(&json!({"concurrency": concurrency}));
        self.on_queue(actor, event, async { Ok(self.queue.limit(queue, concurrency).await?) }).await
    }

    async fn on_queue(&self, actor: &Actor, event: Event, change: impl Future<Output = Result<()>>) -> Result<()> {
        audit::service::around(&self.db, actor, event, change).await
    }
}
