//! Workers: how they show that they live, what becomes of their jobs when they stop or die.

use sqlx::types::Json;

use super::apply::{Held, id_list};
use super::columns::held;
use super::fault::Result;
use super::open::{Change, SqliteQueue};
use super::record::{job_id, queue_name};
use super::step::{Step, handed_back, rescued};
use crate::id::{JobId, QueueName, WorkerId};
use crate::queue::{Beat, History, LEASE, WorkerInfo};

impl SqliteQueue {
    pub(super) async fn beat_once(&self, worker: &WorkerInfo, register: bool) -> Result<Beat> {
        let mut change = self.begin().await?;
        // First, so that a worker whose lease has run out finds itself among the dead, and one that comes back under the
        // same id does not inherit what it lost.
        let (rescued, queues) = self.rescue(&mut change).await?;
        change.forget_idle_groups().await?;
        let id = worker.id.to_string();
        let known = if register {
            change.name_queues(&worker.queues).await?;
            change.register(&id, worker).await?;
            true
        } else {
            change.renew(&id, worker).await?
        };
        if known {
            self.tidy_queues(&mut change, worker).await?;
        }
        let next_expiry_ms = if known { change.next_expiry_ms(&id).await? } else { None };
        change.commit().await?;
        self.bells.ring(&queues);
        Ok(Beat { lost: !known, rescued, next_expiry_ms, ..Beat::default() })
    }

    pub(super) async fn asked_to_stop(&self, worker: WorkerId) -> Result<Vec<JobId>> {
        let sql = "SELECT id FROM jobs WHERE worker = ?1 AND state = 'running' AND cancel_requested = 1";
        let ids: Vec<Vec<u8>> = sqlx::query_scalar(sql).bind(worker.to_string()).fetch_all(&self.readers).await?;
        ids.iter().map(|id| job_id(id)).collect()
    }

    pub(super) async fn remove_worker(&self, worker: WorkerId) -> Result<()> {
        let mut change = self.begin().await?;
        let id = worker.to_string();
        let sql = held!("0", "jobs WHERE worker = ?1 AND state = 'running'");
        let Json(left) = sqlx::query_scalar(sql).bind(&id).fetch_one(&mut *change.tx).await?;
        let queues = self.take_back(&mut change, left, handed_back).await?.1;
        sqlx::query("DELETE FROM workers WHERE id = ?1").bind(&id).execute(&mut *change.tx).await?;
        change.commit().await?;
        self.bells.ring(&queues);
        Ok(())
    }

    /// Hands back what a worker does not know that it has.
    pub(super) async fn relieve(&self, worker: WorkerId, known: &[JobId]) -> Result<()> {
        let mut change = self.begin().await?;
        let sql = held!(
            "0",
            "jobs WHERE worker = ?1 AND state = 'running' AND id NOT IN (SELECT unhex(value, '-') FROM json_each(?2))"
        );
        let Json(left) = sqlx::query_scalar(sql)
            .bind(worker.to_string())
            .bind(id_list(known.iter().copied()))
            .fetch_one(&mut *change.tx)
            .await?;
        let queues = self.take_back(&mut change, left, handed_back).await?.1;
        change.commit().await?;
        self.bells.ring(&queues);
        Ok(())
    }

    /// Takes the jobs of dead workers back and forgets the workers.
    async fn rescue(&self, change: &mut Change) -> Result<(usize, Vec<QueueName>)> {
        let sql = "SELECT count(*) FROM workers WHERE expires_ms <= ?1";
        let dead: i64 = sqlx::query_scalar(sql).bind(change.now_ms).fetch_one(&mut *change.tx).await?;
        if dead == 0 {
            return Ok((0, Vec::new()));
        }
        let sql =
            held!("0", "workers CROSS JOIN jobs ON worker = workers.id AND state = 'running' WHERE expires_ms <= ?1");
        let Json(left) = sqlx::query_scalar(sql).bind(change.now_ms).fetch_one(&mut *change.tx).await?;
        let taken = self.take_back(change, left, rescued).await?;
        sqlx::query("DELETE FROM workers WHERE expires_ms <= ?1").bind(change.now_ms).execute(&mut *change.tx).await?;
        Ok(taken)
    }

