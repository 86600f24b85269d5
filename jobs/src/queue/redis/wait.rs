//! Waiting for work without asking for it.

use std::collections::HashSet;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use redis::{Cmd, RedisResult, Value};
use tokio::time::{Instant, timeout_at};

use super::connection::{Blocking, Connection};
use super::server::Server;
use crate::id::QueueName;
use crate::queue::Result;

/// How much longer than the block the client waits for the answer before it takes the connection for dead.
const ANSWER_MARGIN: Duration = Duration::from_secs(3);

/// The server's resolution of block times; 0 would block for ever.
const SHORTEST_BLOCK: Duration = Duration::from_millis(5);

/// Nobody waits so long for a job that is due, but only to see whether all is well, and 100 ms do not matter.
const TICK: Duration = Duration::from_secs(4);

/// How long after the end of a block to remind the server of it; its clock has milliseconds.
const NUDGES: [Duration; 2] = [Duration::from_millis(2), Duration::from_millis(12)];

/// The connections that block: of their own, because whatever shares them would wait too.
#[derive(Default)]
pub(super) struct Waiter {
    /// Those on which nothing is under way.
    idle: Mutex<Vec<Blocking>>,
    /// Queues whose marker was taken here, or may have been, and into which nobody here has looked since.
    heard: Mutex<HashSet<QueueName>>,
}

impl Waiter {
    /// Blocks on the markers of the queues.
    ///
    /// One exchange can block on all queues of one server. In a cluster no command touches two slots: there each queue has an
    /// exchange of its own, and the first marker ends the wait.
    pub(super) async fn wait(&self, connection: &Connection, queues: &[QueueName], max_wait: Duration) -> Result<()> {
        if queues.is_empty() {
            tokio::time::sleep(max_wait).await;
            return Ok(());
        }
        if !connection.is_spread() {
            return self.block(connection, queues, max_wait, None).await.map(drop);
        }
        let mut blocks: FuturesUnordered<_> =
            queues.chunks(1).map(|queue| self.block(connection, queue, max_wait, None)).collect();
        let (mut answered, mut first_failure) = (false, None);
        while let Some(answer) = blocks.next().await {
            match answer {
                Ok((true, _)) => return Ok(()),
                Ok((false, _)) => answered = true,
                Err(error) => first_failure = first_failure.or(Some(error)),
            }
        }
        // A master that is away does not keep anybody from the queues of the others.
        if answered { Ok(()) } else { first_failure.map_or(Ok(()), Err) }
    }

    /// Blocks on the markers of queues of one server, which carries out a command of theirs as soon as the wait is over; returns its
    /// answer, which may be an error of the server.
    pub(super) async fn wait_and(
        &self,
        connection: &Connection,
        queues: &[QueueName],
        max_wait: Duration,
        command: &Cmd,
    ) -> Result<Value> {
        self.block(connection, queues, max_wait, Some(command)).await.map(|(_, answer)| answer)
    }

    /// Blocks on the markers of queues of one server. `true` if there was one; and the answer to the command that follows.
    ///
    /// The connection is put back only after a whole exchange: a caller that gives up closes it, and with it the blocked command,
    /// which would otherwise swallow a marker meant for somebody else. What it may have swallowed until then is noted.
    async fn block(
        &self,
        connection: &Connection,
        queues: &[QueueName],
        max_wait: Duration,
        then: Option<&Cmd>,
    ) -> Result<(bool, Value)> {
        let keys: Vec<String> = queues.iter().map(|queue| connection.key(queue, "wake")).collect();
        let mut blocking = self.connection(connection, &keys[0]).await?;
        let block = max_wait.max(SHORTEST_BLOCK);
        let mut exchange = redis::pipe();
        exchange.ignore_errors().cmd("BZPOPMIN").arg(&keys).arg(format!("{:.3}", block.as_secs_f64()));
        if let Some(command) = then {
            exchange.add_command(command.clone());
        }
        blocking.connection.set_response_timeout(block + ANSWER_MARGIN);
        let unheard = Unheard { waiter: self, queues };
        let server = Arc::clone(&blocking.server);
        let answers = punctually(&server, block, exchange.query_async(&mut blocking.connection)).await;
        let (marker, answer) =
            answers.and_then(both).map_err(|error| connection.blocking_failed(&blocking.server, error))?;
        std::mem::forget(unheard);
        let heard = marker.and_then(|(marker, ..)| keys.iter().position(|key| *key == marker));
        if let Some(place) = heard {
            self.heard().insert(queues[place].clone());
        }
        self.idle().push(blocking);
        Ok((heard.is_some(), answer))
    }

    /// Takes an idle connection to the server that has a key, or opens one.
    async fn connection(&self, connection: &Connection, key: &str) -> Result<Blocking> {
        let (_, server) = connection.server_of(key.as_bytes())?;
        let idle = {
            let mut idle = self.idle();
            let servers = &connection.topology.map().servers;
            idle.retain(|idle| servers.iter().any(|server| Arc::ptr_eq(server, &idle.server)));
            let fits = idle.iter().position(|idle| Arc::ptr_eq(&idle.server, &server));
            fits.map(|place| idle.swap_remove(place))
        };
        match idle {
            Some(idle) => Ok(idle),
            None => connection.blocking(key.as_bytes()).await,
        }
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

    fn idle(&self) -> MutexGuard<'_, Vec<Blocking>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The answer to a wait: the key of a marker, the marker, its score; or nothing.
type Marker = Option<(String, String, f64)>;

/// Takes the answers to a wait and to the command behind it, if there is one, apart.
fn both(answers: Vec<Value>) -> RedisResult<(Marker, Value)> {
    let mut answers = answers.into_iter();
    let marker = answers.next().unwrap_or(Value::Nil).extract_error()?;
    Ok((redis::from_redis_value(marker)?, answers.next().unwrap_or(Value::Nil)))
}

/// Waits for the end of a block.
///
/// A server with nothing to do looks at its clock ten times a second only, and would end a block up to 100 ms late. Any command makes
/// it look.
async fn punctually<T>(server: &Server, block: Duration, exchange: impl Future<Output = T>) -> T {
    tokio::pin!(exchange);
    let end = Instant::now() + block;
    for late in NUDGES.into_iter().filter(|_| block < TICK) {
        if let Ok(answer) = timeout_at(end + late, &mut exchange).await {
            return answer;
        }
        server.nudge().await;
    }
    exchange.await
}

/// An exchange whose answer has not been seen. Dropped, it leaves its queues to be looked into: the answer may have been a marker
/// that was already on its way.
struct Unheard<'a> {
    waiter: &'a Waiter,
    queues: &'a [QueueName],
}

impl Drop for Unheard<'_> {
    fn drop(&mut self) {
        self.waiter.heard().extend(self.queues.iter().cloned());
    }
}
