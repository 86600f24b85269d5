//! What must be true of the servers before they may keep jobs. Each refusal names its cure.

use std::sync::LazyLock;

use futures_util::future::try_join_all;
use redis::{ErrorKind, InfoDict, RedisError, Script, ServerErrorKind};

use super::address::Layout;
use super::connection::Connection;
use super::failure::{classify, way};
use super::server::Server;
use crate::id::QueueName;
use crate::queue::{Error, Health, Result};

/// How jobs are kept, as the set of queues says it among their names; no queue can be called so. Whoever changes the layout of the keys
/// in a way that a program of before cannot read gives it another number.
pub(super) const LAYOUT: &str = "layout 3";

/// What a user of the server is to be allowed beside its keys; jobs/README.md says the same. `CONFIG GET` is only for the report.
const RULE: &str = "+@hash +@list +@set +@sortedset +@string -sort -sort_ro +evalsha +script|load +exists +del \
                    +pexpire +persist +time +ping +select +info +config|get +cluster|slots";

/// The commands that scripts and this client send with a key, and how a user may load scripts.
const COMMANDS: &str = "BZPOPMIN DEL EXISTS GET HDEL HEXISTS HGET HGETALL HINCRBY HKEYS HLEN HMGET HSCAN HSET HSETNX \
                        LLEN LPOP LPOS LPUSH LRANGE LREM LSET LTRIM MGET PERSIST PEXPIRE RPUSH SADD SCARD SCRIPT|LOAD \
                        SET SISMEMBER SMEMBERS SMISMEMBER SRANDMEMBER SREM SSCAN TIME ZADD ZCARD ZCOUNT ZMSCORE \
                        ZPOPMIN ZRANGE ZRANGEBYSCORE ZREM ZSCAN ZSCORE";

static ALLOWED: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/allowed.lua")));

impl Connection {
    /// Reads what decides whether these servers may keep jobs.
    pub(super) async fn check(&self) -> Result<Health> {
        let map = self.topology.map();
        let mut healths = try_join_all(map.servers.iter().map(|server| self.check_server(map.number, server))).await?;
        if healths.len() > 1 {
            let masters = healths.len();
            // The weakest counts.
            healths.sort_by_key(|health| !health.durability.starts_with(NOT_DURABLE));
            let version = format!("{}, cluster of {masters} masters", healths[0].version);
            healths[0].version = version;
        }
        healths.into_iter().next().ok_or_else(|| self.away("the cluster has no master".to_owned()))
    }

    /// Refuses queues in which a program with another layout has left jobs: they would be run again and again.
    pub(super) async fn check_layout(&self) -> Result<()> {
        let known: Vec<String> = match self.command(redis::cmd("SMEMBERS").arg(self.registry_key())).await {
            Err(error) if self.is_partial(&error) => return Ok(()),
            answer => answer?,
        };
        if known.iter().any(|name| name == LAYOUT) {
            return Ok(());
        }
        for queue in known.into_iter().filter_map(|name| QueueName::new(name).ok()) {
            let has_jobs: bool = self.command(redis::cmd("EXISTS").arg(self.key(&queue, "jobs"))).await?;
            if has_jobs {
                let message = format!(
                    "queue {queue} has jobs that are kept as another release of this program does: let that one finish them and discard \
                     the dead, or take another queue.prefix; where a database knows the jobs, remove all keys of the prefix \
                     (docs/upgrades.md)"
                );
                return Err(Error::Refused { store: self.store.clone(), message });
            }
        }
        Ok(())
    }

    async fn check_server(&self, seen: u64, server: &Server) -> Result<Health> {
        let shared = server.shared();
        let mut manager = shared.manager.clone();
        let failed = |error: RedisError| {
            server.failed(&shared, &error);
            if way(&error) != super::failure::Way::Here {
                drop(self.topology.look_anew(seen));
            }
            if error.kind() == ErrorKind::Server(ServerErrorKind::NoPerm) {
                return self.refused(server, &format!("the user lacks permissions ({error}); {}", self.permission()));
            }
            classify(&self.store, error)
        };
        let info: InfoDict = redis::cmd("INFO").arg("everything").query_async(&mut manager).await.map_err(failed)?;
        let facts = Facts::of(&info);
        if let Some(wrong) = facts.wrong(&self.topology.address.layout) {
            return Err(self.refused(server, &wrong));
        }
        if facts.role != "master" {
            drop(self.topology.look_anew(seen));
            return Err(self.away(format!("{} is a replica; its master is looked for", server.name)));
        }
        let mut call = ALLOWED.prepare_invoke();
        call.arg(self.registry_key());
        for command in COMMANDS.split(' ') {
            call.arg(command);
        }
        let lacking: Vec<String> = call.invoke_async(&mut manager).await.map_err(failed)?;
        if !lacking.is_empty() {
            let lacking = lacking.join(", ");
            return Err(
                self.refused(server, &format!("the user may not do {lacking} with its keys; {}", self.permission()))
            );
        }
        // What is asked besides is only for people: a server that hides its configuration is no reason to stop.
        let question = redis::cmd("CONFIG").arg("GET").arg("appendfsync").to_owned();
        let fsync: Vec<String> = question.query_async(&mut manager).await.unwrap_or_default();
        let durability = match (facts.appends, fsync.get(1)) {
            (true, Some(fsync)) => format!("append-only file, fsync {fsync}"),
            (true, None) => "append-only file".to_owned(),
            (false, _) => {
                format!("{NOT_DURABLE}: jobs of the last moments are lost with the server; set appendonly yes")
            }
        };
        Ok(Health { version: format!("{} {}", facts.product, facts.version), durability })
    }

