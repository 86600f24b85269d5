//! Why a job is not running now: what the ledger knows, then what the queue knows.

use chrono::{DateTime, Utc};
use deskhand_jobs::queue::{
    self, BatchTotals, GroupInfo, JobRecord, Page, Queue, QueueInfo, State, Surroundings, WorkerInfo,
};
use deskhand_jobs::{JobId, QueueName, outcome};
use serde::Serialize;

use super::batches;
use super::entry::Entry;
use super::limits::as_seen;
use super::model::LedgerState;
use super::remote::in_front;
use super::service::{Seen, Service};
use crate::base::{Result, TenantId};

/// How many running jobs of a group are looked for, and how many are named.
const LOOKED_AT: usize = 100;
const NAMED: usize = 5;

/// One reason, as a stable code and as a sentence that names the cure if there is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Reason {
    /// For programs: the queue's codes, and `waits_for_batch`, `in_batch`, `not_due`, `not_sent`, `queue_unreachable`, `not_in_queue`.
    pub code: String,
    /// For people.
    pub text: String,
}

impl Reason {
    fn new(code: &str, text: impl Into<String>) -> Self {
        Self { code: code.to_owned(), text: text.into() }
    }
}

impl Service {
    /// Says why a job is not running now, what stands in the way first.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::base::Error::NotFound) if the tenant has no such job.
    pub async fn explain(&self, tenant: &TenantId, id: JobId) -> Result<Vec<Reason>> {
        let entry = self.entry(tenant, id).await?;
        if entry.state == LedgerState::Waiting {
            let mut tx = self.db.read().await?;
            let totals = batches::members(&mut tx, tenant, batches::closed_by(id)).await?;
            return Ok(vec![waits_for_batch(id, totals)]);
        }
        let batch = entry.batch.filter(|_| !entry.state.is_end());
        let mut reasons = self.explain_sent(tenant, entry).await?;
        reasons.extend(
            batch.map(|batch| {
                Reason::new("in_batch", format!("it is a member of a batch: job {batch} waits for its end"))
            }),
        );
        Ok(reasons)
    }

    async fn explain_sent(&self, tenant: &TenantId, entry: Entry) -> Result<Vec<Reason>> {
        let (id, now) = (entry.id, self.db.clock().now());
        let looked = async {
            let live = self.queue.job(id).await?;
            let around = look_around(&*self.queue, tenant, live.as_ref()).await?;
            Ok::<_, queue::Error>((live, around))
        };
        match looked.await {
            Ok((live, around)) => Ok(reasons(&Seen { entry, live }, &around, now)),
            Err(error) => {
                let text = format!("{}; what is said here is what the database knows", outcome::chain(&error));
                let mut known = from_ledger(&entry, now).unwrap_or_default();
                known.insert(0, Reason::new("queue_unreachable", text));
                Ok(known)
            }
        }
    }
}

/// What keeps the closing job of a batch from running.
fn waits_for_batch(id: JobId, members: BatchTotals) -> Reason {
    let (left, total) = (members.left(), members.total);
    let text = format!(
        "it closes a batch: {left} of its {total} members have not ended, and it runs when the last has; `deskhand jobs list --batch \
         {id}` shows them"
    );
    Reason::new("waits_for_batch", text)
}

/// What stands around a job in the queue.
struct Around {
    queues: Vec<QueueInfo>,
    workers: Vec<WorkerInfo>,
    group: Option<GroupInfo>,
    running: Vec<JobId>,
}

async fn look_around(queue: &dyn Queue, tenant: &TenantId, live: Option<&JobRecord>) -> queue::Result<Around> {
    let mut around =
        Around { queues: queue.queues().await?, workers: queue.workers().await?, group: None, running: Vec::new() };
    if let Some(live) = live
        && let Some(key) = &live.group
    {
        around.group = queue.group(&live.queue, key).await?.and_then(|group| as_seen(tenant, group));
        let running = queue.list(&live.queue, State::Running, Page::first(LOOKED_AT)).await?.jobs;
        let mates = running.into_iter().filter(|job| job.group.as_ref() == Some(key)).map(|job| job.id);
        around.running = mates.take(NAMED).collect();
    }
    Ok(around)
}

fn reasons(seen: &Seen, around: &Around, now: DateTime<Utc>) -> Vec<Reason> {
    from_ledger(&seen.entry, now).unwrap_or_else(|| match &seen.live {
        Some(live) => from_queue(live, around),
        None => vec![Reason::new(
            "not_in_queue",
            "it was sent, and the queue does not know it: either it has just ended, or the queue was emptied and it is sent \
             again within two minutes, if a scheduler runs",
        )],
    })
}

/// What the ledger alone can say; `None` if the queue has the job.
fn from_ledger(entry: &Entry, now: DateTime<Utc>) -> Option<Vec<Reason>> {
    let error = entry.last_error.as_deref().unwrap_or("no error was kept");
    let reason = match entry.state {
        // A closing job is told of with its members.
        LedgerState::Waiting | LedgerState::Pushed => return None,
        LedgerState::Pending if entry.run_at > now => {
            Reason::new("not_due", format!("it waits in the database until {}", entry.run_at.to_rfc3339()))
        }
        LedgerState::Pending => Reason::new(
            "not_sent",
            "it is due and not yet in the queue: that takes milliseconds while a scheduler or a worker process runs and reaches \
             the queue; see deskhand doctor",
        ),
        LedgerState::Dead => Reason::new("dead", format!("it is dead: {error}; cure the cause and redrive it")),
        LedgerState::Succeeded | LedgerState::Cancelled => {
            Reason::new("ended", format!("it has ended: {}", entry.state))
        }
    };
    Some(vec![reason])
}

fn from_queue(live: &JobRecord, around: &Around) -> Vec<Reason> {
    let surroundings = Surroundings {
        queue: around.queues.iter().find(|queue| queue.name == live.queue),
        group: around.group.as_ref(),
        running: &around.running,
        workers: &around.workers,
    };
    // The queue's times are its own server's; its reasons word distances only.
    let now_ms = Utc::now().timestamp_millis();
    let remote = in_front(&live.queue).map(|(_, name)| name);
    let named =
        |reason: queue::Reason| Reason { code: name(reason.code), text: said(&live.queue, remote.as_ref(), reason) };
    queue::explain(live, &surroundings, now_ms).into_iter().map(named).collect()
}

/// Words a reason as the tenant knows the queue.
fn said(queue: &QueueName, remote: Option<&QueueName>, reason: queue::Reason) -> String {
    match remote {
        None => reason.text,
        Some(remote) if reason.code == queue::Code::NobodyServes => format!(
            "no living worker serves remote queue {remote}; start a program that registers for it at POST /api/v1/workers, as \
             docs/workers.md tells"
        ),
        Some(remote) => reason.text.replace(queue.as_str(), remote.as_str()),
    }
}

fn name(code: queue::Code) -> String {
    let json = serde_json::to_value(code).expect("a code is a word in JSON");
    json.as_str().expect("a code is a word in JSON").to_owned()
}
