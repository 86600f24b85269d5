//! What can be looked at: jobs, queues, workers, endings.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, PoisonError};

use bytes::Bytes;
use redis::Value;

use super::ids::Packed;
use super::scripts;
use super::store::RedisQueue;
use super::tell::{read_log, read_progress};
use super::work::{Record, by_queue, read_history};
use crate::id::{GroupKey, JobId, QueueName, WorkerId};
use crate::options::Priority;
use crate::queue::{DeadReason, Ending, JobRecord, Lease, QueueInfo, Result, State, WorkerInfo};

/// The most ids that one call asks for.
const BATCH: usize = 500;

/// Scheduled, running, dead; whether paused; how many may run; totals.
type Counts = (u64, u64, u64, bool, Option<u32>, HashMap<String, u64>);

/// State, options, time, lease, history, payload, progress, log.
type Row = (String, String, String, String, Vec<u8>, Vec<u8>, String, String);

/// Where a scan goes on, and what it found.
type Scan = (u64, Vec<(Vec<u8>, Vec<u8>)>);

impl RedisQueue {
    pub(super) async fn queue_names(&self) -> Result<Vec<QueueName>> {
        let registry = self.connection.registry_key();
        let names: Vec<String> = match self.connection.command(redis::cmd("SMEMBERS").arg(registry)).await {
            Ok(names) => names,
            // Of several masters one has the list; what it said last serves until it is back.
            Err(error) if self.connection.is_partial(&error) && !self.listed().is_empty() => {
                return Ok(self.listed().clone());
            }
            Err(error) => return Err(error),
        };
        let mut names: Vec<QueueName> = names.into_iter().filter_map(|name| QueueName::new(name).ok()).collect();
        names.sort();
        self.listed().clone_from(&names);
        Ok(names)
    }

    fn listed(&self) -> MutexGuard<'_, Vec<QueueName>> {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Of the ready jobs that come next, one of each priority, the one that is ready longest.
    async fn oldest_ready_at_ms(&self, queue: &QueueName) -> Result<Option<i64>> {
        let mut pipeline = redis::pipe();
        for rank in 0..Priority::ALL.len() {
            let key = |word: &str| self.connection.key(queue, &format!("{word}:{rank}"));
            pipeline.lrange(key("ready"), 0, 0).zrange(key("back"), 0, 0).zrange(key("limited"), 0, 0);
        }
        let heads: Vec<Vec<Vec<u8>>> = self.connection.pipeline(&pipeline).await?;
        let heads: Vec<JobId> = heads.iter().flatten().filter_map(|id| Packed::read(id)).collect();
        if heads.is_empty() {
            return Ok(None);
        }
        let mut command = redis::cmd("HMGET");
        command.arg(self.connection.key(queue, "since"));
        for id in &heads {
            command.arg(&*Packed::of(*id));
        }
        let since_ms: Vec<Option<i64>> = self.connection.command(&command).await?;
        Ok(heads.iter().zip(since_ms).map(|(id, since_ms)| since_ms.unwrap_or_else(|| id.created_at_ms())).min())
    }

    /// Asks one queue after the other until one answers with something. A master that is away matters only if no other has it.
    pub(super) async fn search<T, F>(&self, ask: impl Fn(QueueName) -> F) -> Result<Option<T>>
    where
        F: Future<Output = Result<Option<T>>>,
    {
        let mut failure = None;
        for queue in self.queue_names().await? {
            match ask(queue).await {
                Ok(None) => {}
                Ok(found) => return Ok(found),
                Err(error) if self.connection.is_partial(&error) => failure = failure.or(Some(error)),
                Err(error) => return Err(error),
            }
        }
        failure.map_or(Ok(None), Err)
    }

    pub(super) async fn find_job(&self, id: JobId) -> Result<Option<JobRecord>> {
        self.search(|queue| async move { Ok(self.read_jobs(&queue, &[id]).await?.pop().flatten()) }).await
    }

