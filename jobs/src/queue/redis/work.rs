//! What producers and workers do: push, beat, claim, settle, rescue.

use bytes::Bytes;
use futures_util::future::{try_join, try_join_all};
use redis::Value;

use super::limits::limits_text;
use super::scripts;
use super::store::RedisQueue;
use super::tell::{read_log, read_progress};
use crate::fingerprint::Fingerprint;
use crate::id::{JobId, QueueName, WorkerId};
use crate::job::Envelope;
use crate::options::{OnConflict, Options, Priority, UniqueUntil};
use crate::queue::{
    BatchTotals, Beat, Claim, Claimed, History, LEASE, Lease, LogLine, MAX_RECOVERIES, Progress, Pushed, Refusal,
    Result, Settled, Settlement, Verdict, WorkerInfo,
};

/// The most jobs that one script call handles. Bounds how long the server is busy with one call, and stays far from the number of
/// values that Lua can unpack.
const BATCH: usize = 500;

/// The same for jobs that may replace others: each walks the list in which the other one waits.
const REPLACING: usize = 25;
/// How often one claim looks on if it met only jobs whose groups may not start one. Each look puts 500 of them aside for good.
const LOOKS: usize = 20;

impl RedisQueue {
    pub(super) async fn push_jobs(&self, jobs: &[Envelope]) -> Result<Vec<Pushed>> {
        let mut answers = vec![Pushed::Duplicate; jobs.len()];
        for (queue, places) in by_queue(jobs, |job| &job.options.queue) {
            // Side by side, which costs no time. Should only the jobs get through, the caller is told of a failure and comes again.
            let ((), values) = try_join(self.register_queue(&queue), self.push_to(&queue, jobs, &places)).await?;
            for (place, value) in places.into_iter().zip(values) {
                answers[place] = match value {
                    Value::Int(0) => Pushed::Created,
                    Value::Int(2) => Pushed::Refused(Refusal::UnknownBatch),
                    Value::Int(3) => Pushed::Refused(Refusal::SealedBatch),
                    Value::Int(4) => Pushed::Refused(Refusal::CancelledBatch),
                    Value::BulkString(id) => Pushed::Conflict { holder: self.read_id(&id)? },
                    Value::Array(old) => Pushed::Replaced { old: self.read_old(&old)? },
                    _ => Pushed::Duplicate,
                };
            }
        }
        Ok(answers)
    }

    fn read_old(&self, answer: &[Value]) -> Result<JobId> {
        match answer {
            [Value::BulkString(id)] => self.read_id(id),
            _ => Err(self.connection.unreadable("the answer to a push")),
        }
    }

    async fn push_to(&self, queue: &QueueName, jobs: &[Envelope], places: &[usize]) -> Result<Vec<Value>> {
        let mut answers = Vec::with_capacity(places.len());
        let replaces = places.iter().any(|&place| replaces(&jobs[place]));
        for places in places.chunks(if replaces { REPLACING } else { BATCH }) {
            let mut arguments = Vec::with_capacity(places.len() * 3);
            for job in places.iter().map(|&place| &jobs[place]) {
                arguments.push(job.id.as_bytes().to_vec());
                arguments.push(job.encode());
                arguments.push(push_options(job).into_bytes());
            }
            answers.extend(self.connection.call::<Vec<Value>>(&scripts::push, queue, &arguments).await?);
        }
        Ok(answers)
    }

    pub(super) async fn beat_all(&self, worker: &WorkerInfo, register: bool) -> Result<Beat> {
        let mut beat = Beat::default();
        let info = if register { serde_json::to_string(worker).unwrap_or_default() } else { String::new() };
        let arguments = [worker.id.to_string(), LEASE.as_millis().to_string(), info];
        for queue in &worker.queues {
            if register {
                self.register_queue(queue).await?;
            }
            let (lost, dead, next_expiry_ms): (u8, Vec<String>, i64) =
                self.connection.call(&scripts::beat, queue, &arguments).await?;
            beat.lost |= lost == 1;
            let next_expiry_ms = u64::try_from(next_expiry_ms).ok();
            beat.next_expiry_ms = [beat.next_expiry_ms, next_expiry_ms].into_iter().flatten().min();
            for dead in dead {
                let dead = dead.parse().map_err(|_| self.connection.unreadable(format!("worker {dead:?}")))?;
                beat.rescued += self.take_back(dead, queue, "dead", &[]).await?;
            }
        }
        Ok(beat)
    }

    pub(super) async fn asked_to_stop(&self, worker: WorkerId, queues: &[QueueName]) -> Result<Vec<JobId>> {
        let worker = [worker.to_string()];
        let asked = queues.iter().map(|queue| self.connection.call::<Vec<Vec<u8>>>(&scripts::stops, queue, &worker));
        let asked = try_join_all(asked).await?;
        asked.iter().flatten().map(|id| self.read_id(id)).collect()
    }

