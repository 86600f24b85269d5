//! One look at everything that is shown, through the services that the other commands use.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use deskhand_jobs::WorkerId;
use deskhand_jobs::queue::{Page, QueueInfo, State, WorkerInfo};

use crate::app::App;
use crate::base::{PageRequest, Result};
use crate::dispatch::ledger::{self, Backlog, Filter};
use crate::dispatch::{Entry, LedgerState};

/// Of so many running jobs of a queue it is told who has them.
const RUNNING: usize = 500;

/// How many of the latest dead jobs are shown.
const FAILURES: u64 = 10;

/// What was read, and when.
pub(super) struct Look {
    pub(super) at: DateTime<Utc>,
    pub(super) queues: Vec<QueueInfo>,
    pub(super) workers: Vec<WorkerInfo>,
    /// How many jobs each worker has.
    pub(super) busy: HashMap<WorkerId, usize>,
    pub(super) failures: Vec<Entry>,
    pub(super) backlog: Backlog,
}

pub(super) async fn look(app: &App) -> Result<Look> {
    let (queues, workers) = tokio::try_join!(app.queue.queues(), app.queue.workers())?;
    let mut busy = HashMap::new();
    for queue in queues.iter().filter(|queue| queue.running > 0) {
        let running = app.queue.list(&queue.name, State::Running, Page::first(RUNNING)).await?.jobs;
        for (worker, _) in running.into_iter().filter_map(|job| job.running) {
            *busy.entry(worker).or_default() += 1;
        }
    }
    let dead = Filter { state: Some(LedgerState::Dead), ..Filter::default() };
    let failures = app.jobs.list(&app.tenant(), &dead, PageRequest::new(Some(1), Some(FAILURES))?).await?.items;
    let backlog = ledger::backlog(&mut app.db.read().await?).await?;
    Ok(Look { at: app.clock.now(), queues, workers, busy, failures, backlog })
}