    async fn take_back(
        &self,
        change: &mut Change,
        jobs: Vec<Held>,
        decide: fn(History, bool) -> Step,
    ) -> Result<(usize, Vec<QueueName>)> {
        let count = jobs.len();
        let mut queues = Vec::new();
        let mut steps = Vec::with_capacity(count);
        for job in jobs {
            let queue = queue_name(&job.queue)?;
            if !queues.contains(&queue) {
                queues.push(queue);
            }
            let step = decide(job.history.clone(), job.cancel_requested);
            steps.push((job, step));
        }
        queues.extend(self.apply(change, steps).await?);
        Ok((count, queues))
    }
}

impl Change {
    async fn register(&mut self, id: &str, worker: &WorkerInfo) -> Result<()> {
        let sql = "INSERT INTO workers (id, info, expires_ms) VALUES (?1, ?2, ?3) \
                   ON CONFLICT (id) DO UPDATE SET info = excluded.info, expires_ms = excluded.expires_ms";
        sqlx::query(sql).bind(id).bind(info(worker)).bind(self.expires_ms()).execute(&mut *self.tx).await?;
        Ok(())
    }

    /// Renews; `false` if the store does not know the worker. Who has run out is not known any more.
    async fn renew(&mut self, id: &str, worker: &WorkerInfo) -> Result<bool> {
        let sql = "UPDATE workers SET info = ?2, expires_ms = ?3 WHERE id = ?1";
        let done = sqlx::query(sql).bind(id).bind(info(worker)).bind(self.expires_ms()).execute(&mut *self.tx).await?;
        Ok(done.rows_affected() > 0)
    }

    /// Returns how long until another worker is dead, unless it beats before.
    async fn next_expiry_ms(&mut self, id: &str) -> Result<Option<u64>> {
        let sql = "SELECT min(expires_ms) FROM workers WHERE id <> ?1";
        let first_ms: Option<i64> = sqlx::query_scalar(sql).bind(id).fetch_one(&mut *self.tx).await?;
        Ok(first_ms.map(|first_ms| (first_ms - self.now_ms).max(0) as u64))
    }

    fn expires_ms(&self) -> i64 {
        self.now_ms + LEASE.as_millis() as i64
    }
}