    /// Takes back what a worker has of a queue, but what it keeps; `why` is a word of the script.
    pub(super) async fn take_back(
        &self,
        worker: WorkerId,
        queue: &QueueName,
        why: &str,
        kept: &[JobId],
    ) -> Result<usize> {
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
            let arguments = fixed.into_iter().chain(kept.iter().map(|id| &id.as_bytes()[..]));
            let part: (String, usize) = self.connection.call(&scripts::rescue, queue, arguments).await?;
            taken += part.1;
            cursor = part.0;
            if cursor == "0" {
                return Ok(taken);
            }
        }
    }

    pub(super) async fn claim_from(&self, worker: WorkerId, queues: &[QueueName], limit: usize) -> Result<Claim> {
        let mut claim = Claim::default();
        for queue in queues {
            let wanted = (limit - claim.jobs.len()).min(BATCH);
            if wanted == 0 {
                // The only marker of this queue may be what woke this worker, which has no place left.
                if self.waiter.owes(queue) {
                    let marker = self.connection.key(queue, "wake");
                    // Jobs are in hand: a failure here must not lose them, it only costs the others their next tick.
                    drop(self.connection.command::<()>(redis::cmd("ZADD").arg(marker).arg(0).arg("w")).await);
                }
                continue;
            }
            self.waiter.looked_into(queue);
            let arguments = [worker.to_string(), wanted.to_string()];
            let mut part = Claim::default();
            for _ in 0..LOOKS {
                let reply: Vec<Value> = self.connection.call(&scripts::claim, queue, &arguments).await?;
                let more = reply.first() == Some(&Value::Int(1));
                part = self.read_claim(queue, reply)?;
                if !more || !part.jobs.is_empty() {
                    break;
                }
            }
            claim.lost |= part.lost;
            claim.next_due_ms = [claim.next_due_ms, part.next_due_ms].into_iter().flatten().min();
            claim.jobs.extend(part.jobs);
        }
        Ok(claim)
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
        let mut jobs = Vec::with_capacity(values.len() / 3);
        while let (Some(Value::BulkString(id)), Some(Value::BulkString(payload)), Some(Value::BulkString(history))) =
            (values.next(), values.next(), values.next())
        {
            jobs.push(Claimed {
                id: self.read_id(&id)?,
                queue: queue.clone(),
                lease: lease.clone(),
                payload: Bytes::from(payload),
                history: read_history(&history).history,
                claimed_at_ms,
            });
        }
        Ok(Claim { jobs, next_due_ms: u64::try_from(next_due).ok(), lost: false })
    }

    pub(super) async fn settle_all(&self, settlements: &[Settlement]) -> Result<Vec<Settled>> {
        let mut answers = vec![Settled::Stale; settlements.len()];
        for (queue, places) in by_queue(settlements, |settlement| &settlement.queue) {
            for places in places.chunks(BATCH) {
                let mut arguments = Vec::with_capacity(places.len() * 3);
                for settlement in places.iter().map(|&place| &settlements[place]) {
                    arguments.push(settlement.id.as_bytes().to_vec());
                    arguments.push(settlement.lease.0.as_bytes().to_vec());
                    arguments.push(verdict_text(&settlement.verdict).into_bytes());
                }
                let values: Vec<u8> = self.connection.call(&scripts::settle, &queue, &arguments).await?;
                for (&place, value) in places.iter().zip(values) {
                    answers[place] = if value == 1 { Settled::Applied } else { Settled::Stale };
                }
            }
        }
        Ok(answers)
    }

    /// Puts a queue into the registry. Each time anew: a server that was emptied has forgotten what this process has said before.
    pub(super) async fn register_queue(&self, queue: &QueueName) -> Result<()> {
        let registry = self.connection.registry_key();
        // Asked first, because a server without memory lets nobody add, but a worker must be able to come and drain it.
        let known: bool = self.connection.command(redis::cmd("SISMEMBER").arg(&registry).arg(queue.as_str())).await?;
        if known {
            return Ok(());
        }
        self.connection.command(redis::cmd("SADD").arg(&registry).arg(queue.as_str())).await
    }

    pub(super) fn read_id(&self, bytes: &[u8]) -> Result<JobId> {
        JobId::from_slice(bytes).ok_or_else(|| self.connection.unreadable(format!("a job id of {} bytes", bytes.len())))
    }
}

