//! The user's Redis: what it says of itself, and the keys of a run on it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use deskhand_jobs::QueueName;
use deskhand_jobs::queue::redis::{RedisQueue, SCHEMES, Servers};
use deskhand_jobs::queue::{Endings, Queue};
use redis::aio::ConnectionManager;
use redis::{InfoDict, RedisError};

use super::clock::wall_ms;
use super::job::QUEUE;
use super::stage::refused;
use crate::base::{Error, Result, shown};

/// How many keys one look for keys asks for.
const SCAN_COUNT: usize = 1_000;

/// What was sent before a run was broken off may still arrive; so long nothing must have come before the keys count as gone.
const QUIET: Duration = Duration::from_millis(300);

/// How many queues are tried to find two that different masters have.
const TRIES: usize = 100;

/// How often the keys are looked for in vain before it is given up.
const SWEEPS: usize = 20;

/// The settings that decide how fast a server is and what it keeps.
const PARAMETERS: [&str; 6] = ["appendonly", "appendfsync", "save", "maxmemory", "maxmemory-policy", "io-threads"];

pub(super) struct Server {
    url: String,
    prefix: String,
    servers: Servers,
}

impl Server {
    /// Finds the servers, and makes sure that the keys of the run can be found and removed again.
    pub(super) async fn find(url: &str, prefix: String) -> Result<Self> {
        let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
        if !SCHEMES.contains(&scheme) {
            let known = SCHEMES.join("://, ");
            return Err(Error::field("", format!("--queue-url begins with sqlite://, {known}://")));
        }
        let servers = Servers::find(url).await.map_err(refused)?;
        let server = Self { url: url.to_owned(), prefix, servers };
        // A user that may push and not clean up would leave everything behind.
        for mut connection in server.servers.all() {
            server.scan(&mut connection, 0).await.map_err(|error| server.failed(error))?;
        }
        let mut unlink = redis::cmd("UNLINK");
        unlink.arg(server.key("none"));
        unlink.exec_async(&mut server.connection()?).await.map_err(|error| server.failed(error))?;
        Ok(server)
    }

    /// Returns what the keys of the run begin with, before a colon.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Returns a key beside the queue of the run, on the same master.
    pub(super) fn key(&self, word: &str) -> String {
        format!("{}:{{q:{QUEUE}}}:bare:{word}", self.prefix)
    }

    /// Opens the queue of the run; each time with connections of its own, as on another host.
    pub(super) async fn queue(&self) -> Result<Arc<dyn Queue>> {
        let queue = RedisQueue::open(&self.url, &self.prefix, Endings::Drop).await.map_err(refused)?;
        Ok(Arc::new(queue))
    }

    /// Returns two queues that different masters have; `None` if there is but one master.
    pub(super) async fn queues_apart(&self) -> Result<Option<[QueueName; 2]>> {
        if self.servers.all().len() < 2 {
            return Ok(None);
        }
        let mut first = None;
        for number in 0..TRIES {
            let name = format!("{QUEUE}-{number}");
            let mut connection = self.servers.of(&format!("{}:{{q:{name}}}:", self.prefix))?;
            let question = redis::cmd("CLUSTER").arg("MYID").to_owned();
            let master: String = question.query_async(&mut connection).await.map_err(|error| self.failed(error))?;
            let queue = QueueName::new(name).map_err(|error| Error::internal("cannot name a queue", error))?;
            match &first {
                None => first = Some((queue, master)),
                Some((other, its)) if *its != master => return Ok(Some([other.clone(), queue])),
                Some(_) => {}
            }
        }
        Ok(None)
    }

    /// Returns a connection to the master that has the queue of the run.
    pub(super) fn connection(&self) -> Result<ConnectionManager> {
        Ok(self.servers.of(&self.key(""))?)
    }

    /// Refuses a run for which the memory that the server may use does not suffice.
    pub(super) async fn must_hold(&self, bytes: u64) -> Result<()> {
        let info = self.info("memory", &mut self.connection()?).await?;
        let number = |key: &str| info.get::<u64>(key).unwrap_or_default();
        let (limit, used) = (number("maxmemory"), number("used_memory"));
        let free = limit.saturating_sub(used);
        if limit == 0 || free > bytes {
            return Ok(());
        }
        let mib = |bytes: u64| bytes / (1 << 20);
        let (needed, free) = (mib(bytes) + 1, mib(free));
        Err(Error::field(
            "",
            format!(
                "--jobs: so many take up to {needed} MiB and the server has {free} MiB left below its maxmemory; take fewer"
            ),
        ))
    }

