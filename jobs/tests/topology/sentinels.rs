//! A master, its replica and three Sentinels of one test.

use std::process::{Child, Command, Stdio};

use crate::faults::server::{RedisServer, free_port};
use crate::faults::until;

pub(super) struct Sentinels {
    /// The first master and its replica.
    pub(super) servers: [RedisServer; 2],
    sentinels: Vec<Sentinel>,
}

pub(super) struct Sentinel {
    pub(super) port: u16,
    child: Child,
    _directory: tempfile::TempDir,
}

impl Sentinels {
    /// Starts them, with passwords for the servers and for the Sentinels; `None` if the run is without servers.
    pub(super) async fn start() -> Option<Self> {
        let login = ["--requirepass", "secret", "--masterauth", "secret"];
        let servers = [RedisServer::start_with(&login)?, RedisServer::start_with(&login)?];
        let master = servers[0].port();
        servers[1].say(&["REPLICAOF", "127.0.0.1", &master.to_string()]).await;
        let sentinels: Vec<_> = (0..3).map(|_| Sentinel::start(master)).collect();
        let started = Self { servers, sentinels };
        until("the replica to follow", || async {
            started.servers[0].ask::<String>(&["INFO", "replication"]).await.contains("state=online")
        })
        .await;
        for sentinel in &started.sentinels {
            until("the Sentinels to know each other and the replica", || async {
                let facts: Option<Vec<String>> = sentinel.ask(&["SENTINEL", "MASTER", "desk"]).await;
                let facts = facts.unwrap_or_default();
                let is = |name: &str, value: &str| facts.chunks(2).any(|fact| fact == [name, value]);
                is("num-slaves", "1") && is("num-other-sentinels", "2") && is("flags", "master")
            })
            .await;
        }
        Some(started)
    }

    /// Lets them put the replica in the place of a master that is well.
    pub(super) async fn fail_over(&self) {
        let told: Option<()> = self.sentinels[0].ask(&["SENTINEL", "FAILOVER", "desk"]).await;
        told.expect("it obeys");
    }

    /// Returns host and port of a Sentinel.
    pub(super) fn first_sentinel(&self) -> String {
        format!("127.0.0.1:{}", self.sentinels[0].port)
    }

    pub(super) fn url(&self) -> String {
        let hosts: Vec<_> = self.sentinels.iter().map(|sentinel| format!("127.0.0.1:{}", sentinel.port)).collect();
        format!("redis+sentinel://:secret@{}/0?service=desk&sentinel_password=watchword", hosts.join(","))
    }
}

impl Sentinel {
    fn start(master: u16) -> Self {
        let port = free_port();
        Self::with(
            port,
            &format!(
                "port {port}\nrequirepass watchword\nsentinel monitor desk 127.0.0.1 {master} 2\nsentinel auth-pass desk secret\n\
                 sentinel down-after-milliseconds desk 1000\nsentinel failover-timeout desk 5000\n"
            ),
        )
    }

    /// Starts one with these settings, which tell it to listen on the port.
    pub(super) fn with(port: u16, settings: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = directory.path().join("sentinel.conf");
        let place = directory.path().display();
        std::fs::write(&file, format!("bind 127.0.0.1\ndir {place}\n{settings}")).expect("written");
        let child = Command::new("redis-server").arg(&file).arg("--sentinel").stdout(Stdio::null()).spawn();
        Self { port, child: child.expect("redis-server is installed"), _directory: directory }
    }

    /// Asks it something; `None` while it does not answer.
    async fn ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> Option<T> {
        let client = redis::Client::open(format!("redis://:watchword@127.0.0.1:{}", self.port)).ok()?;
        let mut connection = client.get_multiplexed_async_connection().await.ok()?;
        redis::cmd(words[0]).arg(&words[1..]).query_async(&mut connection).await.ok()
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
