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
use super::columns::now_ms;
use super::fault::Result;
use super::open::SqliteQueue;
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
            "SELECT min(CASE WHEN ready > limited THEN 0 ELSE max(0, ",
            "(SELECT min(at) FROM (SELECT min(run_at_ms) AS at FROM jobs WHERE state = 'scheduled' AND queue = queues.name ",
            "UNION ALL SELECT min(token_ms) FROM groups WHERE token_ms IS NOT NULL AND queue = queues.name)) - ",
            now_ms!(),
            ") END) FROM json_each(?1) AS asked CROSS JOIN queues ON queues.name = asked.value ",
            "WHERE NOT paused AND (concurrency IS NULL OR running < concurrency)"
        );
        let due_ms: Option<i64> = sqlx::query_scalar(sql).bind(name_list(queues)).fetch_one(&self.readers).await?;
        Ok(due_ms.map(|due_ms| Duration::from_millis(due_ms as u64)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{fixture, job, job_with, later};
    use super::*;
    use crate::options::Options;
    use crate::queue::{Endings, Queue, Verdict};

    /// Far beyond what a wait that works takes; a test that gets here has failed.
    const LONG: Duration = Duration::from_secs(30);

    fn queues() -> Vec<QueueName> {
        vec![QueueName::default()]
    }

    #[tokio::test]
    async fn what_came_before_the_wait_is_not_missed() {
        let fixture = fixture(Endings::Drop).await;
        fixture.fill(1).await;
        let start = Instant::now();
        fixture.store.wait(&queues(), LONG).await.expect("waits");
        assert!(start.elapsed() < LONG / 2);
    }

    #[tokio::test]
    async fn a_push_wakes_who_waits_and_only_for_its_queue() {
        let fixture = fixture(Endings::Drop).await;
        let other = QueueName::new("other").expect("valid");
        let elsewhere = job_with(Options { queue: other.clone(), ..Options::default() });
        let both = [QueueName::default(), other];
        let start = Instant::now();
        let (woken, unmoved, ()) = tokio::join!(
            fixture.store.wait(&both, LONG),
            fixture.store.wait(&both[..1], Duration::from_millis(300)),
            async { assert_eq!(fixture.push(&elsewhere).await, crate::queue::Pushed::Created) },
        );
        woken.expect("waits");
        unmoved.expect("waits");
        assert!(start.elapsed() >= Duration::from_millis(300) && start.elapsed() < LONG);
    }

    #[tokio::test]
    async fn the_wait_ends_when_the_next_job_is_due() {
        let fixture = fixture(Endings::Drop).await;
        let worker = fixture.worker().await;
        fixture.push(&later(Duration::from_millis(150))).await;
        fixture.store.wait(&queues(), LONG).await.expect("waits");
        assert_eq!(fixture.claim(&worker, 1).await.len(), 1);
    }

    #[tokio::test]
    async fn what_another_process_brings_is_found_by_the_tick() {
        let fixture = fixture(Endings::Drop).await;
        let other = SqliteQueue::open(&fixture.path(), Endings::Drop).await.expect("opens");
        let (jobs, names) = ([job()], queues());
        let start = Instant::now();
        let (waited, pushed) = tokio::join!(fixture.store.wait(&names, LONG), other.push(&jobs));
        waited.expect("waits");
        pushed.expect("pushes");
        assert!(start.elapsed() < LONG / 2);
    }

    #[tokio::test]
    async fn hand_backs_and_resumed_queues_wake_and_paused_ones_do_not() {
        let fixture = fixture(Endings::Drop).await;
        let worker = fixture.worker().await;
        fixture.fill(1).await;
        let held = fixture.claim(&worker, 1).await;
        let names = queues();
        let (waited, _) = tokio::join!(fixture.store.wait(&names, LONG), fixture.settle(&held[0], Verdict::HandBack));
        waited.expect("waits");

        fixture.store.pause(&names[0]).await.expect("pauses");
        let start = Instant::now();
        fixture.store.wait(&names, Duration::from_millis(100)).await.expect("waits");
        assert!(start.elapsed() >= Duration::from_millis(100));
        let (waited, resumed) = tokio::join!(fixture.store.wait(&names, LONG), fixture.store.resume(&names[0]));
        waited.expect("waits");
        resumed.expect("resumes");
    }

    #[tokio::test]
    async fn a_moved_clock_wakes_who_waits_for_a_due_time() {
        let fixture = fixture(Endings::Drop).await;
        fixture.push(&later(Duration::from_hours(1))).await;
        let names = queues();
        let (waited, shifted) = tokio::join!(fixture.store.wait(&names, LONG), fixture.store.shift_clock(3_600_000));
        waited.expect("waits");
        shifted.expect("shifts");
    }
}