    /// Returns the processor time of all masters, in seconds.
    pub(super) async fn cpu_s(&self) -> Result<f64> {
        let mut sum = 0.0;
        for mut connection in self.servers.all() {
            let info = self.info("cpu", &mut connection).await?;
            let spent = |key: &str| info.get::<f64>(key).unwrap_or_default();
            sum += spent("used_cpu_user") + spent("used_cpu_sys");
        }
        Ok(sum)
    }

    /// Returns the memory that data take: without the buffers of clients, of the append-only file and of replicas.
    pub(super) async fn data_bytes(&self) -> Result<f64> {
        let info = self.info("memory", &mut self.connection()?).await?;
        info.get::<f64>("used_memory_dataset")
            .ok_or_else(|| Error::unavailable("INFO memory", "the server does not tell used_memory_dataset"))
    }

    pub(super) async fn clock_ahead_ms(&self) -> Result<f64> {
        let mut connection = self.connection()?;
        let (mut best, mut shortest) = (0.0, f64::INFINITY);
        // The answer that came fastest says it most exactly.
        for _ in 0..20 {
            let before = wall_ms();
            let (seconds, micros): (f64, f64) =
                redis::cmd("TIME").query_async(&mut connection).await.map_err(|error| self.failed(error))?;
            let after = wall_ms();
            if after - before < shortest {
                shortest = after - before;
                best = seconds * 1e3 + micros / 1e3 - f64::midpoint(before, after);
            }
        }
        Ok(best)
    }

    /// Reads the settings; what the server does not tell is named so.
    pub(super) async fn settings(&self) -> Result<BTreeMap<String, String>> {
        let mut connection = self.connection()?;
        let mut settings = BTreeMap::new();
        for parameter in PARAMETERS {
            let mut question = redis::cmd("CONFIG");
            question.arg("GET").arg(parameter);
            let told: Vec<String> = question.query_async(&mut connection).await.unwrap_or_default();
            let value = told.into_iter().nth(1).unwrap_or_else(|| "not told".to_owned());
            settings.insert(parameter.to_owned(), if value.is_empty() { "none".to_owned() } else { value });
        }
        let masters = self.servers.all().len();
        if masters > 1 {
            settings.insert("masters".to_owned(), masters.to_string());
        }
        Ok(settings)
    }

    /// Removes the keys of the run, wherever its masters are now.
    pub(super) async fn clear(&self) -> Result<()> {
        let servers = Servers::find(&self.url).await?;
        let mut sweeps = 0;
        loop {
            let mut removed = 0;
            for mut connection in servers.all() {
                removed += self.sweep(&mut connection).await.map_err(|error| self.failed(error))?;
            }
            if removed == 0 && sweeps > 0 {
                return Ok(());
            }
            sweeps += 1;
            if sweeps == SWEEPS {
                let what = format!("keys that begin with {}: come again and again: somebody still works", self.prefix);
                return Err(Error::unavailable("the cleaning up", what));
            }
            tokio::time::sleep(QUIET).await;
        }
    }

    async fn sweep(&self, connection: &mut ConnectionManager) -> Result<usize, RedisError> {
        let (mut cursor, mut removed) = (0, 0);
        loop {
            let (next, keys) = self.scan(connection, cursor).await?;
            // One at a time: in a cluster keys of several slots do not go together.
            for key in keys {
                removed += redis::cmd("UNLINK").arg(key).query_async::<usize>(connection).await?;
            }
            if next == 0 {
                return Ok(removed);
            }
            cursor = next;
        }
    }

    async fn scan(&self, connection: &mut ConnectionManager, cursor: u64) -> Result<(u64, Vec<Vec<u8>>), RedisError> {
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(pattern(&self.prefix)).arg("COUNT").arg(SCAN_COUNT);
        scan.query_async(connection).await
    }

    async fn info(&self, section: &str, connection: &mut ConnectionManager) -> Result<InfoDict> {
        redis::cmd("INFO").arg(section).query_async(connection).await.map_err(|error| self.failed(error))
    }

    pub(super) fn failed(&self, error: RedisError) -> Error {
        if error.code() == Some("NOPERM") {
            let cure = "the measures need what jobs/README.md lists, and +scan +unlink to clean up";
            return Error::field("", format!("--queue-url: the user may not do this ({error}): {cure}"));
        }
        Error::unavailable(shown(&self.url), error)
    }
}

/// Returns the pattern of all keys below a prefix, which is no pattern itself.
fn pattern(prefix: &str) -> String {
    let mut pattern = String::with_capacity(prefix.len() + 2);
    for c in prefix.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern + ":*"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_taken_literally() {
        assert_eq!(pattern("deskhand:bench-1"), "deskhand:bench-1:*");
        assert_eq!(pattern("a*[b]?\\"), "a\\*\\[b\\]\\?\\\\:*");
    }
}
