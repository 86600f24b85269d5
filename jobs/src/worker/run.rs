//! A worker, from outside.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::attempt::Attempts;
use super::config::{Config, Pace, Summary};
use super::delivery::Inbox;
use super::engine::{Engine, Hook, Work};
use super::feeding::Feeding;
use super::figures::{self, Slots};
use super::health::HealthHandle;
use super::life::{Care, Pulse};
use super::listening::Listening;
use super::lives::Lives;
use super::outage::Outage;
use super::settling::Settling;
use super::shell::Shell;
use super::telling::Telling;
use crate::id::WorkerId;
use crate::queue::{Queue, WorkerInfo};
use crate::registry::Registry;

/// Runs the jobs of some queues until it is told to stop.
pub struct Worker {
    queue: Arc<dyn Queue>,
    registry: Registry,
    config: Config,
    pace: Pace,
    health: HealthHandle,
    on_settled: Option<Hook>,
    home: Option<Handle>,
}

impl Worker {
    /// Makes a worker; nothing happens before [`Worker::run`].
    pub fn new(queue: Arc<dyn Queue>, registry: Registry, config: Config) -> Self {
        let (pace, health) = (Pace::default(), HealthHandle::new());
        Self { queue, registry, config, pace, health, on_settled: None, home: None }
    }

    /// Calls `hook` each time the store has taken outcomes. It must not block.
    #[must_use]
    pub fn on_settled(mut self, hook: impl Fn() + Send + Sync + 'static) -> Self {
        self.on_settled = Some(Arc::new(hook));
        self
    }

    /// Talks to the store on this runtime, while handlers run on the one that calls [`Worker::run`].
    ///
    /// Give it the runtime on which the store was opened, and beats come through even if handlers block every thread of theirs.
    #[must_use]
    pub fn on_runtime(mut self, home: Handle) -> Self {
        self.home = Some(home);
        self
    }

    /// Returns a look at this worker that stays valid while it runs.
    pub fn health(&self) -> HealthHandle {
        self.health.clone()
    }

    /// Works until `stop` fires; then lets running jobs finish within the grace, hands back the rest and leaves.
    ///
    /// Dropping the future stops everything at once; the jobs are taken back when the lease has run out.
    ///
    /// # Panics
    /// If it is not called on a tokio runtime with time and I/O.
    pub async fn run(self, stop: CancellationToken) -> Summary {
        figures::describe();
        let handlers = Handle::current();
        let home = self.home.clone().unwrap_or_else(|| handlers.clone());
        let name = self.config.name.clone();
        tracing::info!(name, concurrency = self.config.concurrency, "worker {name} starts");
        let engine = self.engine(handlers, home.clone());
        let summary = match AbortOnDropHandle::new(home.spawn(engine.run(stop))).await {
            Ok(summary) => summary,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The runtime is going down, and everything with it.
            Err(_) => Summary::default(),
        };
        tracing::info!(
            finished = summary.finished,
            handed_back = summary.handed_back,
            stale = summary.stale,
            abandoned = summary.abandoned,
            "worker {name} has stopped: {summary}"
        );
        summary
    }

    fn engine(self, handlers: Handle, home: Handle) -> Engine {
        let Self { queue, registry, config, pace, health, on_settled, .. } = self;
        let outage = Arc::new(Outage::default());
        let (sender, news) = mpsc::unbounded_channel();
        let care = Care {
            queue: Arc::clone(&queue),
            home,
            pace,
            health: health.clone(),
            outage: Arc::clone(&outage),
            news: sender,
        };
        let likeness = WorkerInfo {
            id: WorkerId::new(),
            name: config.name.clone(),
            queues: config.queues.names().to_vec(),
            concurrency: config.concurrency,
            started_at_ms: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64),
        };
        let attempts = Arc::new(Attempts { registry, health: health.clone(), pace });
        let inbox = Arc::new(Inbox::new(config.concurrency.max(1), health.clone()));
        let shell = Shell::start(&config.name, &handlers, Arc::clone(&inbox), Arc::clone(&attempts));
        let feeding = Feeding::new(Arc::clone(&queue), &config.queues, pace);
        let listening = Listening::new(Arc::clone(&queue), Arc::clone(&outage), pace);
        let slots = Slots::new(config.concurrency.max(1));
        Engine {
            config,
            pace,
            health,
            attempts,
            handlers,
            shell,
            inbox,
            lives: Lives::new(Pulse::start(care), likeness),
            news,
            feeding,
            listening,
            telling: Telling::new(Arc::clone(&queue), Arc::clone(&outage), pace),
            settling: Settling::new(queue, Arc::clone(&outage), pace),
            outage,
            on_settled,
            work: Work::new(),
            slots,
        }
    }

    /// Shortens the times that are no matter of taste.
    #[cfg(test)]
    pub(super) fn paced(mut self, pace: Pace) -> Self {
        self.pace = pace;
        self
    }
}
