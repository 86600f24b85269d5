//! What people do: cancel, retry, pause.

use super::scripts;
use super::store::RedisQueue;
use crate::id::{JobId, QueueName};
use crate::queue::{Cancelled, Result};

impl RedisQueue {
    pub(super) async fn cancel_job(&self, id: JobId) -> Result<Cancelled> {
        for queue in self.queue_names().await? {
            let answer: String = self.connection.call(&scripts::cancel, &queue, [id.as_bytes()]).await?;
            match answer.as_str() {
                "ended" => return Ok(Cancelled::Ended),
                "asked" => return Ok(Cancelled::Asked),
                "already" => return Ok(Cancelled::AlreadyEnded),
                _ => {}
            }
        }
        Ok(Cancelled::Unknown)
    }

    pub(super) async fn retry_job(&self, id: JobId) -> Result<bool> {
        for queue in self.queue_names().await? {
            if self.connection.call::<bool>(&scripts::retry, &queue, [id.as_bytes()]).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(super) async fn set_paused(&self, queue: &QueueName, paused: bool) -> Result<()> {
        self.register_queue(queue).await?;
        self.connection.call(&scripts::pause, queue, [u8::from(paused).to_string()]).await
    }
}