    pub(super) async fn known_ids(&self, ids: &[JobId]) -> Result<Vec<JobId>> {
        let mut known = Vec::new();
        let mut unknown = ids.to_vec();
        for queue in self.queue_names().await? {
            let keys = ["jobs", "ended"].map(|word| self.connection.key(&queue, word));
            let mut others = Vec::new();
            for part in unknown.chunks(BATCH) {
                // Not HMGET: it would send the payload of every job.
                let mut pipeline = redis::pipe();
                for id in part {
                    for key in &keys {
                        pipeline.hexists(key, &*Packed::of(*id));
                    }
                }
                let there: Vec<bool> = self.connection.pipeline(&pipeline).await?;
                for (id, there) in part.iter().zip(there.chunks(keys.len())) {
                    if there.contains(&true) { known.push(*id) } else { others.push(*id) }
                }
            }
            unknown = others;
        }
        Ok(known)
    }

    pub(super) async fn read_jobs(&self, queue: &QueueName, ids: &[JobId]) -> Result<Vec<Option<JobRecord>>> {
        let mut records = Vec::with_capacity(ids.len());
        for part in ids.chunks(BATCH) {
            let rows: Vec<Value> =
                self.connection.call(&scripts::read, queue, part.iter().map(|id| Packed::of(*id))).await?;
            for (id, row) in part.iter().zip(rows) {
                records.push(self.read_row(*id, queue, row)?);
            }
        }
        Ok(records)
    }

    fn read_row(&self, id: JobId, queue: &QueueName, row: Value) -> Result<Option<JobRecord>> {
        if !matches!(row, Value::Array(_)) {
            return Ok(None);
        }
        let unreadable = || self.connection.unreadable(format!("job {id}"));
        let (state, side, when, lease, history, payload, progress, log): Row =
            redis::from_redis_value(row).map_err(|_| unreadable())?;
        let past = read_history(&history);
        let ended = || past.state.as_deref().and_then(State::from_name);
        let state = State::from_name(&state).or_else(ended).ok_or_else(unreadable)?;
        let when_ms = when.parse::<f64>().ok().map(|at| at as i64);
        let group = side.get(2..).and_then(|rest| rest.split('\n').next());
        let rank = side.bytes().next().map(|digit| digit - b'0').or(past.rank).unwrap_or(Priority::Normal.rank());
        Ok(Some(JobRecord {
            id,
            queue: queue.clone(),
            state,
            priority: Priority::from_rank(rank).ok_or_else(unreadable)?,
            batch: side.split('\n').nth(1).and_then(|batch| batch.parse().ok()),
            group: group.and_then(|key| GroupKey::new(key).ok()),
            run_at_ms: when_ms.filter(|_| state == State::Scheduled),
            running: read_lease(&lease),
            lease: (!lease.is_empty()).then(|| Lease(lease.into())),
            ended_at_ms: match state {
                State::Dead => when_ms,
                State::Succeeded | State::Cancelled => Some(past.ended_at_ms),
                _ => None,
            },
            dead_reason: dead_reason(&past),
            history: past.history,
            result: past.result,
            progress: past.progress.or_else(|| read_progress(&progress)),
            log: if past.log.is_empty() { read_log(&log) } else { past.log },
            payload: (!payload.is_empty()).then(|| Bytes::from(payload)),
        }))
    }

    pub(super) async fn all_queues(&self) -> Result<Vec<QueueInfo>> {
        let mut infos = Vec::new();
        for name in self.queue_names().await? {
            let key = |word: &str| self.connection.key(&name, word);
            let mut pipeline = redis::pipe();
            pipeline
                .zcard(key("due"))
                .hlen(key("running"))
                .zcard(key("dead"))
                .exists(key("paused"))
                .get(key("limit"))
                .hgetall(key("stats"));
            for rank in 0..Priority::ALL.len() {
                pipeline.llen(key(&format!("ready:{rank}")));
                pipeline.zcard(key(&format!("back:{rank}"))).zcard(key(&format!("limited:{rank}")));
            }
            let mut values: Vec<Value> = self.connection.pipeline(&pipeline).await?;
            let unreadable = |_| self.connection.unreadable(format!("the counts of queue {name}"));
            let ready: Vec<u64> = redis::from_redis_value(Value::Array(values.split_off(6))).map_err(unreadable)?;
            let (scheduled, running, dead, paused, concurrency, stats): Counts =
                redis::from_redis_value(Value::Array(values)).map_err(unreadable)?;
            let ready = ready.iter().sum::<u64>();
            let oldest_ready_at_ms = if ready > 0 { self.oldest_ready_at_ms(&name).await? } else { None };
            let total = |word: &str| stats.get(word).copied().unwrap_or_default();
            infos.push(QueueInfo {
                paused,
                concurrency,
                ready,
                oldest_ready_at_ms,
                scheduled,
                running,
                dead,
                pushed_total: total("pushed"),
                succeeded_total: total("succeeded"),
                failed_total: total("failed"),
                recovered_total: total("recovered"),
                name,
            });
        }
        Ok(infos)
    }

