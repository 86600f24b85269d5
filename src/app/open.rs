//! Opening everything that doors stand on.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use deskhand_jobs::Registry;
use deskhand_jobs::queue::Queue;
use deskhand_jobs::worker::HealthHandle;
use tokio::sync::Notify;

use super::jobs::registry;
use super::queue::open_queue;
use super::threads::Threads;
use super::vault::open_vault;
use crate::access::oidc::Oidc;
use crate::access::users::Passwords;
use crate::access::{self, Access};
use crate::base::{Actor, Clock, Error, FieldError, Result, Secret, TenantId, Vault};
use crate::config::Config;
use crate::db::Db;
use crate::dispatch::Rounds;
use crate::dispatch::remote::RemoteWork;
use crate::dispatch::schedules::{self, Declared};
use crate::dispatch::service::Service as Jobs;
use crate::outbound::Http;
use crate::secrets::settle_keys;
use crate::work_orders::WorkOrders;

/// What every door stands on; clones share it. One is made for each layer and handler that a request goes through.
#[derive(Clone)]
pub struct App(Arc<Parts>);

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// What an [`App`] consists of.
#[derive(Clone)]
pub struct Parts {
    /// The settings.
    pub config: Arc<Config>,
    /// Where truth lives.
    pub db: Db,
    /// Where jobs wait.
    pub queue: Arc<dyn Queue>,
    /// The kinds of jobs.
    pub registry: Arc<Registry>,
    /// What seals secrets.
    pub vault: Vault,
    /// What tells the time.
    pub clock: Clock,
    /// The use cases around single jobs.
    pub jobs: Jobs,
    /// The use cases around people.
    pub access: Access,
    /// The use cases of workers over HTTP.
    pub remote: RemoteWork,
    /// The use cases of work orders.
    pub work_orders: WorkOrders,
    /// When the loops of this process had their last good round.
    pub rounds: Rounds,
    /// Told when a queue has taken ends of jobs: the keeper of the ledger waits for it.
    pub(super) settled: Arc<Notify>,
    pub(super) worker: Arc<OnceLock<HealthHandle>>,
    pub(super) threads: Threads,
}

impl App {
    /// Opens the database, brings it to the shape of this version, and opens the queue.
    ///
    /// # Errors
    /// What does not answer or does not fit, with the cure.
    pub async fn open(config: Config) -> Result<Self> {
        Self::open_with(config, Clock::system()).await
    }

    /// Opens everything with a clock of one's own.
    ///
    /// # Errors
    /// As [`App::open`].
    pub async fn open_with(config: Config, clock: Clock) -> Result<Self> {
        let vault = open_vault(&config.secrets)?;
        let db = Db::open(&config.database.url).await?.with_clock(clock.clone());
        db.migrate().await?;
        settle_keys(&db, &vault).await?;
        let queue = open_queue(&config.queue).await?;
        let http = Http::new(&config.outbound, clock.clone())?;
        let passwords = Passwords::new(config.access.password_memory_kib, config.access.password_passes)?;
        let oidc = config.access.oidc.provider().map(|provider| Oidc::new(provider, http.clone(), vault.clone()));
        let access = Access::new(db.clone(), passwords, config.access.spans()).with_oidc(oidc);
        let work_orders = WorkOrders::new(db.clone(), vault.clone(), http).fanning_out(config.work_orders.fan_out);
        let registry = Arc::new(registry(&db, &work_orders)?);
        let jobs = Jobs::new(db.clone(), Arc::clone(&queue), Arc::clone(&registry));
        let settled = Arc::default();
        let remote = RemoteWork::new(db.clone(), Arc::clone(&queue), vault.clone(), Arc::clone(&settled));
        let (config, worker) = (Arc::new(config), Arc::default());
        let (rounds, threads) = (Rounds::default(), Threads::default());
        Ok(Self(Arc::new(Parts {
            config,
            db,
            queue,
            registry,
            vault,
            clock,
            jobs,
            access,
            remote,
            work_orders,
            rounds,
            settled,
            worker,
            threads,
        })))
    }

    /// Lets its workers run other kinds of jobs.
    #[must_use]
    pub fn with_registry(mut self, registry: Registry) -> Self {
        Arc::make_mut(&mut self.0).registry = Arc::new(registry);
        self
    }

    /// Sees to it that somebody can come in; returns the token if one was made, to be shown once.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn bootstrap(&self) -> Result<Option<Secret>> {
        let given = Some(&self.config.admin_token).filter(|token| !token.is_empty()).map(Secret::new);
        access::service::bootstrap(&self.db, given.as_ref()).await
    }

    /// Brings the schedules of the settings into the database.
    ///
    /// # Errors
    /// [`Error::Invalid`] names every schedule that is wrong.
    pub async fn declare_schedules(&self) -> Result<()> {
        let declared = self.config.declared_schedules();
        as_named(&declared, schedules::sync_declared(&self.db, &self.registry, &declared).await)
    }

    /// Checks the schedules of the settings, and changes nothing.
    ///
    /// # Errors
    /// As [`App::declare_schedules`].
    pub fn check_schedules(&self) -> Result<()> {
        let declared = self.config.declared_schedules();
        as_named(&declared, schedules::check_declared(&self.registry, &declared))
    }

    /// Returns the tenant that the command line and the schedules act for.
    pub fn tenant(&self) -> TenantId {
        TenantId::default()
    }

    /// Returns who acts on the command line.
    pub fn actor(&self) -> Actor {
        Actor::terminal(self.tenant())
    }

    /// Returns a look at the worker of this process, if it runs one.
    pub fn worker_health(&self) -> Option<&HealthHandle> {
        self.worker.get()
    }

    /// Closes the database; what was accepted is durable before that.
    pub async fn close(&self) {
        self.db.close().await;
    }
}

/// Names wrong schedules as the settings do.
fn as_named(declared: &[Declared], checked: Result<()>) -> Result<()> {
    let named = |field: FieldError| match declared.get(place(&field.pointer)) {
        Some(schedule) => FieldError { pointer: setting(&schedule.name, &field.pointer), ..field },
        None => field,
    };
    match checked {
        Err(Error::Invalid(fields)) => Err(Error::Invalid(fields.into_iter().map(named).collect())),
        other => other,
    }
}

/// Reads the number in `/schedules/3/cron`; the settings know schedules by name.
fn place(pointer: &str) -> usize {
    pointer.split('/').nth(2).and_then(|number| number.parse().ok()).unwrap_or(usize::MAX)
}

/// Names a setting of a schedule as the file does.
fn setting(name: &str, pointer: &str) -> String {
    let field = pointer.rsplit('/').next().unwrap_or_default();
    let quote = if name.contains('.') { "\"" } else { "" };
    format!("schedules.{quote}{name}{quote}.{field}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_schedule_is_named_as_the_settings_name_it() {
        assert_eq!(place("/schedules/3/cron"), 3);
        assert_eq!(place("/name"), usize::MAX);
        assert_eq!(setting("nightly", "/schedules/3/cron"), "schedules.nightly.cron");
        assert_eq!(setting("a.b", "/schedules/3/kind"), "schedules.\"a.b\".kind");
    }
}
