//! Batches in memory.

use std::collections::BTreeMap;

use super::memory::World;
use crate::id::{BatchId, JobId, QueueName};
use crate::job::Envelope;
use crate::queue::{
    Batch, BatchCancelled, BatchInfo, BatchTotals, Drift, DriftKind, Gate, Opened, Refusal, Sealed, State, refusal,
};

pub(super) struct OpenBatch {
    then: Envelope,
    opened_at_ms: i64,
    sealed: bool,
    cancelled: bool,
    totals: BatchTotals,
}

impl World {
    pub(super) fn open_batch(&mut self, batch: &Batch) -> Opened {
        if self.batches.contains_key(&batch.id()) {
            return Opened::Already;
        }
        if self.rows.contains_key(&batch.then().id) {
            return Opened::Closed;
        }
        self.totals(batch.queue());
        let open = OpenBatch {
            then: batch.then().clone(),
            opened_at_ms: self.now_ms,
            sealed: false,
            cancelled: false,
            totals: BatchTotals::default(),
        };
        self.batches.insert(batch.id(), open);
        Opened::Created
    }

    /// Says why a job cannot become a member of its batch, if it names one.
    pub(super) fn refusal(&self, job: &Envelope) -> Option<Refusal> {
        let id = job.batch?;
        let open = self.batches.get(&id).filter(|open| open.then.options.queue == job.options.queue);
        let runs =
            |parent| self.rows.get(&parent).is_some_and(|row| row.state == State::Running && row.batch == Some(id));
        refusal(open.map(|open| Gate {
            sealed: open.sealed,
            cancelled: open.cancelled,
            from_member: job.parent.is_some_and(runs),
        }))
    }

    pub(super) fn join_batch(&mut self, job: &Envelope) {
        if let Some(open) = job.batch.and_then(|id| self.batches.get_mut(&id)) {
            open.totals.total += 1;
        }
    }

    /// Counts the end of a member.
    pub(super) fn leave_batch(&mut self, id: JobId, state: State) {
        let Some(batch) = self.rows.get_mut(&id).and_then(|row| row.batch.take()) else { return };
        let Some(open) = self.batches.get_mut(&batch) else { return };
        match state {
            State::Succeeded => open.totals.succeeded += 1,
            State::Dead => open.totals.dead += 1,
            _ => open.totals.cancelled += 1,
        }
        self.close_if_done(batch);
    }

    /// Makes the closing job if nothing is left to wait for.
    fn close_if_done(&mut self, id: BatchId) -> bool {
        let done = |open: &OpenBatch| open.sealed && open.totals.left() == 0;
        if !self.batches.get(&id).is_some_and(done) {
            return false;
        }
        let Some(OpenBatch { then, totals, .. }) = self.batches.remove(&id) else { return false };
        if !self.rows.contains_key(&then.id) {
            self.insert(&then);
            if let Some(row) = self.rows.get_mut(&then.id) {
                row.history.batch = Some(totals);
            }
        }
        true
    }

    pub(super) fn seal_batch(&mut self, queue: &QueueName, id: BatchId) -> Sealed {
        let open = self.batches.get_mut(&id).filter(|open| open.then.options.queue == *queue);
        let Some(open) = open else { return Sealed::Unknown };
        open.sealed = true;
        let left = open.totals.left();
        if self.close_if_done(id) { Sealed::Closed } else { Sealed::Waiting { left } }
    }

    pub(super) fn cancel_batch(&mut self, id: BatchId) -> Option<BatchCancelled> {
        let open = self.batches.get_mut(&id)?;
        (open.sealed, open.cancelled) = (true, true);
        let mut done = BatchCancelled::default();
        let members: Vec<(JobId, State)> = self
            .rows
            .iter()
            .filter(|(_, row)| row.batch == Some(id))
            .map(|(member, row)| (*member, row.state))
            .collect();
        for (member, state) in members {
            if state != State::Running {
                done.ended += 1;
                self.end(member, State::Cancelled);
            } else if let Some(row) = self.rows.get_mut(&member) {
                done.asked += u64::from(!row.asked_to_stop);
                row.asked_to_stop = true;
            }
        }
        self.close_if_done(id);
        Some(done)
    }

    /// Compares the counts of batches with the members that there are.
    pub(super) fn audit_batches(&mut self, queue: &QueueName, repair: bool) -> Vec<Drift> {
        let mut drift = Vec::new();
        let mut left: BTreeMap<BatchId, u64> = BTreeMap::new();
        for batch in self.rows.values().filter_map(|row| row.batch) {
            *left.entry(batch).or_default() += 1;
        }
        let ids: Vec<BatchId> =
            self.batches.iter().filter(|(_, open)| open.then.options.queue == *queue).map(|(id, _)| *id).collect();
        for id in ids {
            let mut note = |kind| drift.push(Drift { kind, id: None, what: format!("batch {id}"), repaired: repair });
            let Some(open) = self.batches.get_mut(&id) else { continue };
            let left = left.get(&id).copied().unwrap_or_default();
            if open.totals.left() != left {
                note(DriftKind::Count);
                if repair {
                    open.totals.total = open.totals.total - open.totals.left() + left;
                }
            }
            if open.sealed && left == 0 {
                note(DriftKind::Unclosed);
                if repair {
                    self.close_if_done(id);
                }
            }
        }
        drift
    }

    pub(super) fn batch_infos(&self, of: impl Fn(&BatchInfo) -> bool) -> Vec<BatchInfo> {
        let info = |(id, open): (&BatchId, &OpenBatch)| BatchInfo {
            id: *id,
            queue: open.then.options.queue.clone(),
            opened_at_ms: open.opened_at_ms,
            sealed: open.sealed,
            cancelled: open.cancelled,
            totals: open.totals,
            then: open.then.id,
        };
        self.batches.iter().map(info).filter(of).collect()
    }
}
