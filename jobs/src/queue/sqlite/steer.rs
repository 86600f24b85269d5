//! What people do to jobs and queues.

use super::apply::{Held, id_list};
use super::fault::Result;
use super::open::{Change, SqliteQueue};
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
        let answer = match held.state()? {
            State::Ready | State::Scheduled => {
                let step = cancelled(held.history.clone(), None);
                self.apply(&mut change, vec![(held, step)]).await?;
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
        Ok(answer)
    }

    pub(super) async fn hurry(&self, id: JobId) -> Result<bool> {
        let mut change = self.begin().await?;
        let place = change.places(1).await? + 1;
        let sql = "UPDATE jobs SET state = 'ready', run_at_ms = NULL, place = ?2 \
                   WHERE id = ?1 AND state = 'scheduled' RETURNING queue";
        let queue: Option<String> =
            sqlx::query_scalar(sql).bind(id.as_bytes().as_slice()).bind(place).fetch_optional(&mut *change.tx).await?;
        let Some(queue) = queue else { return Ok(false) };
        change.commit().await?;
        self.bells.ring([&queue_name(&queue)?]);
        Ok(true)
    }

    pub(super) async fn revive(&self, ids: &[JobId]) -> Result<Vec<JobId>> {
        let mut change = self.begin().await?;
        let dead = change.dead(ids).await?;
        let mut queues = Vec::new();
        for (_, held) in &dead {
            queues.push(queue_name(&held.queue)?);
        }
        change.revive(&dead).await?;
        change.commit().await?;
        self.bells.ring(&queues);
        Ok(dead.into_iter().map(|(id, _)| id).collect())
    }

    pub(super) async fn discard_all(&self, ids: &[JobId], reason: &str) -> Result<Vec<JobId>> {
        let mut change = self.begin().await?;
        let (ids, dead): (Vec<_>, Vec<_>) = change.dead(ids).await?.into_iter().unzip();
        let steps = dead.into_iter().map(|held| {
            let step = cancelled(held.history.clone(), Some(reason));
            (held, step)
        });
        self.apply(&mut change, steps.collect()).await?;
        change.commit().await?;
        Ok(ids)
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

impl Change {
    /// Loads those of the jobs that are dead, each once, in the order asked for.
    async fn dead(&mut self, ids: &[JobId]) -> Result<Vec<(JobId, Held)>> {
        let mut seen = std::collections::HashSet::new();
        let mut dead = Vec::new();
        for held in self.held(&id_list(ids.iter().copied())).await? {
            if held.state()? == State::Dead && seen.insert(held.entry) {
                dead.push((ids[held.at as usize], held));
            }
        }
        Ok(dead)
    }

    async fn revive(&mut self, dead: &[(JobId, Held)]) -> Result<()> {
        if dead.is_empty() {
            return Ok(());
        }
        let entries: Vec<i64> = dead.iter().map(|(_, held)| held.entry).collect();
        let entries = serde_json::to_string(&entries).expect("numbers have a JSON form");
        let base = self.places(dead.len() as i64).await?;
        let sql = "UPDATE jobs SET state = 'ready', place = ?2 + asked.key + 1, failures = 0, recoveries = 0, \
                   hand_backs = 0, aside_since_ms = NULL, last_error = NULL, dead_reason = NULL, ended_at_ms = NULL, \
                   ending = 0 FROM json_each(?1) AS asked WHERE jobs.entry = asked.value";
        sqlx::query(sql).bind(&entries).bind(base).execute(&mut *self.tx).await?;
        let sql = "UPDATE jobs SET holds_key = 0 WHERE holds_key = 1 AND key_until_ms <= ?2 AND (queue, unique_key) IN \
                   (SELECT queue, unique_key FROM jobs WHERE entry IN (SELECT value FROM json_each(?1)))";
        sqlx::query(sql).bind(&entries).bind(self.now_ms).execute(&mut *self.tx).await?;
        // Who finds its key taken meanwhile lives without it; one that held only until the start is over for good.
        let sql = "UPDATE OR IGNORE jobs SET holds_key = 1 \
                   WHERE unique_until = 'finished' AND coalesce(key_until_ms > ?2, true) \
                   AND entry IN (SELECT value FROM json_each(?1))";
        sqlx::query(sql).bind(&entries).bind(self.now_ms).execute(&mut *self.tx).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::fixture::{failed, fixture, ids, job, later, unique};
    use crate::id::JobId;
    use crate::options::UniqueUntil;
    use crate::queue::{Cancelled, Endings, History, Pushed, Queue, State, Verdict};

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

    #[tokio::test]
    async fn the_dead_come_back_with_a_clean_slate() {
        let fixture = fixture(Endings::Keep).await;
        let worker = fixture.worker().await;
        let (dead, other) = (job(), job());
        fixture.run(&worker, &dead, failed("no")).await;
        fixture.run(&worker, &other, failed("no")).await;
        let waiting = fixture.fill(1).await[0];
        let asked = [dead.id, JobId::new(), waiting, dead.id, other.id];
        assert_eq!(fixture.store.redrive(&asked).await.expect("redrives"), [dead.id, other.id]);
        assert!(fixture.store.endings(9).await.expect("reads").is_empty());
        assert_eq!(fixture.read(dead.id).await.dead_reason, None);
        let claimed = fixture.claim(&worker, 9).await;
        assert_eq!(ids(&claimed), [waiting, dead.id, other.id]);
        assert_eq!((&claimed[1].history, &claimed[1].payload[..]), (&History::default(), &dead.encode()[..]));
        assert_eq!(fixture.counts().await.dead, 0);
        assert_eq!(fixture.settle(&claimed[1], Verdict::Succeeded).await, crate::queue::Settled::Applied);
    }

    #[tokio::test]
    async fn a_key_is_taken_again_only_if_it_is_free() {
        let fixture = fixture(Endings::Drop).await;
        let worker = fixture.worker().await;
        let dead = [unique("k", UniqueUntil::Finished), unique("k", UniqueUntil::Finished)];
        for job in &dead {
            fixture.run(&worker, job, failed("no")).await;
        }
        let both = dead.each_ref().map(|job| job.id);
        assert_eq!(fixture.store.redrive(&both).await.expect("redrives"), both);
        let third = unique("k", UniqueUntil::Finished);
        assert_eq!(fixture.push(&third).await, Pushed::Conflict { holder: both[0] });
        fixture.store.cancel(both[0]).await.expect("cancels");
        assert_eq!(fixture.push(&third).await, Pushed::Created);
        assert_eq!(fixture.read(both[1]).await.state, State::Ready);
    }

    #[tokio::test]
    async fn only_the_dead_are_discarded() {
        for endings in [Endings::Drop, Endings::Keep] {
            let fixture = fixture(endings).await;
            let worker = fixture.worker().await;
            let dead = job();
            fixture.run(&worker, &dead, failed("no")).await;
            let fetched = fixture.store.endings(9).await.expect("reads");
            fixture.store.forget_endings(&fetched).await.expect("forgets");
            let waiting = fixture.fill(1).await[0];
            let gone = fixture.store.discard(&[waiting, dead.id], "duplicate of 7").await.expect("discards");
            assert_eq!(gone, [dead.id]);
            let counts = fixture.counts().await;
            assert_eq!((counts.dead, counts.ready), (0, 1));
            let records = fixture.store.endings(9).await.expect("reads");
            let reasons: Vec<_> = records.iter().map(|end| (end.state, end.history.last_error.as_deref())).collect();
            match endings {
                Endings::Drop | Endings::Retain(_) => assert!(reasons.is_empty()),
                Endings::Keep => assert_eq!(reasons, [(State::Cancelled, Some("duplicate of 7"))]),
            }
        }
    }
}
