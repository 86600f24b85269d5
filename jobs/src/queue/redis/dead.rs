//! The dead letters: looking for them, and letting them go.

use super::ids::Packed;
use super::scripts;
use super::shapes::Argument;
use super::store::RedisQueue;
use super::work::read_history;
use crate::id::{JobId, Kind, QueueName};
use crate::queue::{
    Cursor, DEAD_STEP, DeadFilter, DeadGroup, DeadReason, DeadStep, Listing, MAX_DEAD_GROUPS, Moved, Pace, Page, Result,
};

/// The most ids that one script call handles.
const BATCH: usize = 500;

/// The most steps of [`DEAD_STEP`] that one page takes; a filter that fits few comes back for the rest.
const STEPS_OF_A_PAGE: usize = 20;

/// Group, how many, first and last time of death, the last one, its history.
type GroupRow = (String, u64, String, String, Vec<u8>, Vec<u8>);

/// Ids, the instant before which they died, time of death and id of the last one.
type Walked = (Vec<Vec<u8>>, String, String, Vec<u8>);

impl RedisQueue {
    pub(super) async fn redrive_dead(&self, ids: &[JobId], pace: Pace) -> Result<Vec<JobId>> {
        let mut moved = Vec::new();
        for queue in self.queue_names().await? {
            for part in ids.chunks(BATCH) {
                let mut arguments = pace_arguments(pace.then(moved.len()));
                arguments.extend(part.iter().map(|id| Packed::of(*id).to_vec()));
                let found: Vec<Vec<u8>> = self.connection.call(&scripts::redrive, &queue, &arguments).await?;
                moved.extend(self.read_ids(&found)?);
            }
        }
        Ok(moved)
    }

    pub(super) async fn redrive_named(&self, step: &DeadStep, pace: Pace) -> Result<Moved> {
        let mut arguments = pace_arguments(pace);
        arguments.extend(named(&step.filter, step.after.as_ref())?);
        let walked = self.connection.call(&scripts::redrive_like, &step.filter.queue, &arguments).await?;
        self.read_step(step, walked)
    }

    pub(super) async fn discard_dead(&self, ids: &[JobId], reason: &str) -> Result<Vec<JobId>> {
        let mut moved = Vec::new();
        for queue in self.queue_names().await? {
            for part in ids.chunks(BATCH) {
                let ids = part.iter().map(|id| Argument::Id(Packed::of(*id)));
                let arguments = std::iter::once(reason.as_bytes().into()).chain(ids);
                let found: Vec<Vec<u8>> = self.connection.call(&scripts::discard, &queue, arguments).await?;
                moved.extend(self.read_ids(&found)?);
            }
        }
        Ok(moved)
    }

    pub(super) async fn discard_named(&self, step: &DeadStep, reason: &str) -> Result<Moved> {
        let mut arguments = vec![reason.as_bytes().to_vec()];
        arguments.extend(named(&step.filter, step.after.as_ref())?);
        let walked = self.connection.call(&scripts::discard_like, &step.filter.queue, &arguments).await?;
        self.read_step(step, walked)
    }

    pub(super) async fn list_dead(&self, filter: &DeadFilter, page: Page) -> Result<Listing> {
        let (mut ids, mut after) = (Vec::new(), page.after);
        for _ in 0..STEPS_OF_A_PAGE {
            let wanted = (page.size - ids.len()).min(DEAD_STEP);
            if wanted == 0 {
                break;
            }
            let mut arguments = vec![wanted.to_string().into_bytes()];
            arguments.extend(named(filter, after.as_ref())?);
            let (found, score, last): (Vec<Vec<u8>>, String, Vec<u8>) =
                self.connection.call(&scripts::list_dead, &filter.queue, &arguments).await?;
            ids.extend(self.read_ids(&found)?);
            after = self.cursor(&score, &last)?;
            if after.is_none() {
                break;
            }
        }
        let records = self.read_jobs(&filter.queue, &ids).await?;
        let jobs = records.into_iter().flatten().filter(|record| record.dead_reason.is_some()).collect();
        Ok(Listing { jobs, next: after })
    }

