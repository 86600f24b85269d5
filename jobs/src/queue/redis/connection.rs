//! Reaching the server: one shared connection for commands, errors with their cure, the facts checked at start.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, Cmd, FromRedisValue, RedisError, Script, ServerErrorKind};

use crate::id::QueueName;
use crate::queue::{Endings, Error, Health, Result};

/// No script takes a tenth of this; a server that needs longer is as good as gone, and the caller tries again.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// The connection, and what every script call carries.
pub(super) struct Connection {
    client: Client,
    shared: RwLock<Shared>,
    /// Host and port, without credentials.
    pub(super) store: String,
    prefix: String,
    endings: Endings,
    skew_ms: AtomicI64,
}

/// The connection of all commands, and which one in the life of this store it is.
#[derive(Clone)]
struct Shared {
    number: u64,
    manager: ConnectionManager,
}

impl Connection {
    pub(super) async fn open(url: &str, prefix: &str, endings: Endings) -> Result<Self> {
        let store = without_credentials(url);
        let refused = |message: String| Error::Refused { store: store.clone(), message };
        let client = Client::open(url).map_err(|error| {
            refused(format!("the address cannot be used ({error}); it looks like redis://host:6379/0"))
        })?;
        let manager = ConnectionManager::new_with_config(client.clone(), config())
            .await
            .map_err(|error| classify(&store, error))?;
        let shared = RwLock::new(Shared { number: 0, manager });
        Ok(Self { client, shared, store, prefix: prefix.to_owned(), endings, skew_ms: AtomicI64::new(0) })
    }

