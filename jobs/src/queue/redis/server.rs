//! One server: the connection that all commands to it share, and whether it answers.

use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use redis::aio::{ConnectionManager, ConnectionManagerConfig, MultiplexedConnection};
use redis::{AsyncConnectionConfig, Client, ErrorKind, RedisError, RedisResult, ServerErrorKind};

/// No script takes a tenth of this; a server that needs longer is as good as gone, and the caller tries again.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// How long a server may take to accept a connection.
pub(super) const CONNECT_WITHIN: Duration = Duration::from_secs(2);

pub(super) struct Server {
    /// Host and port.
    pub(super) name: String,
    client: Client,
    shared: RwLock<Shared>,
    /// Since when it has been known not to answer.
    silent_since: Mutex<Option<Instant>>,
}

/// The connection of all commands, and which one in the life of this server it is.
#[derive(Clone)]
pub(super) struct Shared {
    number: u64,
    pub(super) manager: ConnectionManager,
}

impl Server {
    /// Connects when the first command wants it.
    pub(super) fn new(name: String, client: Client) -> RedisResult<Self> {
        let manager = ConnectionManager::new_lazy_with_config(client.clone(), config())?;
        let shared = RwLock::new(Shared { number: 0, manager });
        Ok(Self { name, client, shared, silent_since: Mutex::default() })
    }

    pub(super) fn shared(&self) -> Shared {
        self.shared.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces a connection if its error shows that it would only err again.
    pub(super) fn failed(&self, failed: &Shared, error: &RedisError) {
        if !is_spent(error) {
            return;
        }
        let mut shared = self.shared.write().unwrap_or_else(PoisonError::into_inner);
        // Of many calls that fail together the first replaces it.
        if shared.number == failed.number
            && let Ok(manager) = ConnectionManager::new_lazy_with_config(self.client.clone(), config())
        {
            *shared = Shared { number: failed.number + 1, manager };
        }
    }

    /// Opens a connection of its own for a command that blocks.
    pub(super) async fn own_connection(&self) -> RedisResult<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT_WITHIN));
        self.client.get_multiplexed_async_connection_with_config(&config).await
    }

    /// Gives it something to do; whether it does is found out by others.
    pub(super) async fn nudge(&self) {
        let mut manager = self.shared().manager;
        drop(redis::cmd("PING").exec_async(&mut manager).await);
    }

    /// Says whether it answers, over a new connection.
    pub(super) async fn answers(&self) -> bool {
        let Ok(mut connection) = brief_connection(&self.client).await else { return false };
        redis::cmd("PING").exec_async(&mut connection).await.is_ok()
    }

    pub(super) fn is_silent(&self) -> bool {
        self.silence().is_some()
    }

    /// Notes that it does not answer; `false` if that was known.
    pub(super) fn falls_silent(&self) -> bool {
        let mut since = self.silence();
        let new = since.is_none();
        since.get_or_insert_with(Instant::now);
        new
    }

    /// Notes that it answers again. Returns how long it did not.
    pub(super) fn speaks(&self) -> Option<Duration> {
        self.silence().take().map(|since| since.elapsed())
    }

    fn silence(&self) -> MutexGuard<'_, Option<Instant>> {
        self.silent_since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens a connection for a question or two to a server that may be gone.
pub(super) async fn brief_connection(client: &Client) -> RedisResult<MultiplexedConnection> {
    const PATIENCE: Option<Duration> = Some(Duration::from_secs(1));
    let config = AsyncConnectionConfig::new().set_connection_timeout(PATIENCE).set_response_timeout(PATIENCE);
    client.get_multiplexed_async_connection_with_config(&config).await
}

fn config() -> ConnectionManagerConfig {
    ConnectionManagerConfig::new()
        .set_number_of_retries(1)
        .set_max_delay(Duration::from_millis(500))
        .set_connection_timeout(Some(CONNECT_WITHIN))
        .set_response_timeout(Some(ANSWER_WITHIN))
}

/// Says whether a connection is of no use though nobody has closed it: the client goes on using one to a host that is gone
/// without a farewell, one to a server that has been demoted, and the failure of one that could not log in.
fn is_spent(error: &RedisError) -> bool {
    error.is_timeout()
        || error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
        || error.kind() == ErrorKind::AuthenticationFailed
}
