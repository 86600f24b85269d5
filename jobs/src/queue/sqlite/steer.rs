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
                let step = cancelled(held.history(), None);
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
        let queue: Option<String> = sqlx::query_scalar(sql)
            .bind(id.as_bytes().as_slice())
            .bind(place)
            .fetch_optional(&mut *change.tx)
            .await?;
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
            let step = cancelled(held.history(), Some(reason));
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
        // Who finds its key taken meanwhile lives without it.
        let sql = "UPDATE OR IGNORE jobs SET holds_key = 1 \
                   WHERE unique_key IS NOT NULL AND entry IN (SELECT value FROM json_each(?1))";
        sqlx::query(sql).bind(&entries).execute(&mut *self.tx).await?;
        Ok(())
    }
}