/// What the scripts keep of a job's past, as they write it.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct Past {
    f: u32,
    r: u32,
    h: u32,
    a: Option<f64>,
    e: Option<String>,
    s: Option<String>,
    l: Option<String>,
    t: Option<f64>,
    d: Option<String>,
    p: Option<u8>,
    n: u32,
    o: Option<String>,
    b: Option<BatchTotals>,
    w: Option<String>,
    v: Option<String>,
}

/// A job's past in the words of the port.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) history: History,
    pub(super) state: Option<String>,
    pub(super) lease: Option<String>,
    pub(super) ended_at_ms: i64,
    pub(super) reason: Option<String>,
    /// The priority of an ended job; nothing for a plain one.
    pub(super) rank: Option<u8>,
    pub(super) result: Option<serde_json::Value>,
    pub(super) progress: Option<Progress>,
    pub(super) log: Vec<LogLine>,
}

/// Reads a history or an ending; nothing, or what cannot be read, is an empty past.
pub(super) fn read_history(text: &[u8]) -> Record {
    let past: Past = serde_json::from_slice(text).unwrap_or_default();
    Record {
        history: History {
            failures: past.f,
            recoveries: past.r,
            hand_backs: past.h,
            aside_since_ms: past.a.map(|at| at as i64),
            last_error: past.e,
            generation: past.n,
            batch: past.b,
        },
        state: past.s,
        lease: past.l,
        ended_at_ms: past.t.unwrap_or_default() as i64,
        reason: past.d,
        rank: past.p,
        result: past.o.and_then(|text| serde_json::from_str(&text).ok()),
        progress: past.w.as_deref().and_then(read_progress),
        log: past.v.as_deref().map(read_log).unwrap_or_default(),
    }
}

/// Returns the places of the items of each queue, in order.
pub(super) fn by_queue<T>(items: &[T], queue: impl Fn(&T) -> &QueueName) -> Vec<(QueueName, Vec<usize>)> {
    let mut groups: Vec<(QueueName, Vec<usize>)> = Vec::new();
    for (place, item) in items.iter().enumerate() {
        let name = queue(item);
        match groups.iter_mut().find(|(known, _)| known == name) {
            Some((_, places)) => places.push(place),
            None => groups.push((name.clone(), vec![place])),
        }
    }
    groups
}

fn replaces(job: &Envelope) -> bool {
    job.options.unique.as_ref().is_some_and(|unique| unique.on_conflict == OnConflict::Replace)
}

pub(super) fn push_options(job: &Envelope) -> String {
    let Options { priority, unique, group, .. } = &job.options;
    let plain = *priority == Priority::Normal && unique.is_none() && group.is_none() && job.batch.is_none();
    if plain && job.run_at_ms.is_none() {
        return String::new();
    }
    let for_ms = unique.as_ref().and_then(|unique| unique.for_ms);
    let until = match (unique.as_ref().map(|unique| unique.until), for_ms) {
        (None, _) => '-',
        (Some(UniqueUntil::Started), None) => 's',
        (Some(UniqueUntil::Started), Some(_)) => 'S',
        (Some(UniqueUntil::Finished), None) => 'f',
        (Some(UniqueUntil::Finished), Some(_)) => 'F',
    };
    let latest = for_ms.map(|for_ms| format!("{for_ms}:")).unwrap_or_default();
    let instead = if replaces(job) { "r" } else { "" };
    let due = job.run_at_ms.map(|at| at.max(0).to_string()).unwrap_or_default();
    let key = unique.as_ref().map_or("", |unique| unique.key.as_str());
    let limits = group.as_ref().map(|group| group.limits).filter(|limits| !limits.is_empty());
    let limits = limits.map(limits_text).unwrap_or_default();
    let group = group.as_ref().map_or("", |group| group.key.as_str());
    let mut batch = job.batch.map(|batch| batch.to_string()).unwrap_or_default();
    if let Some(parent) = job.parent.filter(|_| job.batch.is_some()) {
        batch.push('/');
        batch.push_str(&parent.to_string());
    }
    format!("{due}{instead};{limits}:{}{until}{group}\n{batch}\n{latest}{key}", priority.rank())
}

fn verdict_text(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Succeeded => String::new(),
        Verdict::SucceededWith { result } => format!("O{result}"),
        Verdict::Retry { delay_ms, error } => format!("R{delay_ms}:{error}"),
        Verdict::Snooze { delay_ms } => format!("S{delay_ms}"),
        Verdict::SetAside { delay_ms } => format!("A{delay_ms}"),
        Verdict::HandBack => "H".to_owned(),
        Verdict::Cancelled { reason } => format!("C{reason}"),
        Verdict::Dead { reason, error } => {
            let fingerprint = Fingerprint::of(error);
            format!("D{}:{}:{fingerprint}:{error}", u8::from(reason.counts_as_failure()), reason.as_str())
        }
    }
}
