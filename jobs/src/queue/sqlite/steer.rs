//! What people do to jobs and queues.

use super::apply::id_list;
use super::fault::Result;
use super::open::SqliteQueue;
use super::record::queue_name;
use super::step::cancelled;
use crate::id::{JobId, QueueName};
use crate::queue::{Cancelled, State};

impl SqliteQueue {
    pub(super) async fn cancel_one(&self, id: JobId) -> Result<Cancelled> {
        let mut change = self.begin().await?;
        let Some(held) = change.held(&id_list([id])).await?.pop() else {
            return Ok(Cancelled::Unknown);
        };
        let mut queues = if held.grouped { vec![queue_name(&held.queue)?] } else { Vec::new() };
        let answer = match held.state()? {
            State::Ready | State::Scheduled => {
                let step = cancelled(held.history.clone(), None);
                queues.extend(self.apply(&mut change, vec![(held, step)]).await?);
                Cancelled::Ended
            }
            State::Running => {
                sqlx::query("UPDATE jobs SET cancel_requested = 1 WHERE entry = ?1")
                    .bind(held.entry)
                    .execute(&mut *change.tx)
                    .await?;
                Cancelled::Asked
            }
            State::Succeeded | State::Dead | State::Cancelled => Cancelled::AlreadyEnded,
        };
        change.commit().await?;
        self.bells.ring(&queues);
        Ok(answer)
    }

    pub(super) async fn hurry(&self, id: JobId) -> Result<bool> {
        let mut change = self.begin().await?;
        let place = change.places(1).await? + 1;
        let sql = "UPDATE jobs SET state = 'ready', run_at_ms = NULL, ready_since_ms = ?3, place = ?2 \
                   WHERE id = ?1 AND state = 'scheduled' RETURNING queue";
        let queue: Option<String> = sqlx::query_scalar(sql)
            .bind(id.as_bytes().as_slice())
            .bind(place)
            .bind(change.now_ms)
            .fetch_optional(&mut *change.tx)
            .await?;
        let Some(queue) = queue else { return Ok(false) };
        change.commit().await?;
        self.bells.ring([&queue_name(&queue)?]);
        Ok(true)
    }

    pub(super) async fn set_paused(&self, queue: &QueueName, paused: bool) -> Result<()> {
        let mut change = self.begin().await?;
        change.name_queues(std::slice::from_ref(queue)).await?;
        sqlx::query("UPDATE queues SET paused = ?2 WHERE name = ?1")
            .bind(queue.as_str())
            .bind(paused)
            .execute(&mut *change.tx)
            .await?;
        change.commit().await?;
        self.bells.ring([queue]);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::fixture::{failed, fixture, job, later, unique};
    use crate::id::JobId;
    use crate::options::UniqueUntil;
    use crate::queue::{Cancelled, Endings, Pushed, Queue, State};

    #[tokio::test]
    async fn a_waiting_job_is_cancelled_at_once() {
        for endings in [Endings::Drop, Endings::Keep] {
            let fixture = fixture(endings).await;
            let jobs = [job(), later(Duration::from_mins(1))];
            fixture.store.push(&jobs).await.expect("pushes");
            for job in &jobs {
                assert_eq!(fixture.store.cancel(job.id).await.expect("cancels"), Cancelled::Ended);
                let again = if endings == Endings::Keep { Cancelled::AlreadyEnded } else { Cancelled::Unknown };
                assert_eq!(fixture.store.cancel(job.id).await.expect("cancels"), again);
            }
            let counts = fixture.counts().await;
            assert_eq!((counts.ready, counts.scheduled), (0, 0));
            let endings = fixture.store.endings(9).await.expect("reads");
            assert!(endings.iter().all(|ending| ending.running.is_none() && ending.state == State::Cancelled));
        }
    }

    #[tokio::test]
    async fn a_cancelled_job_frees_its_key() {
        let fixture = fixture(Endings::Keep).await;
        let first = unique("k", UniqueUntil::Finished);
        fixture.push(&first).await;
        fixture.store.cancel(first.id).await.expect("cancels");
        assert_eq!(fixture.push(&unique("k", UniqueUntil::Finished)).await, Pushed::Created);
    }

    #[tokio::test]
    async fn the_dead_are_not_cancelled_and_strangers_are_unknown() {
        let fixture = fixture(Endings::Drop).await;
        let worker = fixture.worker().await;
        let dead = job();
        fixture.run(&worker, &dead, failed("no")).await;
        assert_eq!(fixture.store.cancel(dead.id).await.expect("cancels"), Cancelled::AlreadyEnded);
        assert_eq!(fixture.store.cancel(JobId::new()).await.expect("cancels"), Cancelled::Unknown);
    }

    #[tokio::test]
    async fn only_a_scheduled_job_can_be_made_to_hurry() {
        let fixture = fixture(Endings::Drop).await;
        let worker = fixture.worker().await;
        let waiting = later(Duration::from_mins(10));
        fixture.store.push(&[waiting.clone(), job()]).await.expect("pushes");
        assert!(fixture.store.retry_now(waiting.id).await.expect("retries"));
        assert!(!fixture.store.retry_now(waiting.id).await.expect("retries"));
        assert!(!fixture.store.retry_now(JobId::new()).await.expect("retries"));
        let claimed = fixture.claim(&worker, 9).await;
        assert_eq!((claimed.len(), claimed[1].id), (2, waiting.id));
    }
}
