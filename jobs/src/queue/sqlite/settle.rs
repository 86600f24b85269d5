//! Ends attempts.

use std::collections::HashSet;

use super::apply::id_list;
use super::fault::Result;
use super::open::SqliteQueue;
use super::step::settled;
use crate::id::QueueName;
use crate::queue::{Settled, Settlement};

impl SqliteQueue {
    pub(super) async fn settle_all(&self, settlements: &[Settlement]) -> Result<Vec<Settled>> {
        if settlements.is_empty() {
            return Ok(Vec::new());
        }
        let ids = id_list(settlements.iter().map(|settlement| settlement.id));
        let mut answers = vec![Settled::Stale; settlements.len()];
        let (mut steps, mut seen, mut queues) = (Vec::new(), HashSet::new(), HashSet::<QueueName>::new());

        let mut change = self.begin().await?;
        for held in change.held(&ids).await? {
            let at = held.at as usize;
            let Settlement { queue, lease, verdict, .. } = &settlements[at];
            // Only a running job has a lease. A second answer under the same lease comes too late, also within one batch.
            let owned = held.lease.as_deref() == Some(&*lease.0) && held.queue == queue.as_str();
            if !owned || !seen.insert(held.entry) {
                continue;
            }
            let step = settled(held.history(), held.cancel_requested, verdict, change.now_ms);
            if !step.goal.is_end() && !queues.contains(queue) {
                queues.insert(queue.clone());
            }
            answers[at] = Settled::Applied;
            steps.push((held, step));
        }
        self.apply(&mut change, steps).await?;
        change.commit().await?;
        self.bells.ring(&queues);
        Ok(answers)
    }
}
