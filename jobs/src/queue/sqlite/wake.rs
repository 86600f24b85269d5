//! Waiting for work: who brings some rings the bell of its queue.
//!
//! A bell only says "look again"; the file says what is there. Whoever waits begins to listen, then looks, then sleeps, so
//! nothing that comes between a claim and the wait is missed. Bells do not reach other processes; those look once a second.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::apply::name_list;
use super::fault::Result;
use super::open::{SqliteQueue, now_ms};
use crate::id::QueueName;

/// How often a waiting worker looks for what other processes brought.
const TICK: Duration = Duration::from_secs(1);

/// One bell for each queue.
#[derive(Debug, Default)]
pub(super) struct Bells(Mutex<HashMap<QueueName, Arc<Notify>>>);

impl Bells {
    /// Tells who waits for these queues to look again. Called after the commit, else they would look too early.
    pub(super) fn ring<'a>(&self, queues: impl IntoIterator<Item = &'a QueueName>) {
        let bells = self.lock();
        for queue in queues {
            // A queue for which nobody in this process ever waited has no bell.
            if let Some(bell) = bells.get(queue) {
                bell.notify_waiters();
            }
        }
    }

    pub(super) fn ring_all(&self) {
        self.lock().values().for_each(|bell| bell.notify_waiters());
    }

    fn of(&self, queues: &[QueueName]) -> Vec<Arc<Notify>> {
        let mut bells = self.lock();
        queues.iter().map(|queue| Arc::clone(bells.entry(queue.clone()).or_default())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<QueueName, Arc<Notify>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SqliteQueue {
    pub(super) async fn wait_for_work(&self, queues: &[QueueName], max_wait: Duration) -> Result<()> {
        let deadline = Instant::now() + max_wait;
        let bells = self.bells.of(queues);
        loop {
            // A listener hears what rings from here on, polled or not.
            let rings: Vec<Pin<Box<_>>> = bells.iter().map(|bell| Box::pin(bell.notified())).collect();
            let until_work = self.until_work(queues).await?;
            let left = deadline.saturating_duration_since(Instant::now());
            if until_work == Some(Duration::ZERO) || left.is_zero() {
                return Ok(());
            }
            let sleep = tokio::time::sleep(until_work.map_or(left, |due| due.min(left)).min(TICK));
            if rings.is_empty() {
                sleep.await;
                continue;
            }
            tokio::select! {
                _ = futures_util::future::select_all(rings) => {}
                () = sleep => {}
            }
        }
    }

    /// Returns how long until one of the queues has something to claim; `None` if nothing is in sight.
    async fn until_work(&self, queues: &[QueueName]) -> Result<Option<Duration>> {
        let sql = concat!(
            "SELECT min(CASE WHEN ready > 0 THEN 0 ELSE max(0, ",
            "(SELECT min(run_at_ms) FROM jobs WHERE state = 'scheduled' AND queue = queues.name) - ",
            now_ms!(),
            ") END) FROM json_each(?1) AS asked CROSS JOIN queues ON queues.name = asked.value WHERE NOT paused"
        );
        let due_ms: Option<i64> =
            sqlx::query_scalar(sql).bind(name_list(queues)).fetch_one(&self.readers).await?;
        Ok(due_ms.map(|due_ms| Duration::from_millis(due_ms as u64)))
    }
}
