//! Loads jobs that are about to change and writes what became of them, many at once.

use std::collections::BTreeMap;

use serde_json::json;
use sqlx::types::Json;

use super::batches::Ended;
use super::columns::held;
use super::fault::{Fault, Result};
use super::open::{Change, SqliteQueue};
use super::record::queue_name;
use super::step::{Goal, Step};
use crate::fingerprint::Fingerprint;
use crate::id::{JobId, Kind, QueueName};
use crate::queue::{Endings, History, REMOVED_PER_END, State, kind_in};

/// A job as a decision needs it; its fields stand in the order of `held!`.
#[derive(Debug, serde::Deserialize)]
pub(super) struct Held {
    /// The position in the list of ids that was asked for.
    pub(super) at: i64,
    pub(super) entry: i64,
    pub(super) queue: String,
    pub(super) state: String,
    pub(super) lease: Option<String>,
    pub(super) cancel_requested: bool,
    /// The batch that waits for its end.
    pub(super) batch: Option<String>,
    /// Whether it has a group, which its end may open.
    pub(super) grouped: bool,
    pub(super) history: History,
}

impl Held {
    pub(super) fn state(&self) -> Result<State> {
        State::from_name(&self.state).ok_or_else(|| Fault::Corrupt(format!("a job in state {:?}", self.state)))
    }
}

/// Writes ids as the one parameter that `unhex(value, '-')` over `json_each` reads.
pub(super) fn id_list(ids: impl IntoIterator<Item = JobId>) -> String {
    list(ids)
}

/// Writes names of queues as one parameter for `json_each`.
pub(super) fn name_list(names: &[QueueName]) -> String {
    list(names)
}

pub(super) fn list<T: serde::Serialize>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<T> = items.into_iter().collect();
    serde_json::to_string(&items).expect("ids, numbers and names have a JSON form")
}

impl Change {
    /// Loads the jobs of a list of ids, in its order.
    pub(super) async fn held(&mut self, ids: &str) -> Result<Vec<Held>> {
        // CROSS JOIN keeps the list outside: one look-up by id for each.
        let sql = held!("asked.key", "json_each(?1) AS asked CROSS JOIN jobs ON jobs.id = unhex(asked.value, '-')");
        let Json(mut held): Json<Vec<Held>> = sqlx::query_scalar(sql).bind(ids).fetch_one(&mut *self.tx).await?;
        held.sort_unstable_by_key(|held| held.at);
        Ok(held)
    }

    /// Makes the queues known.
    pub(super) async fn name_queues(&mut self, names: &[QueueName]) -> Result<()> {
        sqlx::query("INSERT INTO queues (name) SELECT value FROM json_each(?1) WHERE true ON CONFLICT DO NOTHING")
            .bind(name_list(names))
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }
}

impl SqliteQueue {
    /// Writes what became of jobs. Returns queues in which more than these jobs can start now.
    pub(super) async fn apply(&self, change: &mut Change, steps: Vec<(Held, Step)>) -> Result<Vec<QueueName>> {
        let mut ended = Ended::default();
        let mut totals = BTreeMap::<String, Totals>::new();
        let kinds = change.kinds(&steps).await?;
        let (mut gone, mut succeeded, mut moved) = (Vec::new(), Vec::new(), Vec::new());
        let over: Vec<(i64, Option<String>)> = steps
            .iter()
            .filter(|(_, step)| change.told && step.goal.is_end())
            .map(|(held, _)| (held.entry, held.lease.clone()))
            .collect();
        for (held, step) in steps {
            if let Some(batch) = &held.batch {
                ended.count(batch, step.goal);
            }
            match step.goal {
                Goal::Succeeded | Goal::Cancelled if self.endings == Endings::Drop => gone.push(held.entry),
                Goal::Succeeded if step.result.is_none() => succeeded.push(held.entry),
                _ => moved.push(row(&held, &step, change.now_ms, kinds.get(&held.entry))),
            }
            let total = totals.entry(held.queue).or_default();
            total.succeeded += i64::from(step.goal == Goal::Succeeded);
            total.finished += i64::from(matches!(step.goal, Goal::Succeeded | Goal::Cancelled));
            total.failed += i64::from(step.history.failures - held.history.failures);
            total.recovered += i64::from(step.history.recoveries - held.history.recoveries);
        }
        change.forget_older_progress(&over).await?;
        change.delete(gone).await?;
        change.succeed(succeeded, self.endings).await?;
        change.move_on(moved, self.endings).await?;
        // Before old ones are removed: that the closing job of a batch has ended long ago must still be known.
        let closed = change.leave_batches(ended).await?;
        if let Some(retention) = self.endings.retention() {
            for (queue, total) in &totals {
                change.retained(queue, total.finished).await?;
                change.tidy(queue, retention, total.finished * REMOVED_PER_END as i64).await?;
            }
        }
        let mut queues = change.add(totals).await?;
        queues.extend(closed);
        Ok(queues)
    }
}

#[derive(Default)]
struct Totals {
    /// Succeeded or cancelled.
    finished: i64,
    succeeded: i64,
    failed: i64,
    recovered: i64,
}

