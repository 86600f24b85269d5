//! Hands out jobs.

use std::sync::Arc;

use bytes::Bytes;
use sqlx::types::Json;

use super::apply::{list, name_list};
use super::columns::history;
use super::fault::{Fault, Result};
use super::open::{Change, SqliteQueue};
use super::record::job_id;
use crate::id::{QueueName, WorkerId};
use crate::queue::turns::Turns;
use crate::queue::{Claim, Claimed, History, Late, Lease};

/// The most jobs of one queue that become due in one claim, so that a flood of them does not hold the lock for long.
const PROMOTED_AT_ONCE: i64 = 500;

/// The most jobs that are read as one value, so that its size stays within what `SQLite` allows.
const READ_AT_ONCE: usize = 1_000;

const ID_BYTES: usize = 16;

/// Makes jobs run and reads them, in one command and as one row: commands and rows pass between threads one by one, which costs
/// more than finding them. Ids and payloads stand one behind the other, since JSON carries no bytes.
const TAKE: &str = concat!(
    "UPDATE jobs SET state = 'running', limited = 0, worker = ?2, lease = ?3, claimed_at_ms = ?4, cancel_requested = 0, \
     holds_key = holds_key AND unique_until = 'finished' WHERE entry IN (SELECT value FROM json_each(?1)); \
     SELECT CAST(group_concat(jobs.id, '') AS BLOB), CAST(group_concat(payload, '') AS BLOB), \
     json_group_array(json_array(asked.key, length(payload), ",
    history!(),
    ")) FROM json_each(?1) AS asked CROSS JOIN jobs ON entry = asked.value"
);

/// What a queue of the claim has to give.
#[derive(sqlx::FromRow)]
struct Offer {
    at: i64,
    /// How many jobs may start as far as is known.
    open: i64,
    due_ms: Option<i64>,
    token_ms: Option<i64>,
    /// How many more may run.
    room: Option<i64>,
    turns: u32,
    /// Whether somebody has to choose: there are groups, or several priorities.
    mixed: bool,
}

