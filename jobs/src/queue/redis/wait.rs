//! Waiting for work without asking for it.

use std::collections::HashSet;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use redis::AsyncConnectionConfig;
use redis::aio::MultiplexedConnection;
use tokio::sync::Mutex;

use super::connection::{Connection, classify};
use crate::id::QueueName;
use crate::queue::Result;

/// How much longer than the block the client waits for the answer before it takes the connection for dead.
const ANSWER_MARGIN: Duration = Duration::from_secs(3);

/// The server's resolution of block times; 0 would block for ever.
const SHORTEST_BLOCK: Duration = Duration::from_millis(5);

/// The connection that blocks: of its own, because whatever shares it would wait too.
#[derive(Default)]
pub(super) struct Waiter {
    idle: Mutex<Option<MultiplexedConnection>>,
    /// Queues whose marker was taken here and into which nobody here has looked since.
    heard: std::sync::Mutex<HashSet<QueueName>>,
}

impl Waiter {
    /// Blocks on the markers of the queues.
    ///
    /// The connection is put back only after a whole exchange: a caller that gives up closes it, and with it the blocked command,
    /// which would otherwise swallow a marker meant for somebody else.
    pub(super) async fn wait(&self, connection: &Connection, queues: &[QueueName], max_wait: Duration) -> Result<()> {
        if queues.is_empty() {
            tokio::time::sleep(max_wait).await;
            return Ok(());
        }
        let taken = self.idle.lock().await.take();
        let mut blocking = match taken {
            Some(blocking) => blocking,
            None => connect(connection).await?,
        };
        let block = max_wait.max(SHORTEST_BLOCK);
        let mut command = redis::cmd("BZPOPMIN");
        for queue in queues {
            command.arg(connection.key(queue, "wake"));
        }
        command.arg(format!("{:.3}", block.as_secs_f64()));
        blocking.set_response_timeout(block + ANSWER_MARGIN);
        let answer: Option<(String, String, f64)> =
            command.query_async(&mut blocking).await.map_err(|error| classify(&connection.store, error))?;
        if let Some((marker, ..)) = answer
            && let Some(queue) = queues.iter().find(|queue| connection.key(queue, "wake") == marker)
        {
            self.heard().insert(queue.clone());
        }
        *self.idle.lock().await = Some(blocking);
        Ok(())
    }

    /// Notes that somebody has looked into a queue.
    pub(super) fn looked_into(&self, queue: &QueueName) {
        self.heard().remove(queue);
    }

    /// Says whether a wake-up for a queue was heard here and not used; whoever asks has to pass it on.
    pub(super) fn owes(&self, queue: &QueueName) -> bool {
        self.heard().remove(queue)
    }

    fn heard(&self) -> MutexGuard<'_, HashSet<QueueName>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn connect(connection: &Connection) -> Result<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new().set_connection_timeout(Some(Duration::from_secs(2)));
    connection
        .client()
        .get_multiplexed_async_connection_with_config(&config)
        .await
        .map_err(|error| classify(&connection.store, error))
}
