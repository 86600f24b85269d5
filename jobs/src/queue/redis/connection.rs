//! Commands and scripts on their way to the server that has their keys.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use redis::aio::{ConnectionManager, MultiplexedConnection};
use redis::{Arg, Cmd, ErrorKind, FromRedisValue, RedisError, RedisResult, Script, ServerErrorKind};
use tokio::task::JoinHandle;

use super::address::Address;
use super::failure::{Way, classify, is_silence, way};
use super::server::Server;
use super::topology::Topology;
use crate::id::QueueName;
use crate::queue::{Endings, Error, Result};

/// How many servers a command is brought to before it is given up.
const TRIES: usize = 3;

/// The way to the servers, and what every script call carries.
pub(super) struct Connection {
    pub(super) topology: Arc<Topology>,
    /// Scheme, hosts and ports, without credentials.
    pub(super) store: String,
    pub(super) prefix: String,
    endings: Endings,
    skew_ms: AtomicI64,
}

/// The reason of a failure before anything was sent.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Unsent(String);

/// Says whether a call that failed may have been done all the same.
pub(super) fn may_be_done(error: &Error) -> bool {
    matches!(error, Error::Unavailable { source, .. } if !source.is::<Unsent>())
}

/// A connection that nobody shares, and its server.
pub(super) struct Blocking {
    pub(super) server: Arc<Server>,
    pub(super) connection: MultiplexedConnection,
}

impl Connection {
    pub(super) async fn open(url: &str, prefix: &str, endings: Endings) -> Result<Self> {
        let refused = |store: &str, message: String| Error::Refused { store: store.to_owned(), message };
        let address = Address::parse(url).map_err(|wrong| refused("an address that cannot be read", wrong))?;
        let store = address.shown.clone();
        if prefix.contains(['{', '}']) {
            // Braces in keys say what is to stay together, and that is for the queues to say.
            return Err(refused(
                &store,
                "the prefix of its keys has a brace; choose one without, such as deskhand".into(),
            ));
        }
        let topology = Topology::open(address).await?;
        Ok(Self { topology, store, prefix: prefix.to_owned(), endings, skew_ms: AtomicI64::new(0) })
    }

    pub(super) fn shift_clock(&self, by_ms: i64) {
        self.skew_ms.fetch_add(by_ms, Ordering::Relaxed);
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

    /// Says whether queues live on different servers, of which one may be away while the others answer.
    pub(super) fn is_spread(&self) -> bool {
        self.topology.is_spread()
    }

    /// Returns a key of a queue.
    pub(super) fn key(&self, queue: &QueueName, word: &str) -> String {
        format!("{}:{{q:{queue}}}:{word}", self.prefix)
    }

    /// Returns the one key outside all queues: the set of their names.
    pub(super) fn registry_key(&self) -> String {
        format!("{}:queues", self.prefix)
    }

    /// Sends a command whose first argument is its key.
    pub(super) async fn command<T: FromRedisValue>(&self, command: &Cmd) -> Result<T> {
        let send = |mut manager: ConnectionManager| async move { command.query_async(&mut manager).await };
        self.bring(key_of(command), send).await
    }

    /// Sends commands whose first arguments are keys of one queue.
    pub(super) async fn pipeline<T: FromRedisValue>(&self, pipeline: &redis::Pipeline) -> Result<T> {
        let send = |mut manager: ConnectionManager| async move { pipeline.query_async(&mut manager).await };
        self.bring(pipeline.cmd_iter().next().map(key_of).unwrap_or_default(), send).await
    }

    /// Calls a script on one queue.
    pub(super) async fn call<T: FromRedisValue>(
        &self,
        script: &Script,
        queue: &QueueName,
        arguments: impl IntoIterator<Item = impl AsRef<[u8]>>,
    ) -> Result<T> {
        self.call_on(script, std::slice::from_ref(queue), arguments).await
    }

    /// Writes down the call of a script on queues that live together.
    pub(super) fn script_call(
        &self,
        script: &Script,
        queues: &[QueueName],
        arguments: impl IntoIterator<Item = impl AsRef<[u8]>>,
    ) -> Cmd {
        let mut call = redis::cmd("EVALSHA");
        call.arg(script.get_hash()).arg(queues.len());
        for queue in queues {
            call.arg(self.key(queue, ""));
        }
        call.arg(self.skew_ms.load(Ordering::Relaxed)).arg(self.endings_text());
        for argument in arguments {
            call.arg(argument.as_ref());
        }
        call
    }

    /// Calls a script on queues that live together.
    pub(super) async fn call_on<T: FromRedisValue>(
        &self,
        script: &Script,
        queues: &[QueueName],
        arguments: impl IntoIterator<Item = impl AsRef<[u8]>>,
    ) -> Result<T> {
        let call = self.script_call(script, queues, arguments);
        let key = queues.first().map(|queue| self.key(queue, "")).unwrap_or_default();
        let call = &call;
        let send = |mut manager: ConnectionManager| async move {
            match call.query_async(&mut manager).await {
                Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                    script.load_async(&mut manager).await?;
                    call.query_async(&mut manager).await
                }
                answer => answer,
            }
        };
        self.bring(key.as_bytes(), send).await
    }

