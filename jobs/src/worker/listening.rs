//! Hearing of jobs that somebody wants to stop: asked while jobs are out, and only then.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::time::{sleep, timeout};

use super::config::Pace;
use super::life::Life;
use super::outage::Outage;
use crate::id::JobId;
use crate::queue::Queue;

pub(super) struct Listening {
    pub slot: Option<BoxFuture<'static, Vec<JobId>>>,
    queue: Arc<dyn Queue>,
    outage: Arc<Outage>,
    pace: Pace,
}

impl Listening {
    pub(super) fn new(queue: Arc<dyn Queue>, outage: Arc<Outage>, pace: Pace) -> Self {
        Self { slot: None, queue, outage, pace }
    }

    /// Asks for these lives after a while, unless it is about to.
    pub(super) fn start(&mut self, lives: impl FnOnce() -> Vec<Arc<Life>>) {
        if self.slot.is_none() {
            self.slot = Some(ask(Arc::clone(&self.queue), Arc::clone(&self.outage), lives(), self.pace).boxed());
        }
    }
}

async fn ask(queue: Arc<dyn Queue>, outage: Arc<Outage>, lives: Vec<Arc<Life>>, pace: Pace) -> Vec<JobId> {
    sleep(pace.listen).await;
    let mut asked = Vec::new();
    for life in lives.iter().filter(|life| !life.lost.is_cancelled()) {
        match timeout(pace.patience, queue.stops(life.info.id, &life.info.queues)).await {
            Ok(Ok(ids)) => asked.extend(ids),
            // To say that the store is away is the business of the beats; the next question comes soon.
            Ok(Err(_)) | Err(_) => outage.doubt(),
        }
    }
    asked
}
