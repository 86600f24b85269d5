//! Lists of jobs, page by page.

use std::collections::BTreeSet;

use super::ids::Packed;
use super::scripts;
use super::store::RedisQueue;
use super::work::read_history;
use crate::id::{JobId, QueueName};
use crate::options::Priority;
use crate::queue::{Cursor, Listing, Page, Result, State};

/// The most ids that one call asks for.
const BATCH: usize = 500;

/// The most calls for one page; what is passed over may be much.
const STEPS_OF_A_PAGE: usize = 20;

/// Ids of a page, and where the next one begins.
type Ids = (Vec<JobId>, Option<Cursor>);

impl RedisQueue {
    pub(super) async fn list_jobs(&self, queue: &QueueName, state: State, page: Page) -> Result<Listing> {
        let (ids, next) = match state {
            _ if page.size == 0 => (Vec::new(), None),
            State::Scheduled => self.list_sorted(queue, "due", page).await?,
            State::Dead => self.list_sorted(queue, "dead", page).await?,
            State::Ready => self.list_ready(queue, page).await?,
            State::Running => self.list_running(queue, page).await?,
            State::Succeeded | State::Cancelled if self.connection.retains_jobs() => {
                return self.list_retained(queue, state, page).await;
            }
            State::Succeeded | State::Cancelled => self.list_fetched(queue, state, page).await?,
        };
        let records = self.read_jobs(queue, &ids).await?;
        // A job may have moved on between the two looks.
        let jobs = records.into_iter().flatten().filter(|record| record.state == state).collect();
        Ok(Listing { jobs, next })
    }

    /// By score and id, wherever in the set: what comes or goes moves nobody to another page.
    async fn list_sorted(&self, queue: &QueueName, word: &str, page: Page) -> Result<Ids> {
        let (mut ids, mut after) = (Vec::new(), page.after);
        while ids.len() < page.size {
            let last = after.as_ref().map(Cursor::place::<i64, JobId>).transpose()?;
            let score = last.map(|(score, _)| score.to_string()).unwrap_or_default();
            let id = last.map(|(_, id)| Packed::of(id).to_vec()).unwrap_or_default();
            let size = (page.size - ids.len()).min(BATCH).to_string();
            let arguments = [word.as_bytes(), score.as_bytes(), &id, size.as_bytes()];
            let (found, more): (Vec<Vec<u8>>, bool) = self.connection.call(&scripts::list, queue, arguments).await?;
            for pair in found.chunks_exact(2) {
                let id = self.read_id(&pair[0])?;
                after = Some(Cursor::of(String::from_utf8_lossy(&pair[1]), id));
                ids.push(id);
            }
            if !more {
                return Ok((ids, None));
            }
        }
        Ok((ids, after))
    }

    /// By the place in line, which is all that a list has: jobs that are claimed meanwhile move the others forward.
    async fn list_ready(&self, queue: &QueueName, page: Page) -> Result<Ids> {
        // What the server counts with; beyond it there is nothing.
        const END: usize = i64::MAX as usize;
        let place = page.after.as_ref().map(Cursor::place::<usize, u8>).transpose()?;
        let from = place.map_or(0, |(place, _)| place).min(END);
        let to = from.saturating_add(page.size).min(END);
        let (mut ids, mut passed) = (Vec::new(), 0);
        for rank in 0..Priority::ALL.len() {
            let (start, end) = (from.saturating_sub(passed), to.saturating_sub(passed));
            let (size, part) = self.ready_of(queue, rank, start, end).await?;
            ids.extend(self.read_ids(&part)?);
            passed += size;
        }
        Ok((ids, (to < passed).then(|| Cursor::of(to, 0))))
    }

