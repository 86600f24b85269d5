//! The worker of a measure: as `deskhand worker` runs it.

use std::sync::Arc;

use deskhand_jobs::QueueName;
use deskhand_jobs::queue::Queue;
use deskhand_jobs::worker::{Config, QueueSet, Summary, Worker};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::job::{Starts, queue};
use super::stage::Stage;
use crate::base::{Error, Result};

/// A worker at work; dropped, it stops at once.
pub(super) struct Crew {
    stop: CancellationToken,
    running: AbortOnDropHandle<Summary>,
}

impl Crew {
    pub(super) fn start(stage: &Stage, starts: &Arc<Starts>) -> Result<Self> {
        Self::of(stage, Arc::clone(&stage.queue), &[queue()], starts)
    }

    /// Starts one for these queues, with a connection to the store.
    pub(super) fn of(stage: &Stage, store: Arc<dyn Queue>, queues: &[QueueName], starts: &Arc<Starts>) -> Result<Self> {
        let queues = QueueSet::ordered(queues.iter().cloned());
        let config = Config {
            name: "bench".to_owned(),
            queues: queues.map_err(|error| Error::internal("cannot serve the queue", error))?,
            concurrency: stage.plan.concurrency,
            ..Config::default()
        };
        let worker = Worker::new(store, starts.registry()?, config).on_runtime(Handle::current());
        let stop = CancellationToken::new();
        let running = AbortOnDropHandle::new(stage.handlers.spawn(worker.run(stop.clone())));
        Ok(Self { stop, running })
    }

    /// Stops it when all has begun that was expected, and proves that the store has taken every end.
    pub(super) async fn finish(self, starts: &Starts, expected: usize) -> Result<()> {
        starts.all_begun().await?;
        self.stop.cancel();
        let summary = self.running.await.map_err(|error| Error::internal("the worker of the measures broke", error))?;
        if summary.finished != expected as u64 {
            let what = format!("of {expected} jobs the worker ended others or not all: {summary}");
            return Err(Error::internal("the measure does not hold", what));
        }
        Ok(())
    }
}
