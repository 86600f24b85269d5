//! Who is there: workers that beat, leave or are dead, and the list of queues.
//!
//! Each master keeps the leases of its own queues. What one of several does not answer, or has forgotten, is told beside what the
//! others say.

use std::collections::HashSet;
use std::sync::{MutexGuard, PoisonError};

use futures_util::future::join_all;

use super::check::LAYOUT;
use super::ids::Packed;
use super::scripts;
use super::shapes::Argument;
use super::store::RedisQueue;
use crate::fingerprint::Fingerprint;
use crate::id::{JobId, QueueName, WorkerId};
use crate::queue::{Beat, LEASE, MAX_RECOVERIES, Result, WorkerInfo};

/// How many queues this process remembers that it could not put into the list.
const UNLISTED: usize = 1_000;

impl RedisQueue {
    pub(super) async fn beat_all(&self, worker: &WorkerInfo, register: bool) -> Result<Beat> {
        let mut beat = Beat::default();
        let (mut renewed, mut failure) = (false, None);
        for queue in &worker.queues {
            match self.beat_one(worker, queue, register, &mut beat).await {
                Ok(true) => renewed = true,
                Ok(false) => beat.lost_queues.push(queue.clone()),
                Err(error) if self.connection.is_partial(&error) => {
                    beat.silent_queues.push(queue.clone());
                    failure = failure.or(Some(error));
                }
                Err(error) => return Err(error),
            }
        }
        let forgotten = !beat.lost_queues.is_empty();
        if let Some(error) = failure.filter(|_| !renewed && !forgotten) {
            return Err(error);
        }
        let by_some = renewed && self.connection.is_spread();
        if forgotten && !by_some {
            beat.lost = true;
            beat.lost_queues.clear();
        }
        // What it had there it still settles; whether somebody has taken it back meanwhile is told by the leases of the jobs.
        for queue in beat.lost_queues.clone() {
            drop(self.beat_one(worker, &queue, true, &mut beat).await);
        }
        Ok(beat)
    }

    /// Renews a worker's leases of one queue; `false` if it is taken for dead there.
    async fn beat_one(&self, worker: &WorkerInfo, queue: &QueueName, register: bool, beat: &mut Beat) -> Result<bool> {
        let mut info = String::new();
        if register {
            self.register_queue(queue).await?;
            info = serde_json::to_string(worker).unwrap_or_default();
        }
        let arguments = [worker.id.to_string(), LEASE.as_millis().to_string(), info];
        let (lost, dead, next_expiry_ms): (u8, Vec<String>, i64) =
            self.connection.call(&scripts::beat, queue, &arguments).await?;
        let next_expiry_ms = u64::try_from(next_expiry_ms).ok();
        beat.next_expiry_ms = [beat.next_expiry_ms, next_expiry_ms].into_iter().flatten().min();
        for dead in dead {
            let dead = dead.parse().map_err(|_| self.connection.unreadable(format!("worker {dead:?}")))?;
            beat.rescued += self.take_back(dead, queue, "dead", &[]).await?;
        }
        Ok(lost == 0)
    }

    pub(super) async fn asked_to_stop(&self, worker: WorkerId, queues: &[QueueName]) -> Result<Vec<JobId>> {
        let worker = [worker.to_string()];
        let asked = queues.iter().map(|queue| self.connection.call::<Vec<Vec<u8>>>(&scripts::stops, queue, &worker));
        let mut ids = Vec::new();
        for asked in join_all(asked).await {
            match asked {
                Ok(asked) => ids.extend(asked),
                Err(error) if self.connection.is_partial(&error) => {}
                Err(error) => return Err(error),
            }
        }
        ids.iter().map(|id| self.read_id(id)).collect()
    }

    /// Takes back what a worker has of each queue, but what it keeps.
    pub(super) async fn take_back_all(
        &self,
        worker: WorkerId,
        queues: &[QueueName],
        why: &str,
        kept: &[JobId],
    ) -> Result<()> {
        let mut failure = None;
        for queue in queues {
            match self.take_back(worker, queue, why, kept).await {
                Err(error) if self.connection.is_partial(&error) => failure = failure.or(Some(error)),
                answer => drop(answer?),
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// Takes back what a worker has of a queue, but what it keeps; `why` is a word of the script.
    async fn take_back(&self, worker: WorkerId, queue: &QueueName, why: &str, kept: &[JobId]) -> Result<usize> {
        // The number of workers in front makes no difference.
        let poison = Fingerprint::of("1 workers died while running this job");
        let mut taken = 0;
        let mut cursor = "0".to_owned();
        loop {
            let (worker, recoveries) = (worker.to_string(), MAX_RECOVERIES.to_string());
            let fixed = [
                worker.as_bytes(),
                cursor.as_bytes(),
                why.as_bytes(),
                recoveries.as_bytes(),
                poison.as_str().as_bytes(),
            ];
            let kept = kept.iter().map(|id| Argument::Id(Packed::of(*id)));
            let arguments = fixed.map(Argument::from).into_iter().chain(kept);
            let part: (String, usize) = self.connection.call(&scripts::rescue, queue, arguments).await?;
            taken += part.1;
            cursor = part.0;
            if cursor == "0" {
                return Ok(taken);
            }
        }
    }

    /// Puts a queue into the list. Each time anew: a server that was emptied has forgotten what this process has said before.
    ///
    /// Of several masters one has the list. While that is away the others take jobs all the same, and the next call that
    /// reaches it names what it has missed.
    pub(super) async fn register_queue(&self, queue: &QueueName) -> Result<()> {
        match self.list_queue(queue).await {
            Err(error) if self.connection.is_partial(&error) => {
                let mut unlisted = self.unlisted();
                if unlisted.len() < UNLISTED {
                    unlisted.insert(queue.clone());
                }
                return Ok(());
            }
            answer => answer?,
        }
        let missed: Vec<QueueName> = self.unlisted().iter().cloned().collect();
        for name in missed {
            match self.list_queue(&name).await {
                Err(error) if self.connection.is_partial(&error) => break,
                answer => answer?,
            }
            self.unlisted().remove(&name);
        }
        Ok(())
    }

    fn unlisted(&self) -> MutexGuard<'_, HashSet<QueueName>> {
        self.unlisted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn list_queue(&self, queue: &QueueName) -> Result<()> {
        let registry = self.connection.registry_key();
        // Asked first, because a server without memory lets nobody add, but a worker must be able to come and drain it.
        let mut command = redis::cmd("SMISMEMBER");
        let [known, ours]: [bool; 2] =
            self.connection.command(command.arg(&registry).arg(queue.as_str()).arg(LAYOUT)).await?;
        if !ours {
            // At the start the master that has the set may have been away.
            self.connection.check_layout().await?;
        } else if known {
            return Ok(());
        }
        self.connection.command(redis::cmd("SADD").arg(&registry).arg(queue.as_str()).arg(LAYOUT)).await
    }
}
