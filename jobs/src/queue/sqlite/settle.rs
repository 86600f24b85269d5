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
            let step = settled(held.history.clone(), held.cancel_requested, verdict, change.now_ms);
            if (!step.goal.is_end() || held.grouped) && !queues.contains(queue) {
                queues.insert(queue.clone());
            }
            answers[at] = Settled::Applied;
            steps.push((held, step));
        }
        queues.extend(self.apply(&mut change, steps).await?);
        change.commit().await?;
        self.bells.ring(&queues);
        Ok(answers)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{failed, fixture, job, settlement};
    use super::*;
    use crate::queue::{Cancelled, DeadReason, Endings, History, Queue, State, Verdict};

    fn retry() -> Verdict {
        Verdict::Retry { delay_ms: 1_000, error: "no \"route\"\nto host".into() }
    }

    #[tokio::test]
    async fn a_stale_answer_changes_nothing_and_harms_no_neighbour() {
        let fixture = fixture(Endings::Drop).await;
        let worker = fixture.worker().await;
        fixture.fill(2).await;
        let held = fixture.claim(&worker, 2).await;
        fixture.settle(&held[0], Verdict::HandBack).await;
        let again = fixture.claim(&worker, 1).await;
        assert_eq!(again[0].id, held[0].id);

        let answers = fixture
            .store
            .settle(&[
                settlement(&held[0], failed("stale")),
                settlement(&held[1], Verdict::Succeeded),
                settlement(&held[1], failed("second answer")),
                Settlement {
                    queue: QueueName::new("other").expect("valid"),
                    ..settlement(&again[0], failed("elsewhere"))
                },
            ])
            .await;
        assert_eq!(answers.expect("settles"), [Settled::Stale, Settled::Applied, Settled::Stale, Settled::Stale]);
        let record = fixture.read(held[0].id).await;
        assert_eq!((record.state, record.history.failures), (State::Running, 0));
        assert_eq!(fixture.settle(&held[1], Verdict::HandBack).await, Settled::Stale);
        assert_eq!(fixture.store.job(held[1].id).await.expect("reads").map(|job| job.id), None);
    }

    #[tokio::test]
    async fn a_failed_attempt_comes_back_after_its_delay() {
        let fixture = fixture(Endings::Keep).await;
        let worker = fixture.worker().await;
        let job = job();
        let held = fixture.run(&worker, &job, retry()).await;
        let record = fixture.read(job.id).await;
        assert_eq!(record.state, State::Scheduled);
        assert!(record.run_at_ms.is_some_and(|at| at >= held.claimed_at_ms + 1_000));
        assert_eq!((record.running, record.ended_at_ms), (None, None));
        fixture.store.shift_clock(1_500).await.expect("shifts");
        let again = fixture.claim(&worker, 1).await;
        let expected = History { failures: 1, last_error: Some("no \"route\"\nto host".into()), ..History::default() };
        assert_eq!(again[0].history, expected);
        assert_eq!(again[0].payload, job.encode());
        assert_eq!(fixture.counts().await.failed_total, 1);
    }

    #[tokio::test]
    async fn each_end_leaves_what_the_store_was_told_to_keep() {
        let ends = [
            (Verdict::Succeeded, State::Succeeded, None),
            (Verdict::Cancelled { reason: "not wanted".into() }, State::Cancelled, Some("not wanted")),
            (failed("broken"), State::Dead, Some("broken")),
        ];
        for endings in [Endings::Drop, Endings::Keep] {
            let fixture = fixture(endings).await;
            let worker = fixture.worker().await;
            for (verdict, state, reason) in &ends {
                let job = job();
                let held = fixture.run(&worker, &job, verdict.clone()).await;
                let record = fixture.store.job(job.id).await.expect("reads");
                if endings == Endings::Drop && *state != State::Dead {
                    assert!(record.is_none(), "{state}");
                    continue;
                }
                let record = record.expect("kept");
                assert_eq!(record.state, *state);
                assert_eq!(record.history.last_error.as_deref(), *reason);
                assert_eq!(record.payload.is_some(), *state == State::Dead);
                assert!(record.ended_at_ms.is_some_and(|at| at >= held.claimed_at_ms));
                assert_eq!(record.dead_reason, (*state == State::Dead).then_some(DeadReason::Failed));
            }
            let counts = fixture.counts().await;
            assert_eq!((counts.running, counts.dead, counts.succeeded_total, counts.failed_total), (0, 1, 1, 1));
            let kept = if endings == Endings::Keep { 3 } else { 0 };
            assert_eq!(fixture.store.endings(9).await.expect("reads").len(), kept);
        }
    }

    #[tokio::test]
    async fn a_job_asked_to_stop_ends_instead_of_coming_back() {
        for verdict in [retry(), Verdict::Snooze { delay_ms: 1 }, Verdict::SetAside { delay_ms: 1 }, Verdict::HandBack]
        {
            let fixture = fixture(Endings::Keep).await;
            let worker = fixture.worker().await;
            let id = fixture.fill(1).await[0];
            let held = fixture.claim(&worker, 1).await;
            assert_eq!(fixture.store.cancel(id).await.expect("cancels"), Cancelled::Asked);
            assert_eq!(fixture.settle(&held[0], verdict.clone()).await, Settled::Applied);
            assert_eq!(fixture.read(id).await.state, State::Cancelled, "{verdict:?}");
            assert_eq!(fixture.counts().await.failed_total, u64::from(verdict == retry()));
        }
    }

    #[tokio::test]
    async fn a_job_set_aside_remembers_since_when() {
        let fixture = fixture(Endings::Drop).await;
        let worker = fixture.worker().await;
        let job = job();
        fixture.run(&worker, &job, Verdict::SetAside { delay_ms: 500 }).await;
        let since = fixture.read(job.id).await.history.aside_since_ms;
        assert!(since.is_some());
        fixture.store.shift_clock(1_000).await.expect("shifts");
        let again = fixture.claim(&worker, 1).await;
        assert_eq!(again[0].history.aside_since_ms, since);
        fixture.settle(&again[0], Verdict::SetAside { delay_ms: 500 }).await;
        assert_eq!(fixture.read(job.id).await.history, History { aside_since_ms: since, ..History::default() });
    }
}
