//! Accepts jobs.

use std::collections::{BTreeMap, BTreeSet};
use std::iter::Peekable;

use sqlx::types::Json;
use sqlx::{QueryBuilder, Sqlite};

use super::apply::{id_list, list};
use super::fault::Result;
use super::open::{Change, SqliteQueue};
use super::record::job_id;
use super::step::cancelled;
use crate::id::{JobId, QueueName};
use crate::job::Envelope;
use crate::options::{OnConflict, UniqueUntil};
use crate::queue::Pushed;

/// Rows in one INSERT: beyond this a longer statement saves nothing.
const ROWS: usize = 100;

/// A job, its payload, and its place in the order of arrival.
type NewRow<'a> = (&'a Envelope, Vec<u8>, i64);

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
        let rows = jobs.iter().zip(payloads).zip(base + 1..).map(|((job, payload), place)| (job, payload, place));
        let refused = change.refusals(jobs).await?;
        let rows = rows.enumerate().filter(|(at, _)| !refused.contains_key(at)).map(|(_, row)| row);
        let mut rows = rows.collect::<Vec<NewRow<'_>>>().into_iter().peekable();
        let (mut accepted, mut replaced) = (BTreeSet::new(), BTreeMap::new());
        change.open_keys(jobs).await?;
        loop {
            let chunk = next_chunk(&mut rows);
            let Some((first, _, place)) = chunk.first() else { break };
            if let Some(old) = self.make_room(&mut change, first).await? {
                replaced.insert(*place, old);
            }
            let grouped: Vec<(i64, &Envelope)> =
                chunk.iter().map(|(job, _, place)| (*place, *job)).filter(in_group).collect();
            change.expect_groups(&grouped).await?;
            let inserted = change.insert(chunk).await?;
            change.enroll(grouped.iter().filter(|(place, _)| inserted.contains(place)).map(|(_, job)| *job)).await?;
            accepted.extend(inserted);
        }
        change.join_batches(jobs.iter().zip(base + 1..).filter(|(_, place)| accepted.contains(place))).await?;
        let others = jobs.iter().zip(base + 1..).filter(|(_, place)| !accepted.contains(place)).map(|(job, _)| job.id);
        let duplicates = change.stored(others).await?;
        let mut answers = Vec::with_capacity(jobs.len());
        for (at, (job, place)) in jobs.iter().zip(base + 1..).enumerate() {
            answers.push(if accepted.contains(&place) {
                replaced.remove(&place).map_or(Pushed::Created, |old| Pushed::Replaced { old })
            } else if duplicates.contains(&job.id) {
                // Asked before the key: a job that is pushed twice holds its own key.
                Pushed::Duplicate
            } else if let Some(refusal) = refused.get(&at) {
                Pushed::Refused(*refusal)
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

/// Takes the rows of one INSERT. A job that may replace another is the first of its own: the other may be in the one before.
fn next_chunk<'a>(rows: &mut Peekable<std::vec::IntoIter<NewRow<'a>>>) -> Vec<NewRow<'a>> {
    let mut chunk: Vec<_> = rows.next().into_iter().collect();
    while chunk.len() < ROWS
        && let Some(row) = rows.next_if(|(job, ..)| !replaces(job))
    {
        chunk.push(row);
    }
    chunk
}

fn in_group((_, job): &(i64, &Envelope)) -> bool {
    job.options.group.is_some()
}

fn replaces(job: &Envelope) -> bool {
    job.options.unique.as_ref().is_some_and(|unique| unique.on_conflict == OnConflict::Replace)
}

impl SqliteQueue {
    /// Ends the waiting job whose unique key a new one takes, if there is such a job and the new one may; returns the old one.
    async fn make_room(&self, change: &mut Change, new: &Envelope) -> Result<Option<JobId>> {
        let Some(unique) = new.options.unique.as_ref().filter(|_| replaces(new)) else { return Ok(None) };
        if !change.held(&id_list([new.id])).await?.is_empty() {
            return Ok(None);
        }
        let sql = "SELECT id FROM jobs WHERE queue = ?1 AND unique_key = ?2 AND holds_key = 1 AND state <> 'running'";
        let old: Option<Vec<u8>> = sqlx::query_scalar(sql)
            .bind(new.options.queue.as_str())
            .bind(&unique.key)
            .fetch_optional(&mut *change.tx)
            .await?;
        let Some(old) = old else { return Ok(None) };
        let old = job_id(&old)?;
        let reason = format!("replaced by job {}", new.id);
        let waiting = change.held(&id_list([old])).await?.into_iter().map(|held| {
            let step = cancelled(held.history.clone(), Some(&reason));
            (held, step)
        });
        self.apply(change, waiting.collect()).await?;
        Ok(Some(old))
    }
}

impl Change {
    /// Takes the unique keys that these jobs want from holders whose time is over.
    async fn open_keys(&mut self, jobs: &[Envelope]) -> Result<()> {
        let wanted = |job: &Envelope| Some((job.options.queue.clone(), job.options.unique.as_ref()?.key.clone()));
        let wanted: BTreeSet<(QueueName, String)> = jobs.iter().filter_map(wanted).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let wanted = serde_json::to_string(&wanted).expect("names and keys have a JSON form");
        let sql = "UPDATE jobs SET holds_key = 0 WHERE holds_key = 1 AND key_until_ms <= ?2 \
                   AND (queue, unique_key) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?1))";
        sqlx::query(sql).bind(wanted).bind(self.now_ms).execute(&mut *self.tx).await?;
        Ok(())
    }

    /// Inserts what neither its id nor its unique key forbids; returns the places of what went in.
    pub(super) async fn insert(&mut self, rows: Vec<NewRow<'_>>) -> Result<Vec<i64>> {
        let now_ms = self.now_ms;
        let asked: Vec<(JobId, i64)> = rows.iter().map(|(job, _, place)| (job.id, *place)).collect();
        let places: Vec<i64> = asked.iter().map(|(_, place)| *place).collect();
        let mut insert = QueryBuilder::<Sqlite>::new(
            "INSERT INTO jobs (id, queue, state, priority, place, run_at_ms, unique_key, unique_until, holds_key, \
             key_until_ms, group_key, batch, payload) ",
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
                .push_bind(unique.and_then(|unique| unique.for_ms).map(|for_ms| now_ms.saturating_add_unsigned(for_ms)))
                .push_bind(job.options.group.as_ref().map(|group| group.key.as_str().to_owned()))
                .push_bind(job.batch.map(|batch| batch.to_string()))
                .push_bind(payload);
        });
        insert.push(" ON CONFLICT DO NOTHING");
        let inserted = insert.build().execute(&mut *self.tx).await?.rows_affected();
        if inserted == places.len() as u64 {
            return Ok(places);
        }
        // Rare enough to ask: rows that RETURNING gives pass between threads one by one. Places are given away once.
        let sql = "SELECT json_group_array(place) FROM json_each(?1) AS asked CROSS JOIN jobs \
                   ON jobs.id = unhex(asked.value ->> 0, '-') AND place = asked.value ->> 1";
        let Json(inserted) = sqlx::query_scalar(sql).bind(list(asked)).fetch_one(&mut *self.tx).await?;
        Ok(inserted)
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