/// Jobs that were taken: their ids, their payloads, and of each its position among those asked for, the size of its payload and
/// its history.
type Taken = (Vec<u8>, Vec<u8>, Json<Vec<(usize, usize, History)>>);

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
            let now_ms = change.now_ms;
            if limit == claim.jobs.len() {
                next_due_ms = [next_due_ms, offer.due_ms, offer.token_ms].into_iter().flatten().min();
                continue;
            }
            let is_due = |at_ms: Option<i64>| at_ms.is_some_and(|at_ms| at_ms <= now_ms);
            if is_due(offer.due_ms) || is_due(offer.token_ms) {
                if is_due(offer.due_ms) {
                    let ms = change.promote(queue).await?;
                    claim.late.push(Late { queue: queue.clone(), ms });
                }
                change.pass_tokens(queue).await?;
                offer = change.offers(std::slice::from_ref(queue)).await?.pop().unwrap_or(offer);
            }
            let room = offer.room.map_or(usize::MAX, |room| room.max(0) as usize);
            let wanted = (limit - claim.jobs.len()).min(room);
            if offer.open > 0 {
                let lease = match &lease {
                    Some(lease) => lease,
                    None => lease.insert(change.lease(&worker).await?),
                };
                let entries = if offer.mixed {
                    change.pick(queue, wanted, Turns::unpacked(offer.turns)).await?
                } else {
                    change.first(queue, wanted).await?
                };
                let taken = change.start(queue, &worker, lease, &entries).await?;
                claim.jobs.extend(taken);
                if offer.mixed {
                    offer.token_ms = change.next_token_ms(queue).await?;
                }
            }
            next_due_ms = [next_due_ms, offer.due_ms, offer.token_ms].into_iter().flatten().min();
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
        let sql = "SELECT asked.key AS at, queues.ready - queues.limited AS open, \
                   (SELECT min(run_at_ms) FROM jobs WHERE state = 'scheduled' AND queue = queues.name) AS due_ms, \
                   (SELECT min(token_ms) FROM groups WHERE token_ms IS NOT NULL AND queue = queues.name) AS token_ms, \
                   queues.concurrency - queues.running AS room, queues.turns, \
                   (EXISTS (SELECT 1 FROM groups WHERE queue = queues.name) \
                    OR (SELECT priority FROM jobs WHERE state = 'ready' AND limited = 0 AND queue = queues.name \
                        ORDER BY priority LIMIT 1) \
                     < (SELECT priority FROM jobs WHERE state = 'ready' AND limited = 0 AND queue = queues.name \
                        ORDER BY priority DESC LIMIT 1)) IS TRUE AS mixed \
                   FROM json_each(?1) AS asked CROSS JOIN queues ON queues.name = asked.value \
                   WHERE NOT queues.paused AND (queues.ready > 0 OR queues.scheduled > 0) \
                   AND (queues.concurrency IS NULL OR queues.running < queues.concurrency) ORDER BY asked.key";
        Ok(sqlx::query_as(sql).bind(name_list(queues)).fetch_all(&mut *self.tx).await?)
    }

    /// Makes due jobs ready, behind those that are; returns how late they are.
    async fn promote(&mut self, queue: &QueueName) -> Result<Vec<u64>> {
        let sql = "SELECT json_group_array(max(0, ?2 - run_at_ms)) FROM (SELECT run_at_ms FROM jobs \
                   WHERE state = 'scheduled' AND queue = ?1 AND run_at_ms <= ?2 ORDER BY run_at_ms, place LIMIT (SELECT ?3))";
        let Json(late_ms) = sqlx::query_scalar(sql)
            .bind(queue.as_str())
            .bind(self.now_ms)
            .bind(PROMOTED_AT_ONCE)
            .fetch_one(&mut *self.tx)
            .await?;
        let base = self.places(PROMOTED_AT_ONCE).await?;
        let sql = "UPDATE jobs SET state = 'ready', run_at_ms = NULL, ready_since_ms = run_at_ms, place = ?1 + due.nth \
                   FROM (SELECT entry, row_number() OVER (ORDER BY run_at_ms, place) AS nth FROM jobs \
                         WHERE state = 'scheduled' AND queue = ?2 AND run_at_ms <= ?3 \
                         ORDER BY run_at_ms, place LIMIT (SELECT ?4)) AS due \
                   WHERE jobs.entry = due.entry";
        sqlx::query(sql)
            .bind(base)
            .bind(queue.as_str())
            .bind(self.now_ms)
            .bind(PROMOTED_AT_ONCE)
            .execute(&mut *self.tx)
            .await?;
        Ok(late_ms)
    }

    /// Makes a lease: the number makes it different from every other one of this file, the worker is for people.
    async fn lease(&mut self, worker: &str) -> Result<Lease> {
        let number: i64 = sqlx::query_scalar("UPDATE store SET leases = leases + 1 RETURNING leases")
            .fetch_one(&mut *self.tx)
            .await?;
        Ok(Lease(Arc::from(format!("{worker}-{number}"))))
    }

    /// When the next token comes for a job that waits for one.
    async fn next_token_ms(&mut self, queue: &QueueName) -> Result<Option<i64>> {
        let sql = "SELECT min(token_ms) FROM groups WHERE token_ms IS NOT NULL AND queue = ?1";
        Ok(sqlx::query_scalar(sql).bind(queue.as_str()).fetch_one(&mut *self.tx).await?)
    }

    /// Returns the entries of the first ready jobs, all of one priority.
    async fn first(&mut self, queue: &QueueName, limit: usize) -> Result<Vec<i64>> {
        // A bare parameter behind LIMIT makes SQLite prepare the statement anew for each value.
        let sql = "SELECT json_group_array(entry) FROM (SELECT entry FROM jobs WHERE state = 'ready' AND limited = 0 \
                   AND queue = ?1 ORDER BY priority, place LIMIT (SELECT ?2))";
        let Json(entries) = sqlx::query_scalar(sql)
            .bind(queue.as_str())
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_one(&mut *self.tx)
            .await?;
        Ok(entries)
    }

    /// Makes these ready jobs run; returns them in their order.
    async fn start(&mut self, queue: &QueueName, worker: &str, lease: &Lease, entries: &[i64]) -> Result<Vec<Claimed>> {
        let mut started = Vec::with_capacity(entries.len());
        for entries in entries.chunks(READ_AT_ONCE) {
            let (ids, payloads, Json(jobs)): Taken = sqlx::query_as(TAKE)
                .bind(list(entries))
                .bind(worker)
                .bind(&*lease.0)
                .bind(self.now_ms)
                .fetch_one(&mut *self.tx)
                .await?;
            if ids.len() != jobs.len() * ID_BYTES
                || payloads.len() != jobs.iter().map(|(_, size, _)| size).sum::<usize>()
            {
                return Err(Fault::Corrupt("among jobs to start is one whose id is none".into()));
            }
            let mut chunk = Vec::with_capacity(jobs.len());
            let mut payloads = payloads.as_slice();
            for (id, (at, size_bytes, history)) in ids.chunks_exact(ID_BYTES).zip(jobs) {
                let (payload, rest) = payloads.split_at(size_bytes);
                payloads = rest;
                let claimed = Claimed {
                    id: job_id(id)?,
                    queue: queue.clone(),
                    lease: lease.clone(),
                    payload: Bytes::copy_from_slice(payload),
                    history,
                    claimed_at_ms: self.now_ms,
                };
                chunk.push((at, claimed));
            }
            // Aggregates promise no order.
            chunk.sort_unstable_by_key(|(at, _)| *at);
            started.extend(chunk.into_iter().map(|(_, job)| job));
        }
        Ok(started)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::Duration;

    use super::super::fixture::{fixture, ids, job, job_with, later, urgent, worker};
    use super::*;
    use crate::options::{Options, Priority};
    use crate::queue::{Endings, Queue, State, Verdict};

    #[tokio::test]
    async fn two_workers_never_get_the_same_job() {
        let fixture = fixture(Endings::Drop).await;
        let all: HashSet<_> = fixture.fill(300).await.into_iter().collect();
        let second = SqliteQueue::open(&fixture.path(), Endings::Drop).await.expect("opens");
        let workers = [fixture.worker().await, fixture.worker().await];
        let drain = async |store: &SqliteQueue, worker: &crate::queue::WorkerInfo| {
            let mut got = Vec::new();
            loop {
                let claim = store.claim(worker.id, &worker.queues, 7).await.expect("claims");
                if claim.jobs.is_empty() {
                    return got;
                }
                got.extend(claim.jobs);
            }
        };
        let (mut got, rest) = tokio::join!(drain(&fixture.store, &workers[0]), drain(&second, &workers[1]));
        got.extend(rest);
        assert_eq!(got.len(), 300);
        assert_eq!(ids(&got).into_iter().collect::<HashSet<_>>(), all);
        assert_eq!(fixture.counts().await.running, 300);
    }

    #[tokio::test]
    async fn the_first_queue_comes_first_then_priority_then_arrival() {
        let fixture = fixture(Endings::Drop).await;
        let first = QueueName::new("first").expect("valid");
        let jobs = [
            urgent(Priority::Low),
            urgent(Priority::Normal),
            urgent(Priority::Critical),
            urgent(Priority::Normal),
            job_with(Options { queue: first.clone(), priority: Priority::Low, ..Options::default() }),
        ];
        fixture.store.push(&jobs).await.expect("pushes");
        let worker = fixture.worker().await;
        let queues = [first, QueueName::new("unknown").expect("valid"), QueueName::default()];
        let claim = fixture.store.claim(worker.id, &queues, 9).await.expect("claims");
        assert_eq!(ids(&claim.jobs), [4, 2, 1, 3, 0].map(|at| jobs[at].id));
        assert_eq!(claim.jobs[0].lease, claim.jobs[4].lease);
        assert_eq!(claim.jobs[1].payload, jobs[2].encode());
        assert_eq!(claim.next_due_ms, None);
    }

    #[tokio::test]
    async fn a_worker_without_a_lease_gets_nothing() {
        let fixture = fixture(Endings::Drop).await;
        fixture.fill(1).await;
        let stranger = worker();
        let claim = fixture.store.claim(stranger.id, &stranger.queues, 1).await.expect("claims");
        assert!(claim.lost && claim.jobs.is_empty());
        let late = fixture.worker().await;
        fixture.outlive_lease().await;
        let claim = fixture.store.claim(late.id, &late.queues, 1).await.expect("claims");
        assert!(claim.lost && claim.jobs.is_empty());
    }

    #[tokio::test]
    async fn what_is_due_is_handed_out_in_the_order_of_its_time() {
        let fixture = fixture(Endings::Drop).await;
        let jobs = [later(Duration::from_secs(9)), later(Duration::from_secs(5)), later(Duration::from_mins(10))];
        fixture.store.push(&jobs).await.expect("pushes");
        let worker = fixture.worker().await;
        let claim = fixture.store.claim(worker.id, &worker.queues, 9).await.expect("claims");
        assert!(claim.jobs.is_empty());
        assert!(claim.next_due_ms.is_some_and(|ms| (4_000..=5_000).contains(&ms)), "{:?}", claim.next_due_ms);

        fixture.store.shift_clock(10_000).await.expect("shifts");
        let claim = fixture.store.claim(worker.id, &worker.queues, 9).await.expect("claims");
        assert_eq!(ids(&claim.jobs), [jobs[1].id, jobs[0].id]);
        assert!(claim.next_due_ms.is_some_and(|ms| ms > 580_000));
        let counts = fixture.counts().await;
        assert_eq!((counts.ready, counts.scheduled, counts.running), (0, 1, 2));
    }

    #[tokio::test]
    async fn a_flood_of_due_jobs_comes_in_slices() {
        let fixture = fixture(Endings::Drop).await;
        let jobs: Vec<_> = (0..600).map(|_| later(Duration::from_secs(1))).collect();
        fixture.store.push(&jobs).await.expect("pushes");
        fixture.store.shift_clock(2_000).await.expect("shifts");
        let worker = fixture.worker().await;
        let claim = fixture.store.claim(worker.id, &worker.queues, 1000).await.expect("claims");
        assert_eq!((claim.jobs.len(), claim.next_due_ms), (500, Some(0)));
        assert_eq!(fixture.claim(&worker, 1000).await.len(), 100);
    }

    #[tokio::test]
    async fn a_paused_queue_gives_nothing_until_it_is_resumed() {
        let fixture = fixture(Endings::Drop).await;
        let worker = fixture.worker().await;
        fixture.store.push(&[job(), later(Duration::from_secs(1))]).await.expect("pushes");
        fixture.store.pause(&worker.queues[0]).await.expect("pauses");
        assert!(fixture.counts().await.paused);
        fixture.store.shift_clock(2_000).await.expect("shifts");
        let claim = fixture.store.claim(worker.id, &worker.queues, 9).await.expect("claims");
        assert!(claim.jobs.is_empty() && claim.next_due_ms.is_none());
        fixture.store.resume(&worker.queues[0]).await.expect("resumes");
        assert_eq!(fixture.claim(&worker, 9).await.len(), 2);
    }

    #[tokio::test]
    async fn what_is_handed_back_comes_before_its_equals() {
        let fixture = fixture(Endings::Drop).await;
        let worker = fixture.worker().await;
        let all = fixture.fill(3).await;
        let held = fixture.claim(&worker, 2).await;
        for job in held.iter().rev() {
            fixture.settle(job, Verdict::HandBack).await;
        }
        let high = urgent(Priority::High);
        fixture.push(&high).await;
        let listed = fixture.store.list(&worker.queues[0], State::Ready, crate::queue::Page::first(9)).await;
        let listed: Vec<_> = listed.expect("reads").jobs.iter().map(|job| job.id).collect();
        let again = fixture.claim(&worker, 9).await;
        assert_eq!(ids(&again), [high.id, all[0], all[1], all[2]]);
        assert_eq!(listed, ids(&again));
        assert_eq!(again[1].history.hand_backs, 1);
        assert_ne!(again[1].lease, held[0].lease);
    }
}