    /// Reads a slice of the ready jobs of one priority, and how many there are in all.
    async fn ready_of(&self, queue: &QueueName, rank: usize, from: usize, to: usize) -> Result<(usize, Vec<Vec<u8>>)> {
        let key = |word: &str| self.connection.key(queue, &format!("{word}:{rank}"));
        let (list, zsets) = (key("ready"), [key("back"), key("limited")]);
        let mut sizes = redis::pipe();
        sizes.zcard(&zsets[0]).zcard(&zsets[1]).llen(&list);
        let (back, limited, behind): (usize, usize, usize) = self.connection.pipeline(&sizes).await?;
        let (before, mut ids) = (back + limited, Vec::new());
        if from < before && to > from {
            let mut placed: Vec<(Vec<u8>, f64)> = Vec::new();
            for zset in &zsets {
                let command =
                    redis::cmd("ZRANGE").arg(zset).arg(0).arg(to.min(before) - 1).arg("WITHSCORES").to_owned();
                placed.extend(self.connection.command::<Vec<(Vec<u8>, f64)>>(&command).await?);
            }
            placed.sort_by(|(one, a), (other, b)| a.total_cmp(b).then_with(|| one.cmp(other)));
            ids = placed.into_iter().map(|(id, _)| id).take(to.min(before)).skip(from).collect();
        }
        let (start, end) = (from.saturating_sub(before), to.saturating_sub(before));
        if start < behind && end > start {
            let part: Vec<Vec<u8>> =
                self.connection.command(redis::cmd("LRANGE").arg(&list).arg(start).arg(end - 1)).await?;
            ids.extend(part);
        }
        Ok((before + behind, ids))
    }

    /// By id: as many as workers have places.
    async fn list_running(&self, queue: &QueueName, page: Page) -> Result<Ids> {
        let running = self.connection.key(queue, "running");
        let ids: Vec<Vec<u8>> = self.connection.command(redis::cmd("HKEYS").arg(running)).await?;
        cut(self.read_ids(&ids)?.into_iter().map(|id| (0, id)).collect(), false, &page)
    }

    /// By the time of the end. As many as nobody has fetched yet, which are few while somebody does.
    async fn list_fetched(&self, queue: &QueueName, state: State, page: Page) -> Result<Ids> {
        let mut ends = BTreeSet::new();
        // A scan may meet a record twice.
        for (id, text) in self.scan_endings(queue, usize::MAX).await? {
            let past = read_history(&text);
            if past.state.as_deref() == Some(state.as_str()) {
                ends.insert((past.ended_at_ms, self.read_id(&id)?));
            }
        }
        cut(ends, true, &page)
    }

    /// By the time of the end; those of the other state are passed over, so a page may come short of what was asked for.
    async fn list_retained(&self, queue: &QueueName, state: State, page: Page) -> Result<Listing> {
        let mut listing = Listing { jobs: Vec::new(), next: page.after };
        for _ in 0..STEPS_OF_A_PAGE {
            let step = Page { after: listing.next.take(), size: (page.size - listing.jobs.len()).min(BATCH) };
            let (ids, next) = self.list_sorted(queue, "past", step).await?;
            let records = self.read_jobs(queue, &ids).await?;
            listing.jobs.extend(records.into_iter().flatten().filter(|record| record.state == state));
            listing.next = next;
            if listing.next.is_none() || listing.jobs.len() == page.size {
                break;
            }
        }
        Ok(listing)
    }
}

/// Cuts a page out of a list that is there as a whole.
fn cut(all: BTreeSet<(i64, JobId)>, latest_first: bool, page: &Page) -> Result<Ids> {
    let after = page.after.as_ref().map(Cursor::place).transpose()?;
    let mut left: Vec<(i64, JobId)> = if latest_first {
        all.into_iter().rev().filter(|end| after.is_none_or(|after| *end < after)).collect()
    } else {
        all.into_iter().filter(|end| after.is_none_or(|after| *end > after)).collect()
    };
    let more = left.len() > page.size;
    left.truncate(page.size);
    let next = left.last().filter(|_| more).map(|(rank, id)| Cursor::of(rank, id));
    Ok((left.into_iter().map(|(_, id)| id).collect(), next))
}