    pub(super) async fn all_workers(&self) -> Result<Vec<WorkerInfo>> {
        let mut workers: HashMap<WorkerId, WorkerInfo> = HashMap::new();
        for queue in self.queue_names().await? {
            let infos: Vec<String> = self.connection.call(&scripts::workers, &queue, [b""; 0]).await?;
            for info in infos {
                let info: WorkerInfo = serde_json::from_str(&info)
                    .map_err(|error| self.connection.unreadable(format!("a worker's description: {error}")))?;
                workers.insert(info.id, info);
            }
        }
        let mut workers: Vec<WorkerInfo> = workers.into_values().collect();
        workers.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
        Ok(workers)
    }

    pub(super) async fn some_endings(&self, limit: usize) -> Result<Vec<Ending>> {
        let mut endings = Vec::new();
        if self.connection.retains_jobs() {
            return Ok(endings);
        }
        let mut queues = self.queue_names().await?;
        // Another queue first each time: one that ends more jobs than anybody fetches must not hide the others.
        let first = self.turn.fetch_add(1, Ordering::Relaxed) % queues.len().max(1);
        queues.rotate_left(first);
        let mut failure = None;
        for queue in queues {
            let records = match self.scan_endings(&queue, limit - endings.len()).await {
                Ok(records) => records,
                // Those of the others are not held up.
                Err(error) if self.connection.is_partial(&error) => {
                    failure = failure.or(Some(error));
                    continue;
                }
                Err(error) => return Err(error),
            };
            for (id, text) in records {
                endings.push(self.read_ending(self.read_id(&id)?, &queue, &text)?);
            }
            endings.truncate(limit);
        }
        match failure {
            Some(error) if endings.is_empty() => Err(error),
            _ => Ok(endings),
        }
    }

    /// Reads records of endings until there are at least `enough` or no more.
    pub(super) async fn scan_endings(&self, queue: &QueueName, enough: usize) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let (mut cursor, mut found) = (0_u64, Vec::new());
        while found.len() < enough {
            let mut command = redis::cmd("HSCAN");
            command.arg(self.connection.key(queue, "ended")).arg(cursor).arg("COUNT").arg(BATCH);
            let (next, pairs): Scan = self.connection.command(&command).await?;
            found.extend(pairs);
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
        Ok(found)
    }

    fn read_ending(&self, id: JobId, queue: &QueueName, text: &[u8]) -> Result<Ending> {
        let past = read_history(text);
        let state = past.state.as_deref().and_then(State::from_name);
        Ok(Ending {
            id,
            queue: queue.clone(),
            state: state.ok_or_else(|| self.connection.unreadable(format!("the ending of job {id}")))?,
            dead_reason: dead_reason(&past),
            running: past.lease.as_deref().and_then(read_lease),
            ended_at_ms: past.ended_at_ms,
            history: past.history,
            result: past.result,
            progress: past.progress,
            log: past.log,
        })
    }

    pub(super) async fn remove_endings(&self, endings: &[Ending]) -> Result<()> {
        for (queue, places) in by_queue(endings, |ending| &ending.queue) {
            for places in places.chunks(BATCH) {
                let mut arguments = Vec::with_capacity(places.len() * 2);
                for ending in places.iter().map(|&place| &endings[place]) {
                    arguments.push(Packed::of(ending.id).to_vec());
                    arguments.push(ending.ended_at_ms.to_string().into_bytes());
                }
                self.connection.call::<()>(&scripts::forget, &queue, &arguments).await?;
            }
        }
        Ok(())
    }
}

/// Reads `worker:epoch:claimed_at`.
fn read_lease(lease: &str) -> Option<(WorkerId, i64)> {
    let mut parts = lease.split(':');
    let worker = parts.next()?.parse().ok()?;
    let claimed_at_ms = parts.nth(1)?.parse().ok()?;
    Some((worker, claimed_at_ms))
}

fn dead_reason(past: &Record) -> Option<DeadReason> {
    past.reason.as_deref().and_then(DeadReason::from_name)
}
