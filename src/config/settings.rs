//! The settings as types. `config/default.toml` gives every value, so no default stands here.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use deskhand_jobs::{Kind, QueueName};
use serde::Deserialize;

/// Everything that can be set. Not `Debug`: it holds passwords.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The directory of everything embedded.
    pub data_dir: PathBuf,
    /// The token with all rights in the first tenant; empty if one is to be made.
    pub admin_token: String,
    /// The filter of the log.
    pub log: String,
    /// The HTTP server.
    pub server: Server,
    /// The figures at `/metrics`.
    pub metrics: Metrics,
    /// Where truth lives.
    pub database: Database,
    /// Where jobs wait.
    pub queue: Queue,
    /// What a worker process does.
    pub worker: Worker,
    /// The credentials of external systems.
    pub secrets: Secrets,
    /// What runs when, by name.
    pub schedules: BTreeMap<String, Schedule>,
}

/// The HTTP server.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// The address and port.
    pub listen: SocketAddr,
    /// The largest request body, in bytes.
    pub body_limit_bytes: usize,
}

/// The figures at `/metrics`.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    /// Whether they are answered without a token.
    pub public: bool,
}

/// Where truth lives.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// `sqlite://…` or `postgres://…`; never empty after loading.
    pub url: String,
}

/// Where jobs wait.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Queue {
    /// `sqlite://…`, `redis://…` or `rediss://…`; never empty after loading.
    pub url: String,
}

/// What a worker process does.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Worker {
    /// The queues it serves, the first first.
    pub queues: Vec<QueueName>,
    /// How many jobs it runs at once.
    pub concurrency: usize,
    /// How long running jobs may go on once it is told to stop, in seconds.
    pub grace_s: u64,
}

impl Worker {
    /// Returns how long running jobs may go on once the worker is told to stop.
    pub fn grace(&self) -> Duration {
        Duration::from_secs(self.grace_s)
    }
}

/// The credentials of external systems.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secrets {
    /// The file of the key; never empty after loading.
    pub key_file: PathBuf,
}

/// One schedule as it is declared.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// The job that a slot enqueues.
    pub kind: Kind,
    /// The arguments of that job.
    #[serde(default)]
    pub args: serde_json::Map<String, serde_json::Value>,
    /// Five fields or `@every 5m`.
    pub cron: String,
    /// `false` takes the schedule out.
    #[serde(default = "enabled")]
    pub enabled: bool,
}

fn enabled() -> bool {
    true
}
