//! Many jobs in one request: all are accepted, or none is.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use deskhand_jobs::{JobId, QueueName};
use serde::Serialize;

use super::lines::Line;
use super::outbox;
use super::remote::{self, Target};
use super::service::Service;
use super::wanted::NewJob;
use crate::audit::{Event, Record};
use crate::base::{Actor, Error, FieldError, Result};

/// The most jobs of one request.
pub const MOST_AT_ONCE: usize = 10_000;

/// The most mistakes that one refusal lists.
const MOST_MISTAKES: usize = 100;

/// The jobs of one request.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Many {
    /// Their ids, in the order of the request.
    pub ids: Vec<JobId>,
}

/// What the audit record keeps of a request.
#[derive(Serialize)]
struct Noted<'a> {
    count: usize,
    kinds: BTreeMap<&'a str, usize>,
    queues: BTreeSet<QueueName>,
    last: JobId,
}

impl Service {
    /// Accepts many jobs in one transaction; they are durable when this returns.
    ///
    /// # Errors
    /// [`Error::Invalid`] names what does not fit as `/jobs/17/kind`; then none was accepted.
    pub async fn enqueue_many(&self, actor: &Actor, jobs: Vec<NewJob>) -> Result<Many> {
        if !(1..=MOST_AT_ONCE).contains(&jobs.len()) {
            return Err(Error::field("/jobs", format!("a request has 1 to {MOST_AT_ONCE} jobs")));
        }
        let mut remotes: HashMap<QueueName, Result<Option<Target>, Vec<FieldError>>> = HashMap::new();
        for name in jobs.iter().filter_map(|job| job.queue.as_ref()) {
            if !remotes.contains_key(name) {
                let found = match self.remote_queue(&actor.tenant, name).await {
                    Err(Error::Invalid(wrong)) => Err(wrong),
                    found => Ok(found?),
                };
                remotes.insert(name.clone(), found);
            }
        }
        let (mut lines, mut mistakes) = (Vec::with_capacity(jobs.len()), Vec::new());
        for (place, job) in jobs.into_iter().enumerate() {
            let remote = match job.queue.as_ref().and_then(|name| remotes.get(name)) {
                None => None,
                Some(Ok(remote)) => remote.as_ref(),
                Some(Err(wrong)) => {
                    mistakes.extend(wrong.iter().cloned().map(|wrong| at(place, wrong)));
                    continue;
                }
            };
            let line = job.envelope(&self.registry, &actor.tenant, remote).and_then(|job| Line::new(job, None));
            match line {
                Ok(line) => lines.push(line.made_now()),
                Err(Error::Invalid(wrong)) => mistakes.extend(wrong.into_iter().map(|wrong| at(place, wrong))),
                Err(error) => return Err(error),
            }
            if mistakes.len() >= MOST_MISTAKES {
                break;
            }
        }
        if !mistakes.is_empty() {
            return Err(Error::Invalid(mistakes));
        }
        // Only now: SQLite has one writer, and others would wait for what needs no database.
        let mut tx = self.db.begin().await?;
        outbox::insert(&mut tx, &lines).await?;
        let ids: Vec<JobId> = lines.iter().map(|line| line.job.id).collect();
        tx.record(actor, Event::new("job.enqueue_many", "job", &ids[0]).after(&noted(&lines, &ids))).await?;
        tx.commit().await?;
        Ok(Many { ids })
    }
}

fn at(place: usize, wrong: FieldError) -> FieldError {
    FieldError { pointer: format!("/jobs/{place}{}", wrong.pointer), ..wrong }
}

fn noted<'a>(lines: &'a [Line], ids: &[JobId]) -> Noted<'a> {
    let mut kinds = BTreeMap::new();
    for line in lines {
        *kinds.entry(line.job.kind.as_str()).or_default() += 1;
    }
    let queues: BTreeSet<&QueueName> = lines.iter().map(|line| &line.job.options.queue).collect();
    let queues = queues.into_iter().map(remote::shown).collect();
    Noted { count: ids.len(), kinds, queues, last: ids[ids.len() - 1] }
}