    /// Says what an administrator has to allow.
    fn permission(&self) -> String {
        let user = self.topology.address.user();
        format!("allow it with: ACL SETUSER {user} ~{}:* {RULE}", self.prefix)
    }

    fn refused(&self, server: &Server, message: &str) -> Error {
        let message = if self.is_spread() { format!("{}: {message}", server.name) } else { message.to_owned() };
        Error::Refused { store: self.store.clone(), message }
    }
}

const NOT_DURABLE: &str = "no append-only file";

/// What a server says of itself.
struct Facts {
    product: &'static str,
    version: String,
    mode: String,
    role: String,
    master: String,
    policy: String,
    appends: bool,
}

impl Facts {
    fn of(info: &InfoDict) -> Self {
        let text = |key: &str| info.get::<String>(key).unwrap_or_default();
        let valkey = text("valkey_version");
        let (product, version) = if valkey.is_empty() { ("redis", text("redis_version")) } else { ("valkey", valkey) };
        let master = format!("{}:{}", text("master_host"), text("master_port"));
        let (mode, role, policy) = (text("redis_mode"), text("role"), text("maxmemory_policy"));
        Self { product, version, mode, role, master, policy, appends: text("aof_enabled") == "1" }
    }

    /// Says why this server cannot keep jobs, if it cannot.
    fn wrong(&self, layout: &Layout) -> Option<String> {
        let Self { product, version, mode, role, master, policy, .. } = self;
        if mode == "sentinel" {
            return Some("it is a Sentinel; write redis+sentinel://host:26379?service=NAME".to_owned());
        }
        let oldest = if *product == "valkey" { (7, 2) } else { (7, 0) };
        if !is_at_least(version, oldest) {
            return Some(format!("{product} {version} is too old; install Redis 7.0, Valkey 7.2 or newer"));
        }
        if mode == "cluster" && *layout != Layout::Cluster {
            return Some("it is a node of a cluster; write redis+cluster://host:port".to_owned());
        }
        if role != "master" && *layout == Layout::One {
            return Some(format!(
                "it is a replica, which takes no jobs; give the address of its master {master}, or of the Sentinels that know it: \
                 redis+sentinel://host:26379?service=NAME"
            ));
        }
        (policy != "noeviction").then(|| {
            format!("its maxmemory-policy is {policy:?}, which deletes jobs when memory is short; set maxmemory-policy to noeviction")
        })
    }
}

fn is_at_least(version: &str, oldest: (u32, u32)) -> bool {
    let mut numbers = version.split('.').map_while(|number| number.parse::<u32>().ok());
    numbers.next().is_some_and(|major| (major, numbers.next().unwrap_or_default()) >= oldest)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    fn facts(lines: &str) -> Facts {
        let sound = "redis_version:7.0.15\nredis_mode:standalone\nrole:master\nmaxmemory_policy:noeviction\n";
        Facts::of(&InfoDict::new(&format!("{sound}{lines}")))
    }

    #[test]
    fn a_server_that_cannot_keep_jobs_is_told_so_with_the_cure() {
        assert_eq!(facts("").wrong(&Layout::One), None);
        assert_eq!(facts("redis_mode:cluster").wrong(&Layout::Cluster), None);
        assert_eq!(facts("redis_version:7.2.4\nvalkey_version:8.0.1").wrong(&Layout::One), None);
        for (lines, cure) in [
            ("maxmemory_policy:allkeys-lru", "noeviction"),
            ("redis_version:6.2.14", "Redis 7.0"),
            ("valkey_version:7.1.9", "Valkey 7.2"),
            ("redis_version:", "too old"),
            ("redis_mode:sentinel", "redis+sentinel://"),
            ("redis_mode:cluster", "redis+cluster://"),
            ("role:slave\nmaster_host:10.0.0.7\nmaster_port:6379", "10.0.0.7:6379"),
        ] {
            let wrong = facts(lines).wrong(&Layout::One).unwrap_or_default();
            assert!(wrong.contains(cure), "{lines}: {wrong}");
        }
    }

    /// Every word in upper case that stands between `open` and a quotation mark.
    fn commands(text: &str, open: &str, found: &mut BTreeSet<String>) {
        for part in text.split(open).skip(1) {
            let word: String = part.chars().take_while(char::is_ascii_uppercase).collect();
            if !word.is_empty() && part[word.len()..].starts_with(['\'', '"']) {
                found.insert(word);
            }
        }
    }

    #[test]
    fn the_readme_has_the_rule() {
        assert!(include_str!("../../../README.md").contains(RULE));
    }

    #[test]
    fn every_command_in_use_is_checked() {
        let mut used = BTreeSet::new();
        for directory in ["src/queue/redis", "src/queue/redis/lua"] {
            let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
            for file in std::fs::read_dir(directory).expect("a directory") {
                let path = file.expect("a file").path();
                if path.is_file() {
                    let text = std::fs::read_to_string(path).expect("text");
                    commands(&text, "redis.call('", &mut used);
                    commands(&text, "cmd(\"", &mut used);
                }
            }
        }
        assert!(used.len() > 20, "they were found: {used:?}");
        // The scripts themselves are tried before.
        let without_key = ["INFO", "CONFIG", "CLUSTER", "SENTINEL", "PING", "EVALSHA"];
        let unchecked: Vec<_> = used
            .iter()
            .filter(|word| {
                COMMANDS.split(' ').all(|command| command != word.as_str()) && !without_key.contains(&word.as_str())
            })
            .collect();
        assert!(unchecked.is_empty(), "name them in COMMANDS, and see whether RULE allows them: {unchecked:?}");
    }
}