    /// Sends to the server of a key, and on to the next one if that says that it is not.
    async fn bring<T, F>(&self, key: &[u8], send: impl Fn(ConnectionManager) -> F) -> Result<T>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let mut tries = 1;
        loop {
            let (seen, server) = self.server_of(key)?;
            let shared = server.shared();
            let error = match send(shared.manager.clone()).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            server.failed(&shared, &error);
            let look = self.learn(seen, &server, &error).filter(|_| way(&error) == Way::Elsewhere && tries < TRIES);
            let Some(look) = look else { return Err(classify(&self.store, error)) };
            // One that broke has found nobody else.
            drop(look.await);
            if Arc::ptr_eq(&self.server_of(key)?.1, &server) {
                return Err(classify(&self.store, error));
            }
            tries += 1;
        }
    }

    /// Opens a connection of its own for a command that blocks on a key.
    pub(super) async fn blocking(&self, key: &[u8]) -> Result<Blocking> {
        let (seen, server) = self.server_of(key)?;
        match server.own_connection().await {
            Ok(connection) => Ok(Blocking { server, connection }),
            Err(error) => Err(self.failed(seen, &server, error)),
        }
    }

    /// Sorts the error of a command that blocked.
    pub(super) fn blocking_failed(&self, server: &Arc<Server>, error: RedisError) -> Error {
        self.failed(self.topology.map().number, server, error)
    }

    fn failed(&self, seen: u64, server: &Arc<Server>, error: RedisError) -> Error {
        drop(self.learn(seen, server, &error));
        classify(&self.store, error)
    }

    /// Returns the server of a key, if it answers, and the number of the look that found it.
    pub(super) fn server_of(&self, key: &[u8]) -> Result<(u64, Arc<Server>)> {
        let map = self.topology.map();
        let Some(server) = map.server_of(key) else {
            drop(self.topology.look_anew(map.number));
            return Err(self.away(format!("no master of the cluster has the slot of {}", String::from_utf8_lossy(key))));
        };
        if server.is_silent() {
            return Err(self.away(format!("the server {} has not answered lately; it is tried again", server.name)));
        }
        Ok((map.number, Arc::clone(server)))
    }

    /// Draws the conclusions from an error of a server. Returns the look for another one, if there is to be one.
    fn learn(&self, seen: u64, server: &Arc<Server>, error: &RedisError) -> Option<JoinHandle<()>> {
        if is_silence(error) {
            self.topology.has_fallen_silent(server);
        }
        (way(error) != Way::Here).then(|| self.topology.look_anew(seen))
    }

    pub(super) fn away(&self, message: String) -> Error {
        Error::Unavailable { store: self.store.clone(), source: Box::new(Unsent(message)) }
    }

    /// Says whether an error is the business of one master only, while the others may answer.
    pub(super) fn is_partial(&self, error: &Error) -> bool {
        self.is_spread() && matches!(error, Error::Unavailable { .. })
    }

    pub(super) fn unreadable(&self, message: impl Into<String>) -> Error {
        Error::Corrupt { store: self.store.clone(), message: message.into() }
    }
}

fn key_of(command: &Cmd) -> &[u8] {
    match command.args_iter().nth(1) {
        Some(Arg::Simple(key)) => key,
        _ => b"",
    }
}