fn info(worker: &WorkerInfo) -> String {
    serde_json::to_string(worker).expect("a worker has only JSON fields")
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{fixture, ids, settlement, worker};
    use super::*;
    use crate::queue::{DeadReason, Endings, MAX_RECOVERIES, Queue, Settled, State, Verdict};

    #[tokio::test]
    async fn the_jobs_of_a_dead_worker_come_back_to_the_front() {
        let fixture = fixture(Endings::Drop).await;
        let dying = fixture.worker().await;
        let all = fixture.fill(3).await;
        let lost = fixture.claim(&dying, 2).await;
        fixture.outlive_lease().await;

        let other = worker();
        let beat = fixture.store.beat(&other, true).await.expect("beats");
        assert_eq!(beat, Beat { rescued: 2, ..Beat::default() });
        assert_eq!(fixture.store.workers().await.expect("reads"), std::slice::from_ref(&other));
        let stale = fixture.store.settle(&[settlement(&lost[0], Verdict::Succeeded)]).await.expect("settles");
        assert_eq!(stale, [Settled::Stale]);
        let again = fixture.claim(&other, 9).await;
        assert_eq!(ids(&again), all);
        assert_eq!([again[0].history.recoveries, again[2].history.recoveries], [1, 0]);
        assert_eq!(fixture.counts().await.recovered_total, 2);
    }

    #[tokio::test]
    async fn a_beat_renews_and_a_late_one_is_told_so() {
        let fixture = fixture(Endings::Drop).await;
        let worker = fixture.worker().await;
        fixture.fill(1).await;
        fixture.claim(&worker, 1).await;
        for _ in 0..3 {
            fixture.store.shift_clock(LEASE.as_millis() as i64 - 1_000).await.expect("shifts");
            assert_eq!(fixture.store.beat(&worker, false).await.expect("beats"), Beat::default());
        }
        fixture.outlive_lease().await;
        assert!(fixture.store.workers().await.expect("reads").is_empty());
        let beat = fixture.store.beat(&worker, false).await.expect("beats");
        assert_eq!((beat.lost, beat.rescued), (true, 1));
        assert!(fixture.store.beat(&super::super::fixture::worker(), false).await.expect("beats").lost);
        let beat = fixture.store.beat(&worker, true).await.expect("beats");
        assert_eq!((beat.lost, beat.rescued), (false, 0));
    }

    #[tokio::test]
    async fn a_job_that_outlives_no_worker_is_poison() {
        let fixture = fixture(Endings::Keep).await;
        let id = fixture.fill(1).await[0];
        for recovery in 1..=MAX_RECOVERIES + 1 {
            let dying = fixture.worker().await;
            assert_eq!(fixture.claim(&dying, 1).await[0].history.recoveries, recovery - 1);
            fixture.outlive_lease().await;
            assert_eq!(fixture.store.beat(&worker(), true).await.expect("beats").rescued, 1);
        }
        let record = fixture.read(id).await;
        assert_eq!((record.state, record.dead_reason), (State::Dead, Some(DeadReason::Poison)));
        assert_eq!((record.history.recoveries, record.history.failures), (4, 0));
        assert!(record.payload.is_some());
        let counts = fixture.counts().await;
        assert_eq!((counts.dead, counts.ready, counts.failed_total, counts.recovered_total), (1, 0, 0, 4));
    }

    #[tokio::test]
    async fn a_beat_tells_which_jobs_are_to_stop_and_a_rescue_ends_them() {
        let fixture = fixture(Endings::Keep).await;
        let worker = fixture.worker().await;
        let id = fixture.fill(2).await[0];
        fixture.claim(&worker, 2).await;
        fixture.store.cancel(id).await.expect("cancels");
        assert_eq!(fixture.store.stops(worker.id, &worker.queues).await.expect("reads"), [id]);
        fixture.outlive_lease().await;
        assert_eq!(fixture.store.beat(&worker, false).await.expect("beats").rescued, 2);
        assert_eq!(fixture.read(id).await.state, State::Cancelled);
        assert_eq!(fixture.counts().await.ready, 1);
    }

    #[tokio::test]
    async fn who_leaves_hands_back_what_is_left() {
        let fixture = fixture(Endings::Drop).await;
        let (leaving, staying) = (fixture.worker().await, fixture.worker().await);
        let all = fixture.fill(3).await;
        let held = fixture.claim(&leaving, 2).await;
        fixture.store.leave(leaving.id, &leaving.queues).await.expect("leaves");
        assert_eq!(fixture.store.workers().await.expect("reads"), std::slice::from_ref(&staying));
        assert_eq!(fixture.settle(&held[0], Verdict::Succeeded).await, Settled::Stale);
        let again = fixture.claim(&staying, 9).await;
        assert_eq!(ids(&again), all);
        assert_eq!((again[0].history.hand_backs, again[0].history.recoveries), (1, 0));
        assert!(fixture.store.claim(leaving.id, &leaving.queues, 1).await.expect("claims").lost);
    }

    #[tokio::test]
    async fn a_worker_makes_its_queues_known() {
        let fixture = fixture(Endings::Drop).await;
        let worker = WorkerInfo { queues: vec![QueueName::new("empty").expect("valid")], ..worker() };
        fixture.store.beat(&worker, true).await.expect("beats");
        assert_eq!(fixture.counts().await.name, worker.queues[0]);
    }
}
