//! The settings as types. `config/default.toml` gives every value, so no default stands here.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use deskhand_jobs::worker::QueueSet;
use serde::Deserialize;

use super::address;
use super::network::Network;
use crate::access::oidc::Settings as Provider;
use crate::access::{RoleName, Spans};
use crate::base::{Secret, TenantId};
use crate::dispatch::schedules::{Declared, Definition};
use crate::outbound;
use crate::telemetry::{self, Collector, Format};
use crate::work_orders::model::FanOut;

/// Everything that can be set. Not `Debug`: it holds passwords.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The directory of everything embedded.
    pub data_dir: PathBuf,
    /// The token with all rights in the first tenant; empty if one is to be made.
    pub admin_token: String,
    /// The log.
    pub log: Log,
    /// Spans for a collector.
    pub telemetry: Telemetry,
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
    /// Who may come in.
    pub access: Access,
    /// How other systems are called.
    pub outbound: outbound::Settings,
    /// How tickets are brought in.
    pub work_orders: WorkOrders,
    /// The credentials of external systems.
    pub secrets: Secrets,
    /// What runs when, by name.
    pub schedules: BTreeMap<String, Definition>,
}

/// How tickets are brought in.
#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkOrders {
    /// When a run is divided.
    pub fan_out: FanOut,
}

/// The log.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// Which lines are written.
    pub filter: String,
    /// How they are written, unless the command line says otherwise.
    pub format: Format,
    /// Files that also have the lines of a logger or target.
    pub files: BTreeMap<String, PathBuf>,
}

/// Spans for a collector.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Telemetry {
    /// The address of the collector; empty if none takes spans.
    pub otlp_endpoint: String,
    /// The name of this program there.
    pub service_name: String,
    /// The part of the traces that begin here which is recorded, 0 to 1.
    pub sample_ratio: f64,
    /// What is sent along, such as a key.
    pub headers: BTreeMap<String, Secret>,
}

/// The HTTP server.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// The address and port.
    #[serde(deserialize_with = "address::one")]
    pub listen: SocketAddr,
    /// The address of health, readiness and figures in a process without the API, if there is one.
    #[serde(deserialize_with = "address::optional")]
    pub health_listen: Option<SocketAddr>,
    /// The largest request body, in bytes.
    pub body_limit_bytes: usize,
    /// The proxies that may say who the client is.
    pub trusted_proxies: Vec<Network>,
    /// How many requests a second each caller may send to this process; 0 is no limit.
    pub requests_per_second: u32,
    /// How many it may send at once after a rest.
    pub burst: u32,
    /// The origins whose pages may call the API from a browser.
    pub cors_origins: Vec<String>,
}

/// The figures at `/metrics`.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    /// Whether they are answered without a token.
    pub public: bool,
    /// In which time what waits is to be done, in seconds: what the desired number of workers is reckoned from.
    pub drain_target_s: u64,
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
    /// `sqlite://…` or one of the addresses of `deskhand_jobs::queue::redis`; never empty after loading.
    pub url: String,
    /// What stands in front of every key in Redis.
    pub prefix: String,
}

/// What a worker process does.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Worker {
    /// The queues it serves, in a strict order or by weight.
    pub queues: QueueSet,
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

/// Who may come in.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Access {
    /// How long a session may lie idle, in seconds.
    pub session_idle_s: u64,
    /// How long a session lasts at most, in seconds.
    pub session_max_s: u64,
    /// The memory that one look at a password takes, in KiB.
    pub password_memory_kib: u32,
    /// The passes over that memory.
    pub password_passes: u32,
    /// Signing in elsewhere.
    pub oidc: Oidc,
}

/// Signing in with a company's own accounts.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Oidc {
    /// Where the provider is; empty if there is none.
    pub issuer: String,
    /// Who we are there.
    pub client_id: String,
    /// Our password there.
    pub client_secret: Secret,
    /// Where the provider sends browsers back.
    pub redirect_url: String,
    /// What is asked for beside `openid`.
    pub scopes: Vec<String>,
    /// The claim that becomes the name of a new account.
    pub user_claim: String,
    /// The claim whose values become roles.
    pub roles_claim: String,
    /// Which value becomes which role.
    pub roles: BTreeMap<String, RoleName>,
    /// Whether somebody without an account gets one.
    pub auto_create: bool,
    /// The tenant of those accounts and roles.
    pub tenant: TenantId,
}

impl Oidc {
    /// Returns the settings of the provider, if there is one.
    pub fn provider(&self) -> Option<Provider> {
        (!self.issuer.is_empty()).then(|| Provider {
            issuer: self.issuer.clone(),
            client_id: self.client_id.clone(),
            client_secret: self.client_secret.clone(),
            redirect_url: self.redirect_url.clone(),
            scopes: self.scopes.clone(),
            user_claim: self.user_claim.clone(),
            roles_claim: self.roles_claim.clone(),
            roles: self.roles.clone(),
            auto_create: self.auto_create,
            tenant: self.tenant.clone(),
        })
    }
}

impl Access {
    /// Returns how long sessions last.
    pub fn spans(&self) -> Spans {
        Spans { idle: Duration::from_secs(self.session_idle_s), longest: Duration::from_secs(self.session_max_s) }
    }
}

/// The credentials of external systems.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secrets {
    /// The key itself; empty if it is in the file.
    pub key: String,
    /// The file of the key; never empty after loading.
    pub key_file: PathBuf,
    /// Keys that open and do not seal.
    pub previous_keys: Vec<String>,
    /// Files of such keys.
    pub previous_key_files: Vec<PathBuf>,
}

impl Config {
    /// Returns what is told of the process, how and where to.
    pub fn telemetry(&self) -> telemetry::Settings {
        let settings = &self.telemetry;
        let collector = (!settings.otlp_endpoint.is_empty()).then(|| Collector {
            endpoint: settings.otlp_endpoint.clone(),
            service_name: settings.service_name.clone(),
            sample_ratio: settings.sample_ratio,
            headers: settings.headers.clone(),
        });
        let inside = |path: &PathBuf| self.data_dir.join(path);
        let files = self.log.files.iter().map(|(logger, path)| (logger.clone(), inside(path))).collect();
        telemetry::Settings { filter: self.log.filter.clone(), format: self.log.format, files, collector }
    }

    /// Returns the schedules as the scheduler takes them, by name.
    pub fn declared_schedules(&self) -> Vec<Declared> {
        let declare = |(name, definition): (&String, &Definition)| Declared {
            name: name.clone(),
            tenant: TenantId::default(),
            definition: definition.clone(),
        };
        self.schedules.iter().map(declare).collect()
    }
}
