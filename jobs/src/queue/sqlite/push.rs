//! Accepts jobs.

use std::collections::BTreeSet;

use sqlx::{QueryBuilder, Sqlite};

use super::apply::id_list;
use super::fault::Result;
use super::open::{Change, SqliteQueue};
use super::record::job_id;
use crate::id::{JobId, QueueName};
use crate::job::Envelope;
use crate::options::UniqueUntil;
use crate::queue::Pushed;

/// Rows in one INSERT: beyond this a longer statement saves nothing.
const ROWS: usize = 100;

impl SqliteQueue {
    pub(super) async fn push_all(&self, jobs: &[Envelope]) -> Result<Vec<Pushed>> {
        if jobs.is_empty() {
            return Ok(Vec::new());
        }
        // Encoding needs no lock, so it is done before there is one.
        let payloads: Vec<Vec<u8>> = jobs.iter().map(Envelope::encode).collect();
        let queues: BTreeSet<&QueueName> = jobs.iter().map(|job| &job.options.queue).collect();
        let queues: Vec<QueueName> = queues.into_iter().cloned().collect();

        let mut change = self.begin().await?;
        change.name_queues(&queues).await?;
        let base = change.places(jobs.len() as i64).await?;
        let mut rows = jobs.iter().zip(payloads).zip(base + 1..).map(|((job, payload), place)| (job, payload, place));
        let mut accepted = BTreeSet::new();
        loop {
            let chunk: Vec<_> = rows.by_ref().take(ROWS).collect();
            if chunk.is_empty() {
                break;
            }
            accepted.extend(change.insert(chunk).await?);
        }
        let refused = jobs.iter().zip(base + 1..).filter(|(_, place)| !accepted.contains(place)).map(|(job, _)| job.id);
        let duplicates = change.stored(refused).await?;
        let mut answers = Vec::with_capacity(jobs.len());
        for (job, place) in jobs.iter().zip(base + 1..) {
            answers.push(if accepted.contains(&place) {
                Pushed::Created
            } else if duplicates.contains(&job.id) {
                // Asked before the key: a job that is pushed twice holds its own key.
                Pushed::Duplicate
            } else {
                Pushed::Conflict { holder: change.holder(job).await? }
            });
        }
        change.commit().await?;
        if !accepted.is_empty() {
            self.bells.ring(&queues);
        }
        Ok(answers)
    }
}

impl Change {
    /// Inserts what neither its id nor its unique key forbids; returns the places of what went in.
    async fn insert(&mut self, rows: Vec<(&Envelope, Vec<u8>, i64)>) -> Result<Vec<i64>> {
        let now_ms = self.now_ms;
        let mut insert = QueryBuilder::<Sqlite>::new(
            "INSERT INTO jobs (id, queue, state, priority, place, run_at_ms, unique_key, unique_until, holds_key, \
             group_key, batch, payload) ",
        );
        insert.push_values(rows, |mut values, (job, payload, place)| {
            let run_at_ms = job.run_at_ms.filter(|at| *at > now_ms);
            let unique = job.options.unique.as_ref();
            values
                .push_bind(job.id.as_bytes().to_vec())
                .push_bind(job.options.queue.as_str().to_owned())
                .push_bind(if run_at_ms.is_some() { "scheduled" } else { "ready" })
                .push_bind(job.options.priority.rank())
                .push_bind(place)
                .push_bind(run_at_ms)
                .push_bind(unique.map(|unique| unique.key.clone()))
                .push_bind(unique.map(|unique| match unique.until {
                    UniqueUntil::Started => "started",
                    UniqueUntil::Finished => "finished",
                }))
                .push_bind(unique.is_some())
                .push_bind(job.options.group.as_ref().map(|group| group.key.as_str().to_owned()))
                .push_bind(job.batch.map(|batch| batch.to_string()))
                .push_bind(payload);
        });
        insert.push(" ON CONFLICT DO NOTHING RETURNING place");
        Ok(insert.build_query_scalar().fetch_all(&mut *self.tx).await?)
    }

    /// Returns those of the ids that are here.
    async fn stored(&mut self, ids: impl Iterator<Item = JobId>) -> Result<BTreeSet<JobId>> {
        let ids: Vec<JobId> = ids.collect();
        if ids.is_empty() {
            return Ok(BTreeSet::new());
        }
        let held = self.held(&id_list(ids.iter().copied())).await?;
        Ok(held.into_iter().map(|held| ids[held.at as usize]).collect())
    }

