//! Where a run takes place: keys or a file that are its own, and go with it.

use std::sync::Arc;

use deskhand_jobs::JobId;
use deskhand_jobs::queue::Queue;
use tokio::runtime::Handle;

use super::file::File;
use super::plan::Plan;
use super::report::Settings;
use super::server::Server;
use crate::base::{Error, Result};

/// The place of a run.
pub(super) struct Stage {
    pub(super) plan: Plan,
    pub(super) queue: Arc<dyn Queue>,
    pub(super) ground: Ground,
    /// Where handlers run.
    pub(super) handlers: Handle,
}

/// What the queue stands on.
pub(super) enum Ground {
    Redis(Server),
    Sqlite(File),
}

impl Stage {
    /// Makes the place; nothing is written to a server yet.
    pub(super) async fn open(plan: Plan, handlers: Handle) -> Result<Self> {
        let name = format!("bench-{}", JobId::new());
        let (queue, ground): (Arc<dyn Queue>, _) = if let Some(path) = plan.url.strip_prefix("sqlite://") {
            let (file, queue) = File::open(path, &name).await?;
            (queue, Ground::Sqlite(file))
        } else {
            let server = Server::find(&plan.url, format!("{}:{name}", plan.prefix)).await?;
            server.must_hold(plan.most_bytes()).await?;
            (server.queue().await?, Ground::Redis(server))
        };
        Ok(Self { plan, queue, ground, handlers })
    }

    /// Says where the traces of the run are while it goes on.
    pub(super) fn place(&self) -> String {
        match &self.ground {
            Ground::Redis(server) => format!("keys that begin with {}:", server.prefix()),
            Ground::Sqlite(file) => format!("the file {}", file.path().display()),
        }
    }

    /// Returns the processor time that the server has taken, in seconds; `None` if there is no server.
    pub(super) async fn server_cpu_s(&self) -> Result<Option<f64>> {
        match &self.ground {
            Ground::Redis(server) => server.cpu_s().await.map(Some),
            Ground::Sqlite(_) => Ok(None),
        }
    }

    /// Returns the bytes that data take: in the memory of the server, or in the file.
    pub(super) async fn data_bytes(&self) -> Result<f64> {
        match &self.ground {
            Ground::Redis(server) => server.data_bytes().await,
            Ground::Sqlite(file) => file.data_bytes().await,
        }
    }

    /// Returns by how much the clock of the store is ahead of ours, in milliseconds.
    pub(super) async fn clock_ahead_ms(&self) -> Result<f64> {
        match &self.ground {
            Ground::Redis(server) => server.clock_ahead_ms().await,
            Ground::Sqlite(_) => Ok(0.0),
        }
    }

    /// Reads the settings that decide the figures.
    pub(super) async fn settings(&self) -> Result<Settings> {
        let health = self.queue.check().await?;
        let store = match &self.ground {
            Ground::Redis(server) => server.settings().await?,
            Ground::Sqlite(_) => [("durability".to_owned(), health.durability)].into(),
        };
        Ok(Settings::new(&self.plan, health.version, store))
    }

    /// Takes away everything that the run has left.
    pub(super) async fn clear(self) -> Result<()> {
        drop(self.queue);
        match self.ground {
            Ground::Redis(server) => server.clear().await,
            Ground::Sqlite(file) => file.remove().await,
        }
    }
}

/// An address that cannot be used is the caller's to mend; the engine's text names the cure.
pub(super) fn refused(error: deskhand_jobs::queue::Error) -> Error {
    match error {
        deskhand_jobs::queue::Error::Unavailable { .. } => error.into(),
        other => Error::field("", format!("--queue-url: {other}")),
    }
}
