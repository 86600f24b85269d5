//! Workers: how they show that they live, what becomes of their jobs when they stop or die.

use super::apply::held;
use super::fault::Result;
use super::open::{Change, SqliteQueue};
use super::record::{job_id, queue_name};
use super::step::{Step, handed_back, rescued};
use crate::id::{QueueName, WorkerId};
use crate::queue::{Beat, LEASE, WorkerInfo};

impl SqliteQueue {
    pub(super) async fn beat_once(&self, worker: &WorkerInfo, register: bool) -> Result<Beat> {
        let mut change = self.begin().await?;
        // First, so that a worker whose lease has run out finds itself among the dead, and one that comes back under the
        // same id does not inherit what it lost.
        let (rescued, queues) = self.rescue(&mut change).await?;
        let id = worker.id.to_string();
        let known = if register {
            change.name_queues(&worker.queues).await?;
            change.register(&id, worker).await?;
            true
        } else {
            change.renew(&id, worker).await?
        };
        let cancelled = if known { change.asked_to_stop(&id).await? } else { Vec::new() };
        change.commit().await?;
        self.bells.ring(&queues);
        Ok(Beat { lost: !known, cancelled, rescued })
    }

    pub(super) async fn remove_worker(&self, worker: WorkerId) -> Result<()> {
        let mut change = self.begin().await?;
        let id = worker.to_string();
        let sql = concat!("SELECT 0 AS at, ", held!(), " FROM jobs AS j WHERE j.worker = ?1 AND j.state = 'running'");
        let left: Vec<_> = sqlx::query_as(sql).bind(&id).fetch_all(&mut *change.tx).await?;
        let queues = self.take_back(&mut change, left, handed_back).await?.1;
        sqlx::query("DELETE FROM workers WHERE id = ?1").bind(&id).execute(&mut *change.tx).await?;
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
        let sql = concat!(
            "SELECT 0 AS at, ",
            held!(),
            " FROM workers AS w CROSS JOIN jobs AS j ON j.worker = w.id AND j.state = 'running' WHERE w.expires_ms <= ?1"
        );
        let left: Vec<_> = sqlx::query_as(sql).bind(change.now_ms).fetch_all(&mut *change.tx).await?;
        let taken = self.take_back(change, left, rescued).await?;
        sqlx::query("DELETE FROM workers WHERE expires_ms <= ?1").bind(change.now_ms).execute(&mut *change.tx).await?;
        Ok(taken)
    }

    async fn take_back(
        &self,
        change: &mut Change,
        jobs: Vec<super::apply::Held>,
        decide: fn(crate::queue::History, bool) -> Step,
    ) -> Result<(usize, Vec<QueueName>)> {
        let count = jobs.len();
        let mut queues = Vec::new();
        let mut steps = Vec::with_capacity(count);
        for job in jobs {
            let queue = queue_name(&job.queue)?;
            if !queues.contains(&queue) {
                queues.push(queue);
            }
            let step = decide(job.history(), job.cancel_requested);
            steps.push((job, step));
        }
        self.apply(change, steps).await?;
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

    async fn asked_to_stop(&mut self, id: &str) -> Result<Vec<crate::id::JobId>> {
        let sql = "SELECT id FROM jobs WHERE worker = ?1 AND state = 'running' AND cancel_requested = 1";
        let ids: Vec<Vec<u8>> = sqlx::query_scalar(sql).bind(id).fetch_all(&mut *self.tx).await?;
        ids.iter().map(|id| job_id(id)).collect()
    }

    fn expires_ms(&self) -> i64 {
        self.now_ms + LEASE.as_millis() as i64
    }
}

fn info(worker: &WorkerInfo) -> String {
    serde_json::to_string(worker).expect("a worker has only JSON fields")
}