    /// Returns who holds the unique key of a job.
    async fn holder(&mut self, job: &Envelope) -> Result<JobId> {
        let sql = "SELECT id FROM jobs WHERE queue = ?1 AND unique_key = ?2 AND holds_key = 1";
        let holder: Vec<u8> = sqlx::query_scalar(sql)
            .bind(job.options.queue.as_str())
            .bind(job.options.unique.as_ref().map(|unique| unique.key.as_str()))
            .fetch_one(&mut *self.tx)
            .await?;
        job_id(&holder)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::fixture::{failed, fixture, job, job_with, later, unique};
    use super::*;
    use crate::options::Options;
    use crate::queue::{Endings, Queue, State, Verdict};

    #[tokio::test]
    async fn the_same_id_is_one_job_in_whatever_state() {
        let fixture = fixture(Endings::Keep).await;
        let worker = fixture.worker().await;
        let twice = job();
        let answers = fixture.store.push(&[twice.clone(), twice.clone()]).await.expect("pushes");
        assert_eq!(answers, [Pushed::Created, Pushed::Duplicate]);
        let claimed = fixture.claim(&worker, 1).await;
        assert_eq!(fixture.push(&twice).await, Pushed::Duplicate);
        fixture.settle(&claimed[0], Verdict::Succeeded).await;
        assert_eq!(fixture.push(&twice).await, Pushed::Duplicate);
        let fetched = fixture.store.endings(9).await.expect("reads");
        fixture.store.forget_endings(&fetched).await.expect("forgets");
        assert_eq!(fixture.push(&twice).await, Pushed::Created);
        assert_eq!(fixture.counts().await.pushed_total, 2);
    }

    #[tokio::test]
    async fn a_large_batch_keeps_its_order() {
        let fixture = fixture(Endings::Drop).await;
        let worker = fixture.worker().await;
        let ids = fixture.fill(250).await;
        let claimed = fixture.claim(&worker, 1000).await;
        assert_eq!(super::super::fixture::ids(&claimed), ids);
        assert_eq!(fixture.store.push(&[]).await.expect("pushes"), []);
    }

    #[tokio::test]
    async fn a_unique_key_holds_until_its_end_and_only_in_its_queue() {
        let fixture = fixture(Endings::Drop).await;
        let worker = fixture.worker().await;
        let (first, second) = (unique("k", UniqueUntil::Finished), unique("k", UniqueUntil::Finished));
        let answers = fixture.store.push(&[first.clone(), second.clone(), first.clone()]).await.expect("pushes");
        assert_eq!(answers, [Pushed::Created, Pushed::Conflict { holder: first.id }, Pushed::Duplicate]);

        let mut elsewhere = unique("k", UniqueUntil::Finished);
        elsewhere.options.queue = QueueName::new("other").expect("valid");
        assert_eq!(fixture.push(&elsewhere).await, Pushed::Created);

        let claimed = fixture.claim(&worker, 1).await;
        assert_eq!(fixture.push(&second).await, Pushed::Conflict { holder: first.id });
        fixture.settle(&claimed[0], failed("no")).await;
        assert_eq!(fixture.push(&second).await, Pushed::Created);
    }

    #[tokio::test]
    async fn a_key_held_until_the_start_is_not_taken_back() {
        let fixture = fixture(Endings::Drop).await;
        let worker = fixture.worker().await;
        let (first, second) = (unique("k", UniqueUntil::Started), unique("k", UniqueUntil::Started));
        fixture.run(&worker, &first, Verdict::HandBack).await;
        assert_eq!(fixture.push(&second).await, Pushed::Created);
        let third = unique("k", UniqueUntil::Finished);
        assert_eq!(fixture.push(&third).await, Pushed::Conflict { holder: second.id });
    }

    #[tokio::test]
    async fn a_job_of_the_future_is_scheduled_and_one_of_the_past_ready() {
        let fixture = fixture(Endings::Drop).await;
        let future = later(Duration::from_mins(1));
        let past = Envelope { run_at_ms: Some(1), ..job() };
        fixture.store.push(&[future.clone(), past.clone()]).await.expect("pushes");
        let record = fixture.read(future.id).await;
        assert_eq!((record.state, record.run_at_ms), (State::Scheduled, future.run_at_ms));
        let record = fixture.read(past.id).await;
        assert_eq!((record.state, record.run_at_ms), (State::Ready, None));
        assert_eq!(record.payload.as_deref(), Some(past.encode().as_slice()));
        let counts = fixture.counts().await;
        assert_eq!((counts.ready, counts.scheduled, counts.pushed_total), (1, 1, 2));
    }

    #[tokio::test]
    async fn queues_are_counted_apart() {
        let fixture = fixture(Endings::Drop).await;
        let other = QueueName::new("a-other").expect("valid");
        let elsewhere = job_with(Options { queue: other.clone(), ..Options::default() });
        fixture.store.push(&[job(), elsewhere, job()]).await.expect("pushes");
        let queues = fixture.store.queues().await.expect("reads");
        let ready: Vec<_> = queues.iter().map(|queue| (queue.name.as_str(), queue.ready)).collect();
        assert_eq!(ready, [("a-other", 1), ("default", 2)]);
    }
}
