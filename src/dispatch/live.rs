//! Lists of jobs by where they are: the ledger's states come from the database, the queue's own states from the queue.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use deskhand_jobs::queue::{Cursor, JobRecord, Listing, Page, State};
use deskhand_jobs::{JobId, QueueName};

use super::ledger::{self, Filter};
use super::model::LedgerState;
use super::remote::{behind, is_open_to, shown};
use super::service::{Seen, Service};
use crate::base::{PageRequest, Paged, Result, TenantId};

/// How many records one call asks the queue for at most, and at least: some may be another tenant's.
const BATCH: usize = 500;
const FEW: usize = 64;

/// How many jobs of a state are looked at, of all tenants: a list is for reading, and nobody reads further.
const MOST: usize = 10_000;

/// Where the jobs of a list are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// As the database knows it.
    Ledger(LedgerState),
    /// Scheduled, ready or running, as only the queue knows it.
    Queue(State),
}

/// A text that is no place of a job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no state of a job: it is waiting, pending, scheduled, ready, running, succeeded, dead or cancelled")]
pub struct NoPlace(String);

impl FromStr for Place {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let live = State::from_name(text).filter(|state| LedgerState::from_end(*state).is_none());
        live.map(Self::Queue).or_else(|| text.parse().ok().map(Self::Ledger)).ok_or_else(|| NoPlace(text.to_owned()))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ledger(state) => state.fmt(f),
            Self::Queue(state) => state.fmt(f),
        }
    }
}

/// Where a walk through the queues stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stand {
    queue: QueueName,
    after: Option<Cursor>,
}

/// A text that is no place in a walk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no cursor: take `next` of the page before, or begin with an empty one")]
pub struct NoStand(String);

impl FromStr for Stand {
    type Err = NoStand;

    fn from_str(text: &str) -> Result<Self, NoStand> {
        let wrong = || NoStand(text.chars().take(200).collect());
        let (queue, after) = text.split_once(':').ok_or_else(wrong)?;
        let after = if after.is_empty() { None } else { Some(after.parse().map_err(|_| wrong())?) };
        Ok(Self { queue: queue.parse().map_err(|_| wrong())?, after })
    }
}

impl fmt::Display for Stand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.queue, self.after.as_ref().map(Cursor::to_string).unwrap_or_default())
    }
}

impl Service {
    /// Lists jobs that the queue has, in its order: ready ones as they will be claimed, scheduled ones as they are due. Of each
    /// queue the first 10,000 of all tenants are looked at, and those only until the page is full: then the list says that there are more.
    ///
    /// # Errors
    /// [`Error`](crate::base::Error) of the database or the queue.
    pub async fn list_live(
        &self,
        tenant: &TenantId,
        state: State,
        filter: &Filter,
        page: PageRequest,
    ) -> Result<Paged<Seen>> {
        let queues = match &filter.queue {
            Some(queue) => [Some(queue.clone()), behind(tenant, queue)].into_iter().flatten().collect(),
            None => self.open_queues(tenant).await?,
        };
        let shown = page.offset()..page.offset() + page.size();
        let (mut total, mut wanted, mut more) = (0, Vec::new(), false);
        // One more than is shown tells whether there are more.
        let batch = usize::try_from(shown.end + 1).unwrap_or(BATCH).clamp(FEW, BATCH);
        let begin = |queue| Walk { queue, page: Page::first(batch), looked_at: 0 };
        let mut places = queues.into_iter();
        let mut place = places.next().map(begin);
        while let Some(walk) = place.take() {
            if total > shown.end {
                more = true;
                break;
            }
            let Listing { jobs: found, next } = self.queue.list(&walk.queue, state, walk.page).await?;
            let ids: Vec<JobId> = found.iter().map(|record| record.id).collect();
            let mut tx = self.db.read().await?;
            let known = ledger::among(&mut tx, tenant, filter, &ids).await?;
            for record in found.into_iter().filter(|record| known.contains(&record.id)) {
                if shown.contains(&total) {
                    wanted.push(record);
                }
                total += 1;
            }
            let looked_at = walk.looked_at + batch;
            place = match next.filter(|_| looked_at < MOST) {
                Some(next) => Some(Walk { looked_at, page: Page::after(next, batch), ..walk }),
                None => places.next().map(begin),
            };
        }
        let ids: Vec<JobId> = wanted.iter().map(|record| record.id).collect();
        let mut tx = self.db.read().await?;
        let entries = ledger::by_ids(&mut tx, tenant, &ids).await?;
        let mut entries: HashMap<JobId, _> = entries.into_iter().map(|entry| (entry.id, entry)).collect();
        let seen = |record: JobRecord| Some(Seen { entry: entries.remove(&record.id)?, live: Some(record) });
        let items = wanted.into_iter().filter_map(seen).collect();
        Ok(if more { Paged::of_many(items, total, page) } else { Paged::new(items, total, page) })
    }

