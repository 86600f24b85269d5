//! Hands out jobs.

use std::sync::Arc;

use bytes::Bytes;

use super::apply::name_list;
use super::fault::Result;
use super::open::{Change, SqliteQueue};
use super::record::job_id;
use crate::id::{QueueName, WorkerId};
use crate::queue::{Claim, Claimed, History, Lease};

/// The most jobs of one queue that become due in one claim, so that a flood of them does not hold the lock for long.
const PROMOTED_AT_ONCE: i64 = 500;

/// What a queue of the claim has to give.
#[derive(sqlx::FromRow)]
struct Offer {
    at: i64,
    ready: i64,
    due_ms: Option<i64>,
}

#[derive(sqlx::FromRow)]
struct Taken {
    id: Vec<u8>,
    priority: i64,
    place: i64,
    payload: Vec<u8>,
    failures: u32,
    recoveries: u32,
    hand_backs: u32,
    aside_since_ms: Option<i64>,
    last_error: Option<String>,
}

impl SqliteQueue {
    pub(super) async fn take(&self, worker: WorkerId, queues: &[QueueName], limit: usize) -> Result<Claim> {
        let mut change = self.begin().await?;
        let worker = worker.to_string();
        if !change.is_alive(&worker).await? {
            return Ok(Claim { lost: true, ..Claim::default() });
        }
        let mut claim = Claim::default();
        let mut next_due_ms: Option<i64> = None;
        let mut lease = None;
        for mut offer in change.offers(queues).await? {
            let queue = &queues[offer.at as usize];
            if offer.due_ms.is_some_and(|due_ms| due_ms <= change.now_ms) {
                change.promote(queue).await?;
                offer = change.offers(std::slice::from_ref(queue)).await?.pop().unwrap_or(offer);
            }
            next_due_ms = [next_due_ms, offer.due_ms].into_iter().flatten().min();
            let wanted = limit - claim.jobs.len();
            if wanted == 0 || offer.ready == 0 {
                continue;
            }
            let lease = match &lease {
                Some(lease) => lease,
                None => lease.insert(change.lease(&worker).await?),
            };
            claim.jobs.extend(change.take(queue, &worker, lease, wanted).await?);
        }
        claim.next_due_ms = next_due_ms.map(|due_ms| (due_ms - change.now_ms).max(0) as u64);
        change.commit().await?;
        Ok(claim)
    }
}

impl Change {
    async fn is_alive(&mut self, worker: &str) -> Result<bool> {
        let sql = "SELECT count(*) FROM workers WHERE id = ?1 AND expires_ms > ?2";
        let alive: i64 = sqlx::query_scalar(sql).bind(worker).bind(self.now_ms).fetch_one(&mut *self.tx).await?;
        Ok(alive > 0)
    }

    /// Asks which of the queues have something, now or later; a paused queue has nothing.
    async fn offers(&mut self, queues: &[QueueName]) -> Result<Vec<Offer>> {
        let sql = "SELECT asked.key AS at, queues.ready, \
                   (SELECT min(run_at_ms) FROM jobs WHERE state = 'scheduled' AND queue = queues.name) AS due_ms \
                   FROM json_each(?1) AS asked CROSS JOIN queues ON queues.name = asked.value \
                   WHERE NOT queues.paused AND (queues.ready > 0 OR queues.scheduled > 0) ORDER BY asked.key";
        Ok(sqlx::query_as(sql).bind(name_list(queues)).fetch_all(&mut *self.tx).await?)
    }

    /// Makes due jobs ready, behind those that are.
    async fn promote(&mut self, queue: &QueueName) -> Result<()> {
        let base = self.places(PROMOTED_AT_ONCE).await?;
        let sql = "UPDATE jobs SET state = 'ready', run_at_ms = NULL, place = ?1 + due.nth \
                   FROM (SELECT entry, row_number() OVER (ORDER BY run_at_ms, place) AS nth FROM jobs \
                         WHERE state = 'scheduled' AND queue = ?2 AND run_at_ms <= ?3 \
                         ORDER BY run_at_ms, place LIMIT ?4) AS due \
                   WHERE jobs.entry = due.entry";
        sqlx::query(sql)
            .bind(base)
            .bind(queue.as_str())
            .bind(self.now_ms)
            .bind(PROMOTED_AT_ONCE)
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }

    /// Makes a lease: the number makes it different from every other one of this file, the worker is for people.
    async fn lease(&mut self, worker: &str) -> Result<Lease> {
        let number: i64 = sqlx::query_scalar("UPDATE store SET leases = leases + 1 RETURNING leases")
            .fetch_one(&mut *self.tx)
            .await?;
        Ok(Lease(Arc::from(format!("{worker}-{number}"))))
    }

    async fn take(&mut self, queue: &QueueName, worker: &str, lease: &Lease, limit: usize) -> Result<Vec<Claimed>> {
        let sql = "UPDATE jobs SET state = 'running', worker = ?1, lease = ?2, claimed_at_ms = ?3, cancel_requested = 0, \
                   holds_key = holds_key AND unique_until = 'finished' \
                   WHERE entry IN (SELECT entry FROM jobs WHERE state = 'ready' AND queue = ?4 \
                                   ORDER BY priority, place LIMIT ?5) \
                   RETURNING id, priority, place, payload, \
                             failures, recoveries, hand_backs, aside_since_ms, last_error";
        let mut taken: Vec<Taken> = sqlx::query_as(sql)
            .bind(worker)
            .bind(&*lease.0)
            .bind(self.now_ms)
            .bind(queue.as_str())
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(&mut *self.tx)
            .await?;
        // RETURNING promises no order.
        taken.sort_unstable_by_key(|job| (job.priority, job.place));
        taken
            .into_iter()
            .map(|job| {
                Ok(Claimed {
                    id: job_id(&job.id)?,
                    queue: queue.clone(),
                    lease: lease.clone(),
                    payload: Bytes::from(job.payload),
                    history: History {
                        failures: job.failures,
                        recoveries: job.recoveries,
                        hand_backs: job.hand_backs,
                        aside_since_ms: job.aside_since_ms,
                        last_error: job.last_error,
                    },
                    claimed_at_ms: self.now_ms,
                })
            })
            .collect()
    }
}