    pub(super) async fn groups_of_dead(&self, queue: &QueueName) -> Result<Vec<DeadGroup>> {
        let most = [MAX_DEAD_GROUPS.to_string()];
        let rows: Vec<GroupRow> = self.connection.call(&scripts::dead_groups, queue, &most).await?;
        rows.into_iter().map(|row| self.read_group(queue, row)).collect()
    }

    pub(super) async fn swap(&self, queue: &QueueName, id: JobId, old: &[u8], new: &[u8]) -> Result<bool> {
        self.connection.call(&scripts::swap, queue, [&*Packed::of(id), old, new]).await
    }

    fn read_group(&self, queue: &QueueName, row: GroupRow) -> Result<DeadGroup> {
        let (name, count, first, last, example, history) = row;
        let unreadable = || self.connection.unreadable(format!("the dead letters of {name:?}"));
        let (fingerprint, kind) = name.split_once(':').ok_or_else(unreadable)?;
        let past = read_history(&history);
        Ok(DeadGroup {
            queue: queue.clone(),
            kind: Kind::new(kind).ok(),
            fingerprint: fingerprint.parse().ok(),
            count,
            first_at_ms: first.parse().map_err(|_| unreadable())?,
            last_at_ms: last.parse().map_err(|_| unreadable())?,
            example: self.read_id(&example)?,
            reason: past.reason.as_deref().and_then(DeadReason::from_name).ok_or_else(unreadable)?,
            error: past.history.last_error.unwrap_or_default(),
        })
    }

    fn read_step(&self, step: &DeadStep, (ids, before, score, last): Walked) -> Result<Moved> {
        let died_before_ms = before.parse().map_err(|_| self.connection.unreadable("the answer of a walk"))?;
        let filter = DeadFilter { died_before_ms: Some(died_before_ms), ..step.filter.clone() };
        let next = self.cursor(&score, &last)?.map(|after| DeadStep { filter, after: Some(after) });
        Ok(Moved { ids: self.read_ids(&ids)?, next })
    }

    /// Makes the cursor behind a member of a sorted set; nothing of nothing.
    pub(super) fn cursor(&self, score: &str, id: &[u8]) -> Result<Option<Cursor>> {
        if score.is_empty() { Ok(None) } else { Ok(Some(Cursor::of(score, self.read_id(id)?))) }
    }

    pub(super) fn read_ids(&self, ids: &[Vec<u8>]) -> Result<Vec<JobId>> {
        ids.iter().map(|id| self.read_id(id)).collect()
    }
}

fn pace_arguments(pace: Pace) -> Vec<Vec<u8>> {
    [pace.passed, u64::from(pace.jobs), pace.per_ms].map(|number| number.to_string().into_bytes()).into()
}

/// Writes who is meant as the scripts read it.
fn named(filter: &DeadFilter, after: Option<&Cursor>) -> Result<[Vec<u8>; 7]> {
    let DeadFilter { queue: _, kind, fingerprint, died_after_ms, died_before_ms } = filter;
    let text = |value: Option<String>| value.unwrap_or_default().into_bytes();
    let after = after.map(Cursor::place::<i64, JobId>).transpose()?;
    Ok([
        text(fingerprint.as_ref().zip(kind.as_ref()).map(|(fingerprint, kind)| format!("{fingerprint}:{kind}"))),
        text(died_after_ms.map(|at_ms| at_ms.to_string())),
        text(died_before_ms.map(|at_ms| at_ms.to_string())),
        text(after.map(|(died_at_ms, _)| died_at_ms.to_string())),
        after.map(|(_, id)| Packed::of(id).to_vec()).unwrap_or_default(),
        text(kind.as_ref().map(Kind::to_string)),
        text(fingerprint.as_ref().map(ToString::to_string)),
    ])
}
