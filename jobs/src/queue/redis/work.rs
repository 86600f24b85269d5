//! What changes many jobs at once: push and settle.

use futures_util::future::try_join;
use redis::Value;

use super::ids::Packed;
use super::scripts;
use super::shapes::{Argument, push_arguments, replaces};
use super::store::RedisQueue;
use super::tell::{read_log, read_progress};
use crate::fingerprint::Fingerprint;
use crate::id::{JobId, QueueName};
use crate::job::Envelope;
use crate::queue::{BatchTotals, History, LogLine, Progress, Pushed, Refusal, Result, Settled, Settlement, Verdict};

/// The most jobs that one script call handles. Bounds how long the server is busy with one call, and stays far from the number of
/// values that Lua can unpack.
pub(super) const BATCH: usize = 500;

/// The same for jobs that may replace others: each walks the list in which the other one waits.
const REPLACING: usize = 25;

impl RedisQueue {
    pub(super) async fn push_jobs(&self, jobs: &[Envelope]) -> Result<Vec<Pushed>> {
        let mut answers = vec![Pushed::Duplicate; jobs.len()];
        let mut failure = None;
        for (queue, places) in by_queue(jobs, |job| &job.options.queue) {
            // Side by side, which costs no time. Should only the jobs get through, the caller is told of a failure and comes again.
            let pushed = try_join(self.register_queue(&queue), self.push_to(&queue, jobs, &places)).await;
            let values = match pushed {
                Ok(((), values)) => values,
                // The caller comes again with all; until then the other queues have theirs.
                Err(error) if self.connection.is_partial(&error) => {
                    failure = failure.or(Some(error));
                    continue;
                }
                Err(error) => return Err(error),
            };
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
        failure.map_or(Ok(answers), Err)
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
            let arguments = push_arguments(places.iter().map(|&place| &jobs[place]));
            match self.connection.call(&scripts::push, queue, &arguments).await? {
                Value::Array(each) => answers.extend(each),
                all => answers.resize(answers.len() + places.len(), all),
            }
        }
        Ok(answers)
    }

    pub(super) async fn settle_all(&self, settlements: &[Settlement]) -> Result<Vec<Settled>> {
        let mut answers = vec![Settled::Unanswered; settlements.len()];
        for (queue, places) in by_queue(settlements, |settlement| &settlement.queue) {
            for places in places.chunks(BATCH) {
                let (order, arguments) = settle_arguments(settlements, places);
                let stale: Vec<usize> = match self.connection.call(&scripts::settle, &queue, &arguments).await {
                    Ok(stale) => stale,
                    Err(error) if self.connection.is_partial(&error) => continue,
                    Err(error) => return Err(error),
                };
                for &place in &order {
                    answers[place] = Settled::Applied;
                }
                // They are counted from 1.
                for place in stale.into_iter().filter_map(|number| order.get(number.wrapping_sub(1))) {
                    answers[*place] = Settled::Stale;
                }
            }
        }
        Ok(answers)
    }

    pub(super) fn read_id(&self, bytes: &[u8]) -> Result<JobId> {
        Packed::read(bytes).ok_or_else(|| self.connection.unreadable(format!("a job id of {} bytes", bytes.len())))
    }
}

/// Writes ends as the script reads them: those that are all alike first, by lease. Returns the places in the order of the ends.
fn settle_arguments<'a>(settlements: &'a [Settlement], places: &[usize]) -> (Vec<usize>, Vec<Argument<'a>>) {
    let (alike, others): (Vec<usize>, Vec<usize>) =
        places.iter().partition(|&&place| matches!(settlements[place].verdict, Verdict::Succeeded));
    let leases = groups_of(alike.into_iter().map(|place| (place, &settlements[place].lease)));
    let mut arguments: Vec<Argument<'a>> = Vec::with_capacity(1 + 2 * leases.len() + places.len() + 2 * others.len());
    let mut order = Vec::with_capacity(places.len());
    arguments.push(leases.len().to_string().into_bytes().into());
    for (lease, places) in leases {
        arguments.push(lease.0.as_bytes().into());
        arguments.push(places.len().to_string().into_bytes().into());
        arguments.extend(places.iter().map(|&place| Argument::Id(Packed::of(settlements[place].id))));
        order.extend(places);
    }
    for settlement in others.iter().map(|&place| &settlements[place]) {
        arguments.push(Argument::Id(Packed::of(settlement.id)));
        arguments.push(settlement.lease.0.as_bytes().into());
        arguments.push(verdict_text(&settlement.verdict).into_bytes().into());
    }
    order.extend(others);
    (order, arguments)
}

pub(super) fn bytes_of(value: Value) -> Vec<u8> {
    match value {
        Value::BulkString(bytes) => bytes,
        _ => Vec::new(),
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
    if text.is_empty() {
        return Record::default();
    }
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
    let groups = groups_of(items.iter().map(queue).enumerate());
    groups.into_iter().map(|(queue, places)| (queue.clone(), places)).collect()
}

/// Returns the places of each of the few keys that there are, in order.
fn groups_of<'a, K: PartialEq>(items: impl Iterator<Item = (usize, &'a K)>) -> Vec<(&'a K, Vec<usize>)> {
    let mut groups: Vec<(&K, Vec<usize>)> = Vec::new();
    for (place, key) in items {
        // Most often it is that of the item before.
        match groups.iter_mut().rfind(|(known, _)| std::ptr::eq(*known, key) || *known == key) {
            Some((_, places)) => places.push(place),
            None => groups.push((key, vec![place])),
        }
    }
    groups
}

fn verdict_text(verdict: &Verdict) -> String {
    match verdict {
        // Said by the place among the arguments.
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