    pub(super) fn shift_clock(&self, by_ms: i64) {
        self.skew_ms.fetch_add(by_ms, Ordering::Relaxed);
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Says whether ended jobs stay without anybody fetching their records.
    pub(super) fn retains_jobs(&self) -> bool {
        self.endings.retention().is_some()
    }

    /// Returns what becomes of ended jobs, as the scripts read it.
    fn endings_text(&self) -> String {
        match self.endings {
            Endings::Drop => "0".to_owned(),
            Endings::Keep => "1".to_owned(),
            Endings::Retain(retention) => format!("{}:{}", retention.max_count, retention.max_age_ms),
        }
    }

    /// Returns a key of a queue.
    pub(super) fn key(&self, queue: &QueueName, word: &str) -> String {
        format!("{}:{{q:{queue}}}:{word}", self.prefix)
    }

    /// Returns the one key outside all queues: the set of their names.
    pub(super) fn registry_key(&self) -> String {
        format!("{}:queues", self.prefix)
    }

    pub(super) async fn command<T: FromRedisValue>(&self, command: &Cmd) -> Result<T> {
        let Shared { number, mut manager } = self.shared();
        command.query_async(&mut manager).await.map_err(|error| self.failed(number, error))
    }

    pub(super) async fn pipeline<T: FromRedisValue>(&self, pipeline: &redis::Pipeline) -> Result<T> {
        let Shared { number, mut manager } = self.shared();
        pipeline.query_async(&mut manager).await.map_err(|error| self.failed(number, error))
    }

    /// Calls a script on one queue.
    pub(super) async fn call<T: FromRedisValue>(
        &self,
        script: &Script,
        queue: &QueueName,
        arguments: impl IntoIterator<Item = impl AsRef<[u8]>>,
    ) -> Result<T> {
        let mut call = script.key(self.key(queue, ""));
        call.arg(self.skew_ms.load(Ordering::Relaxed));
        call.arg(self.endings_text());
        for argument in arguments {
            call.arg(argument.as_ref());
        }
        let Shared { number, mut manager } = self.shared();
        call.invoke_async(&mut manager).await.map_err(|error| self.failed(number, error))
    }

    fn shared(&self) -> Shared {
        self.shared.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sorts an error of a connection, and replaces the connection if it is one that would only err again.
    fn failed(&self, number: u64, error: RedisError) -> Error {
        if is_spent(&error) {
            let mut shared = self.shared.write().unwrap_or_else(PoisonError::into_inner);
            // Of many calls that fail together the first replaces it.
            if shared.number == number
                && let Ok(manager) = ConnectionManager::new_lazy_with_config(self.client.clone(), config())
            {
                *shared = Shared { number: number + 1, manager };
            }
        }
        classify(&self.store, error)
    }

    pub(super) fn unreadable(&self, message: impl Into<String>) -> Error {
        Error::Corrupt { store: self.store.clone(), message: message.into() }
    }

    /// Reads what decides whether this server may keep jobs.
    pub(super) async fn check(&self) -> Result<Health> {
        let info: redis::InfoDict = self.command(redis::cmd("INFO").arg("everything")).await?;
        let text = |key: &str| info.get::<String>(key).unwrap_or_default();
        let policy = text("maxmemory_policy");
        if policy != "noeviction" {
            return Err(Error::Refused {
                store: self.store.clone(),
                message: format!(
                    "its maxmemory-policy is {policy:?}, which deletes jobs when memory is short; set maxmemory-policy to noeviction"
                ),
            });
        }
        // What is asked besides is only for people: a server that hides its configuration is no reason to stop.
        let fsync: Vec<String> =
            self.command(redis::cmd("CONFIG").arg("GET").arg("appendfsync")).await.unwrap_or_default();
        let durability = match (text("aof_enabled").as_str(), fsync.get(1).map(String::as_str)) {
            ("1", Some(fsync)) => format!("append-only file, fsync {fsync}"),
            ("1", None) => "append-only file".to_owned(),
            _ => {
                "no append-only file: jobs of the last moments are lost with the server; set appendonly yes".to_owned()
            }
        };
        let product = if text("valkey_version").is_empty() { "redis" } else { "valkey" };
        let version = if product == "valkey" { text("valkey_version") } else { text("redis_version") };
        Ok(Health { version: format!("{product} {version}"), durability })
    }
}

fn config() -> ConnectionManagerConfig {
    ConnectionManagerConfig::new()
        .set_number_of_retries(1)
        .set_max_delay(Duration::from_millis(500))
        .set_connection_timeout(Some(Duration::from_secs(2)))
        .set_response_timeout(Some(ANSWER_WITHIN))
}

/// Says whether a connection is of no use though nobody has closed it: the client goes on using one to a host that is gone
/// without a farewell, and one to a server that has been demoted.
fn is_spent(error: &RedisError) -> bool {
    error.is_timeout() || error.kind() == redis::ErrorKind::Server(ServerErrorKind::ReadOnly)
}

/// Sorts the client's errors: what passes by itself, and what a person must mend.
pub(super) fn classify(store: &str, error: RedisError) -> Error {
    use redis::ErrorKind;

    let cure = match (error.kind(), error.code()) {
        (_, Some("OOM")) => "its memory is full; raise maxmemory or let the workers drain the queues",
        (ErrorKind::AuthenticationFailed, _) | (_, Some("NOAUTH" | "WRONGPASS")) => {
            "it wants another user or password; check queue.url"
        }
        (_, Some("NOPERM")) => "the user may not do this; allow it the commands and keys that docs list for Redis",
        (ErrorKind::Server(ServerErrorKind::ResponseError), _) if error.to_string().contains("DB index") => {
            "it has no database of that number; check the number at the end of queue.url"
        }
        (ErrorKind::Server(ServerErrorKind::ResponseError), _) => "a script failed; the text says where",
        _ => return Error::Unavailable { store: store.to_owned(), source: Box::new(error) },
    };
    Error::Refused { store: store.to_owned(), message: format!("{cure} ({error})") }
}

fn without_credentials(url: &str) -> String {
    url::Url::parse(url).map_or_else(
        |_| "an address that is not a URL".to_owned(),
        |url| {
            let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
            format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default())
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_number_that_does_not_exist_is_named() {
        let kind = redis::ErrorKind::Server(ServerErrorKind::ResponseError);
        let error = RedisError::from((kind, "refused", "DB index is out of range".to_owned()));
        assert!(classify("redis://h", error).to_string().contains("the end of queue.url"));
    }

    #[test]
    fn an_address_is_shown_without_its_password() {
        assert_eq!(without_credentials("redis://user:secret@10.0.0.1:6380/2"), "redis://10.0.0.1:6380");
        assert!(!without_credentials("redis:secret@nonsense").contains("secret"));
    }
}
