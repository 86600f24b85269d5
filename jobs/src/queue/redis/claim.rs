//! Taking jobs, at once or as soon as there are some.

use std::time::Duration;

use redis::{FromRedisValue, Value};

use super::connection::may_be_done;
use super::scripts;
use super::shapes::payload_of;
use super::store::RedisQueue;
use super::work::{BATCH, bytes_of, read_history};
use crate::id::{QueueName, WorkerId};
use crate::queue::{Claim, Claimed, Late, Lease, Result};

/// How often one claim looks on if it met only jobs whose groups may not start one. Each look puts 500 of them aside for good.
const LOOKS: usize = 20;

/// How soon to ask a queue again that has not answered while others have.
const LOOK_AGAIN_MS: u64 = 1_000;

impl RedisQueue {
    pub(super) async fn claim_from(&self, worker: WorkerId, queues: &[QueueName], limit: usize) -> Result<Claim> {
        let mut claim = Claim::default();
        let (mut lost, mut failure, mut answered) = (false, None, false);
        // In a cluster no script touches two queues.
        let together = if self.connection.is_spread() { 1 } else { queues.len().max(1) };
        for queues in queues.chunks(together) {
            let wanted = (limit - claim.jobs.len()).min(BATCH);
            if wanted == 0 {
                self.pass_on(queues).await;
                continue;
            }
            let part = match self.claim_together(worker, queues, wanted).await {
                Ok(part) => part,
                Err(error) if self.connection.is_partial(&error) => {
                    claim.unheard |= may_be_done(&error);
                    failure = failure.or(Some(error));
                    continue;
                }
                // Jobs are in hand: they must not be lost with the answer of another queue.
                Err(error) if !claim.jobs.is_empty() => {
                    claim.unheard |= may_be_done(&error);
                    return Ok(claim);
                }
                Err(error) => return Err(error),
            };
            lost |= part.lost;
            answered |= !part.lost;
            claim.add(part);
        }
        let failed = failure.is_some();
        if let Some(error) = failure.filter(|_| !lost && !answered) {
            return Err(error);
        }
        // A master that has forgotten this worker, unlike others, tells the next beat.
        let forgotten = lost && answered && self.connection.is_spread();
        claim.lost = lost && !forgotten;
        if failed || forgotten {
            // Somebody has to find out when it gives jobs again.
            claim.next_due_ms = Some(claim.next_due_ms.unwrap_or(LOOK_AGAIN_MS).min(LOOK_AGAIN_MS));
        }
        Ok(claim)
    }

    /// Waits for a marker and claims behind it, in one exchange: the server carries out the claim the moment it ends the wait. In a
    /// cluster, where a wait has many exchanges, it only waits.
    pub(super) async fn claim_awaited(
        &self,
        worker: WorkerId,
        queues: &[QueueName],
        limit: usize,
        max_wait: Duration,
    ) -> Result<Option<Claim>> {
        if queues.is_empty() || limit == 0 || self.connection.is_spread() {
            self.waiter.wait(&self.connection, queues, max_wait).await?;
            return Ok(None);
        }
        let arguments = claim_arguments(worker, limit.min(BATCH));
        let call = self.connection.script_call(&scripts::claim, queues, arguments);
        match self.waiter.wait_and(&self.connection, queues, max_wait, &call).await? {
            // Whatever the server has against it, it tells again whoever asks alone.
            Value::ServerError(_) => Ok(None),
            reply => self.read_claims(queues, reply).await.map(|(claim, _)| Some(claim)),
        }
    }

    /// Claims from queues that live together, in one call.
    async fn claim_together(&self, worker: WorkerId, queues: &[QueueName], wanted: usize) -> Result<Claim> {
        let arguments = claim_arguments(worker, wanted);
        let mut claim = Claim::default();
        for _ in 0..LOOKS {
            let reply = self.connection.call_on(&scripts::claim, queues, &arguments).await?;
            let (part, more) = self.read_claims(queues, reply).await?;
            claim.add(part);
            if !more || !claim.jobs.is_empty() {
                break;
            }
        }
        Ok(claim)
    }

    /// Wakes somebody for each of these queues whose marker was taken here and not used: it may have been the only one, and this worker
    /// has no place left.
    async fn pass_on(&self, queues: &[QueueName]) {
        for queue in queues.iter().filter(|queue| self.waiter.owes(queue)) {
            let marker = self.connection.key(queue, "wake");
            // Jobs are in hand: a failure here must not lose them, it only costs the others their next tick.
            drop(self.connection.command::<()>(redis::cmd("ZADD").arg(marker).arg(0).arg("w")).await);
        }
    }

    /// Reads what a claim from queues that live together took, and whether it stopped before it had looked at all.
    async fn read_claims(&self, queues: &[QueueName], reply: Value) -> Result<(Claim, bool)> {
        let replies: Vec<Vec<Value>> = self.readable(reply)?;
        let (seen, rest) = queues.split_at(replies.len().min(queues.len()));
        for queue in seen {
            self.waiter.looked_into(queue);
        }
        self.pass_on(rest).await;
        let (mut claim, mut more) = (Claim::default(), false);
        for (queue, reply) in seen.iter().zip(replies) {
            more |= reply.first() == Some(&Value::Int(1));
            claim.add(self.read_claim(queue, reply)?);
        }
        Ok((claim, more))
    }

    fn read_claim(&self, queue: &QueueName, reply: Vec<Value>) -> Result<Claim> {
        let mut values = reply.into_iter();
        if values.next() == Some(Value::Int(-1)) {
            return Ok(Claim { lost: true, ..Claim::default() });
        }
        let (Some(Value::Int(next_due)), Some(Value::Int(claimed_at_ms)), Some(Value::BulkString(lease))) =
            (values.next(), values.next(), values.next())
        else {
            return Err(self.connection.unreadable("the answer to a claim"));
        };
        let lease = Lease(String::from_utf8_lossy(&lease).into());
        let ms: Vec<u64> = values.next().map_or(Ok(Vec::new()), |value| self.readable(value))?;
        let late = if ms.is_empty() { Vec::new() } else { vec![Late { queue: queue.clone(), ms }] };
        let ids = values.next();
        let [payloads, histories] = [values.next(), values.next()].map(|list| match list {
            Some(Value::Array(each)) => each,
            _ => Vec::new(),
        });
        let mut histories = histories.into_iter();
        let mut jobs = Vec::with_capacity(payloads.len());
        let ids = match ids {
            // One after another, if all are of one length.
            Some(Value::BulkString(ids)) => ids
                .chunks((ids.len() / payloads.len().max(1)).max(1))
                .map(|id| self.read_id(id))
                .collect::<Result<_>>()?,
            Some(ids) => self.read_ids(&self.readable::<Vec<Vec<u8>>>(ids)?)?,
            None => Vec::new(),
        };
        for (id, payload) in ids.into_iter().zip(payloads) {
            jobs.push(Claimed {
                id,
                queue: queue.clone(),
                lease: lease.clone(),
                payload: payload_of(bytes_of(payload).into()),
                history: histories.next().map(bytes_of).map(|text| read_history(&text).history).unwrap_or_default(),
                claimed_at_ms,
            });
        }
        Ok(Claim { jobs, late, next_due_ms: u64::try_from(next_due).ok(), ..Claim::default() })
    }

    fn readable<T: FromRedisValue>(&self, value: Value) -> Result<T> {
        redis::from_redis_value(value).map_err(|_| self.connection.unreadable("the answer to a claim"))
    }
}

fn claim_arguments(worker: WorkerId, wanted: usize) -> [String; 2] {
    [worker.to_string(), wanted.to_string()]
}