/// One job as `move_on` reads it.
fn row(held: &Held, step: &Step, now_ms: i64, kind: Option<&Kind>) -> serde_json::Value {
    let history = &step.history;
    let run_at_ms = if let Goal::Scheduled { run_at_ms } = step.goal { Some(run_at_ms) } else { None };
    let died_of = history.last_error.as_deref().filter(|_| matches!(step.goal, Goal::Dead(_)));
    let dead_reason = if let Goal::Dead(reason) = step.goal { Some(reason.as_str()) } else { None };
    json!([
        held.entry,
        step.goal.state().as_str(),
        run_at_ms,
        history.failures,
        history.recoveries,
        history.hand_backs,
        history.aside_since_ms,
        history.last_error,
        dead_reason,
        step.goal.is_end().then_some(now_ms),
        // Whoever had it last has not ended it if it ends while it waits or lies among the dead.
        i64::from(step.goal.is_end() && held.lease.is_none()),
        step.result.as_ref().map(serde_json::Value::to_string),
        kind,
        died_of.map(Fingerprint::of),
    ])
}

impl Change {
    async fn delete(&mut self, entries: Vec<i64>) -> Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        sqlx::query("DELETE FROM jobs WHERE entry IN (SELECT value FROM json_each(?1))")
            .bind(list(entries))
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }

    /// What most jobs come to, and the only end that changes nothing but the state: worth a statement of its own.
    async fn succeed(&mut self, entries: Vec<i64>, endings: Endings) -> Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let sql = "UPDATE jobs SET state = 'succeeded', lease = NULL, cancel_requested = 0, ended_at_ms = ?2, ending = ?3, \
                   holds_key = 0, batch = NULL, payload = CASE WHEN NOT ?3 THEN payload END WHERE entry IN (SELECT value FROM json_each(?1))";
        sqlx::query(sql).bind(list(entries)).bind(self.now_ms).bind(endings.fetched()).execute(&mut *self.tx).await?;
        Ok(())
    }

    /// Reads what those of the jobs do that are to die.
    async fn kinds(&mut self, steps: &[(Held, Step)]) -> Result<BTreeMap<i64, Kind>> {
        let dying = steps.iter().filter(|(_, step)| matches!(step.goal, Goal::Dead(_)));
        let dying: Vec<i64> = dying.map(|(held, _)| held.entry).collect();
        if dying.is_empty() {
            return Ok(BTreeMap::new());
        }
        let sql = "SELECT entry, substr(payload, 1, 80) FROM jobs \
                   WHERE payload IS NOT NULL AND entry IN (SELECT value FROM json_each(?1))";
        let heads: Vec<(i64, Vec<u8>)> = sqlx::query_as(sql).bind(list(dying)).fetch_all(&mut *self.tx).await?;
        Ok(heads.into_iter().filter_map(|(entry, head)| Some((entry, kind_in(&head)?))).collect())
    }

    async fn move_on(&mut self, rows: Vec<serde_json::Value>, endings: Endings) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let sql = "UPDATE jobs SET state = new.state, run_at_ms = new.run_at_ms, ready_since_ms = iif(new.state = 'ready', ?3, NULL), lease = NULL, cancel_requested = 0, \
                   failures = new.failures, recoveries = new.recoveries, hand_backs = new.hand_backs, \
                   aside_since_ms = new.aside_since_ms, last_error = new.last_error, dead_reason = new.dead_reason, \
                   ended_at_ms = new.ended_at_ms, ending = new.ended_at_ms IS NOT NULL AND ?2, \
                   holds_key = holds_key AND new.ended_at_ms IS NULL, \
                   payload = CASE WHEN new.state NOT IN ('succeeded', 'cancelled') OR NOT ?2 THEN payload END, \
                   result = new.result, kind = new.kind, fingerprint = new.fingerprint, \
                   batch = CASE WHEN new.ended_at_ms IS NULL THEN batch END, \
                   worker = CASE WHEN NOT new.ended_by_a_person THEN worker END \
                   FROM (SELECT value ->> 0 AS entry, value ->> 1 AS state, value ->> 2 AS run_at_ms, \
                   value ->> 3 AS failures, value ->> 4 AS recoveries, value ->> 5 AS hand_backs, \
                   value ->> 6 AS aside_since_ms, value ->> 7 AS last_error, value ->> 8 AS dead_reason, \
                   value ->> 9 AS ended_at_ms, value ->> 10 AS ended_by_a_person, value ->> 11 AS result, \
                   value ->> 12 AS kind, value ->> 13 AS fingerprint FROM json_each(?1)) AS new \
                   WHERE jobs.entry = new.entry";
        sqlx::query(sql).bind(list(rows)).bind(endings.fetched()).bind(self.now_ms).execute(&mut *self.tx).await?;
        Ok(())
    }

    async fn add(&mut self, totals: BTreeMap<String, Totals>) -> Result<Vec<QueueName>> {
        let mut limited = Vec::new();
        for (queue, total) in totals {
            let sql = "UPDATE queues SET succeeded_total = succeeded_total + ?2, failed_total = failed_total + ?3, \
                       recovered_total = recovered_total + ?4 WHERE name = ?1 RETURNING concurrency IS NOT NULL";
            let is_limited: Option<bool> = sqlx::query_scalar(sql)
                .bind(&queue)
                .bind(total.succeeded)
                .bind(total.failed)
                .bind(total.recovered)
                .fetch_optional(&mut *self.tx)
                .await?;
            if is_limited == Some(true) {
                limited.push(queue_name(&queue)?);
            }
        }
        Ok(limited)
    }
}