    /// Walks through the jobs that the queues have in a state, queue by queue; any page costs the same. A page may come short of
    /// what was asked for, and yet have a next one.
    ///
    /// # Errors
    /// [`Error`](crate::base::Error) of the database or the queue, or for a cursor of another list.
    pub async fn walk_live(
        &self,
        tenant: &TenantId,
        state: State,
        filter: &Filter,
        from: Option<Stand>,
        size: usize,
    ) -> Result<(Vec<Seen>, Option<Stand>)> {
        let mut names = self.open_queues(tenant).await?;
        names.retain(|name| filter.queue.as_ref().is_none_or(|queue| queue == name || *queue == shown(name)));
        names.retain(|name| from.as_ref().is_none_or(|from| *name >= from.queue));
        names.sort();
        let mut stands = names.into_iter().map(|queue| Stand { queue, after: None }).peekable();
        if let (Some(from), Some(first)) = (from, stands.peek_mut())
            && first.queue == from.queue
        {
            first.after = from.after;
        }
        let (mut seen, mut stand) = (Vec::new(), stands.next());
        for _ in 0..MOST / BATCH {
            let wanted = (size - seen.len()).min(BATCH);
            let Some(at) = stand.take_if(|_| wanted > 0) else { break };
            let page = Page { after: at.after, size: wanted };
            let Listing { jobs, next } = self.queue.list(&at.queue, state, page).await?;
            seen.extend(self.seen(tenant, filter, jobs).await?);
            stand = next.map(|after| Stand { queue: at.queue, after: Some(after) }).or_else(|| stands.next());
        }
        Ok((seen, stand))
    }

    /// Names the queues in which a tenant may have jobs.
    async fn open_queues(&self, tenant: &TenantId) -> Result<Vec<QueueName>> {
        let names = self.queue.queues().await?.into_iter().map(|queue| queue.name);
        Ok(names.filter(|name| is_open_to(tenant, name)).collect())
    }

    /// Puts beside records of the queue what the ledger knows; what is not the tenant's or does not fit is left out.
    async fn seen(&self, tenant: &TenantId, filter: &Filter, records: Vec<JobRecord>) -> Result<Vec<Seen>> {
        let ids: Vec<JobId> = records.iter().map(|record| record.id).collect();
        let mut tx = self.db.read().await?;
        let fits = ledger::among(&mut tx, tenant, filter, &ids).await?;
        let entries = ledger::by_ids(&mut tx, tenant, &ids).await?;
        let mut entries: HashMap<JobId, _> = entries.into_iter().map(|entry| (entry.id, entry)).collect();
        let records = records.into_iter().filter(|record| fits.contains(&record.id));
        let seen = |record: JobRecord| Some(Seen { entry: entries.remove(&record.id)?, live: Some(record) });
        Ok(records.filter_map(seen).collect())
    }
}

/// How far a list has come in one queue.
struct Walk {
    queue: QueueName,
    page: Page,
    looked_at: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stand_survives_its_text() {
        for text in ["default:", "default:7.9", "work_orders:1732246022123.0193.a"] {
            assert_eq!(text.parse::<Stand>().map(|stand| stand.to_string()).as_deref(), Ok(text));
        }
        for text in ["", "default", ":7.9", "No Queue:7", "default:A B"] {
            assert!(text.parse::<Stand>().expect_err("no place").to_string().contains("empty one"), "{text}");
        }
    }

    #[test]
    fn every_state_of_a_job_is_a_place() {
        for (text, place) in [
            ("waiting", Place::Ledger(LedgerState::Waiting)),
            ("pending", Place::Ledger(LedgerState::Pending)),
            ("pushed", Place::Ledger(LedgerState::Pushed)),
            ("scheduled", Place::Queue(State::Scheduled)),
            ("ready", Place::Queue(State::Ready)),
            ("running", Place::Queue(State::Running)),
            ("succeeded", Place::Ledger(LedgerState::Succeeded)),
            ("dead", Place::Ledger(LedgerState::Dead)),
            ("cancelled", Place::Ledger(LedgerState::Cancelled)),
        ] {
            assert_eq!((text.parse(), place.to_string().as_str()), (Ok(place), text));
        }
        assert!("lost".parse::<Place>().expect_err("no state").to_string().contains("running"));
    }
}
