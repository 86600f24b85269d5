//! What becomes of running jobs: settled, or taken back.

use super::memory::World;
use crate::id::{JobId, QueueName, WorkerId};
use crate::queue::{DeadReason, History, MAX_RECOVERIES, Settled, Settlement, State, Verdict};

impl World {
    pub(super) fn settle(&mut self, settlement: &Settlement) -> Settled {
        let id = settlement.id;
        let Some(row) = self.rows.get_mut(&id) else { return Settled::Stale };
        if row.state != State::Running || row.lease.as_ref() != Some(&settlement.lease) {
            return Settled::Stale;
        }
        let stop = std::mem::take(&mut row.asked_to_stop);
        let queue = row.queue.clone();
        match &settlement.verdict {
            Verdict::Succeeded => {
                self.totals(&queue).succeeded += 1;
                self.end(id, State::Succeeded);
            }
            Verdict::SucceededWith { result } => {
                row.result = Some(result.clone());
                self.totals(&queue).succeeded += 1;
                self.end(id, State::Succeeded);
            }
            Verdict::Cancelled { reason } => {
                row.history.last_error = Some(reason.clone());
                self.end(id, State::Cancelled);
            }
            Verdict::Dead { reason, error } => {
                row.history.failures += u32::from(reason.counts_as_failure());
                row.history.last_error = Some(error.clone());
                self.totals(&queue).failed += u64::from(reason.counts_as_failure());
                self.die(id, *reason);
            }
            Verdict::Retry { delay_ms, error } => {
                row.history.failures += 1;
                (row.history.last_error, row.history.aside_since_ms) = (Some(error.clone()), None);
                self.totals(&queue).failed += 1;
                self.again(id, Some(*delay_ms), stop);
            }
            Verdict::Snooze { delay_ms } => {
                row.history.aside_since_ms = None;
                self.again(id, Some(*delay_ms), stop);
            }
            Verdict::SetAside { delay_ms } => {
                row.history.aside_since_ms.get_or_insert(self.now_ms);
                self.again(id, Some(*delay_ms), stop);
            }
            Verdict::HandBack => {
                row.history.hand_backs += 1;
                self.again(id, None, stop);
            }
        }
        Settled::Applied
    }

    /// Lets a job run again, after a delay or at once, unless somebody asked it to stop.
    fn again(&mut self, id: JobId, delay_ms: Option<u64>, stop: bool) {
        let now_ms = self.now_ms;
        let Some(row) = self.rows.get_mut(&id) else { return };
        match delay_ms {
            _ if stop => {
                self.end(id, State::Cancelled);
            }
            None => self.ready(id, true),
            Some(delay_ms) => {
                (row.state, row.lease, row.running) = (State::Scheduled, None, None);
                row.run_at_ms = now_ms + delay_ms as i64;
            }
        }
    }

    /// Takes back what a worker has of a queue, but what it keeps; returns how many jobs that were.
    pub(super) fn take_back(
        &mut self,
        worker: WorkerId,
        queue: &QueueName,
        kept: &[JobId],
        count: fn(&mut History),
    ) -> usize {
        let held = |(_, row): &(&JobId, &super::memory::Row)| {
            row.state == State::Running && row.queue == *queue && row.running.is_some_and(|(owner, _)| owner == worker)
        };
        let ids: Vec<JobId> =
            self.rows.iter().filter(held).map(|(id, _)| *id).filter(|id| !kept.contains(id)).collect();
        for id in &ids {
            let Some(row) = self.rows.get_mut(id) else { continue };
            count(&mut row.history);
            let recoveries = row.history.recoveries;
            if std::mem::take(&mut row.asked_to_stop) {
                self.again(*id, None, true);
            } else if recoveries > MAX_RECOVERIES {
                row.history.last_error = Some(format!("{recoveries} workers died while running this job"));
                self.die(*id, DeadReason::Poison);
            } else {
                self.again(*id, None, false);
            }
        }
        ids.len()
    }

    /// Takes back what dead workers have of these queues.
    pub(super) fn rescue(&mut self, queues: &[QueueName]) -> usize {
        let dead: Vec<WorkerId> = self.workers.keys().copied().filter(|id| !self.is_alive(*id)).collect();
        let mut rescued = 0;
        for worker in dead {
            for queue in queues {
                let taken = self.take_back(worker, queue, &[], |history| history.recoveries += 1);
                self.totals(queue).recovered += taken as u64;
                rescued += taken;
            }
        }
        rescued
    }
}
