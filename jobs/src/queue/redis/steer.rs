//! What people do: cancel, retry, pause.

use super::ids::Packed;
use super::scripts;
use super::store::RedisQueue;
use crate::id::{JobId, QueueName};
use crate::queue::{Cancelled, Result};

impl RedisQueue {
    pub(super) async fn cancel_job(&self, id: JobId) -> Result<Cancelled> {
        let ask = |queue: QueueName| async move {
            let answer: String = self.connection.call(&scripts::cancel, &queue, [Packed::of(id)]).await?;
            Ok(match answer.as_str() {
                "ended" => Some(Cancelled::Ended),
                "asked" => Some(Cancelled::Asked),
                "already" => Some(Cancelled::AlreadyEnded),
                _ => None,
            })
        };
        Ok(self.search(ask).await?.unwrap_or(Cancelled::Unknown))
    }

    pub(super) async fn retry_job(&self, id: JobId) -> Result<bool> {
        let ask = |queue: QueueName| async move {
            Ok(self.connection.call::<bool>(&scripts::retry, &queue, [Packed::of(id)]).await?.then_some(()))
        };
        Ok(self.search(ask).await?.is_some())
    }

    pub(super) async fn set_paused(&self, queue: &QueueName, paused: bool) -> Result<()> {
        self.register_queue(queue).await?;
        self.connection.call(&scripts::pause, queue, [u8::from(paused).to_string()]).await
    }
}
