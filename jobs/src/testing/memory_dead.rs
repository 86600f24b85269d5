//! The dead letters in memory, and lists page by page.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::memory::{Row, World};
use crate::id::{JobId, QueueName};
use crate::queue::{
    Cursor, DEAD_STEP, DeadFilter, DeadGroup, DeadReason, DeadStep, History, Listing, MAX_DEAD_GROUPS, Page, Result,
    State,
};

impl World {
    /// Makes a dead job ready or, after a delay, scheduled; `false` if it is not dead.
    pub(super) fn revive(&mut self, id: JobId, delay_ms: u64) -> bool {
        let now_ms = self.now_ms;
        let Some(row) = self.rows.get_mut(&id).filter(|row| row.state == State::Dead) else { return false };
        row.history =
            History { generation: row.history.generation + 1, batch: row.history.batch, ..History::default() };
        (row.dead_reason, row.ending) = (None, false);
        if row.key_until_ms <= now_ms {
            row.unique = None;
        }
        let (queue, unique) = (row.queue.clone(), row.unique.clone());
        if self.hold(id, &queue, unique.as_ref()).is_some()
            && let Some(row) = self.rows.get_mut(&id)
        {
            row.unique = None;
        }
        self.ready(id, false);
        if delay_ms > 0
            && let Some(row) = self.rows.get_mut(&id)
        {
            (row.state, row.run_at_ms) = (State::Scheduled, now_ms.saturating_add_unsigned(delay_ms));
        }
        true
    }

    /// Ends a dead job as cancelled; `false` if it is not dead.
    pub(super) fn give_up(&mut self, id: JobId, reason: &str) -> bool {
        let Some(row) = self.rows.get_mut(&id).filter(|row| row.state == State::Dead) else { return false };
        // Nobody ran it into this end.
        (row.history.last_error, row.running) = (Some(reason.to_owned()), None);
        self.end(id, State::Cancelled);
        true
    }

    /// Gives a dead job another payload if it still has the old one.
    pub(super) fn swap(&mut self, id: JobId, old: &[u8], new: &[u8]) -> bool {
        let row = self.rows.get_mut(&id).filter(|row| row.state == State::Dead && row.payload == old);
        row.map(|row| row.payload = bytes::Bytes::copy_from_slice(new)).is_some()
    }

    /// Finds the dead jobs of a step, the oldest first, and tells the step behind it.
    pub(super) fn walk(&self, step: &DeadStep) -> Result<(Vec<JobId>, Option<DeadStep>)> {
        let end_ms = self.now_ms + 1;
        let died_before_ms = Some(step.filter.died_before_ms.map_or(end_ms, |at_ms| at_ms.min(end_ms)));
        let filter = DeadFilter { died_before_ms, ..step.filter.clone() };
        let page = Page { after: step.after.clone(), size: DEAD_STEP };
        let (ids, after) = cut(self.dead(&filter), false, &page)?;
        Ok((ids, after.map(|after| DeadStep { filter, after: Some(after) })))
    }

    /// Lists the dead jobs that a filter names, the latest dead first.
    pub(super) fn list_dead(&self, filter: &DeadFilter, page: &Page) -> Result<Listing> {
        let (ids, next) = cut(self.dead(filter), true, page)?;
        Ok(self.listing(&ids, next))
    }

    fn dead(&self, filter: &DeadFilter) -> Vec<(i64, JobId)> {
        let fits = |row: &Row| filter.fits(row.kind.as_ref(), row.fingerprint.as_ref(), row.ended_at_ms);
        let dead =
            self.rows.iter().filter(|(_, row)| row.state == State::Dead && row.queue == filter.queue && fits(row));
        dead.map(|(id, row)| (row.ended_at_ms, *id)).collect()
    }

    /// Groups the dead of a queue by what they do and what they died of, the group that grew last first.
    pub(super) fn dead_groups(&self, queue: &QueueName) -> Vec<DeadGroup> {
        let mut members = BTreeMap::<_, Vec<_>>::new();
        for (died_at_ms, id) in self.dead(&DeadFilter::all(queue.clone())) {
            let Some(row) = self.rows.get(&id) else { continue };
            members.entry((row.fingerprint.clone(), row.kind.clone())).or_default().push((died_at_ms, id, row));
        }
        let group = |((fingerprint, kind), mut dead): ((_, _), Vec<(i64, JobId, &Row)>)| {
            dead.sort_unstable_by_key(|(died_at_ms, id, _)| (*died_at_ms, *id));
            let ((first_at_ms, ..), (last_at_ms, example, row)) = (dead.first()?, dead.last()?);
            Some(DeadGroup {
                queue: queue.clone(),
                kind,
                fingerprint,
                count: dead.len() as u64,
                first_at_ms: *first_at_ms,
                last_at_ms: *last_at_ms,
                example: *example,
                reason: row.dead_reason.unwrap_or(DeadReason::Failed),
                error: row.history.last_error.clone().unwrap_or_default(),
            })
        };
        let mut groups: Vec<DeadGroup> = members.into_iter().filter_map(group).collect();
        groups.sort_by_key(|group| Reverse(group.last_at_ms));
        groups.truncate(MAX_DEAD_GROUPS);
        groups
    }

    /// Lists the jobs of a queue in one state.
    pub(super) fn list(&self, queue: &QueueName, state: State, page: &Page) -> Result<Listing> {
        let rank = |row: &Row| match state {
            State::Ready => (i64::from(row.priority.rank()) << 56) + row.place,
            State::Scheduled => row.run_at_ms,
            State::Running => 0,
            State::Succeeded | State::Dead | State::Cancelled => row.ended_at_ms,
        };
        let all = self.rows.iter().filter(|(_, row)| row.state == state && row.queue == *queue);
        let ended = matches!(state, State::Succeeded | State::Dead | State::Cancelled);
        let (ids, next) = cut(all.map(|(id, row)| (rank(row), *id)).collect(), ended, page)?;
        Ok(self.listing(&ids, next))
    }

    fn listing(&self, ids: &[JobId], next: Option<Cursor>) -> Listing {
        Listing { jobs: ids.iter().filter_map(|id| Some(self.rows.get(id)?.record(*id))).collect(), next }
    }
}

/// Cuts a page out of a list.
fn cut(mut all: Vec<(i64, JobId)>, latest_first: bool, page: &Page) -> Result<(Vec<JobId>, Option<Cursor>)> {
    all.sort_unstable();
    if latest_first {
        all.reverse();
    }
    if let Some(cursor) = &page.after {
        let last = cursor.place()?;
        all.retain(|place| if latest_first { *place < last } else { *place > last });
    }
    let more = all.len() > page.size;
    all.truncate(page.size);
    let next = all.last().filter(|_| more).map(|(rank, id)| Cursor::of(rank, id));
    Ok((all.into_iter().map(|(_, id)| id).collect(), next))
}
