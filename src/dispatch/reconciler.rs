//! The reconciler: what was pushed and neither ended nor is known to the queue is sent again. This is what survives a queue
//! that lost everything.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use deskhand_jobs::JobId;
use deskhand_jobs::queue::Queue;
use sea_query::{Alias, Expr, ExprTrait, Query};
use tokio_util::sync::CancellationToken;

use super::batches;
use super::figures;
use super::hold::hold;
use super::outage::Outage;
use super::outbox::announce;
use super::rounds::{Loop, Rounds};
use crate::base::Result;
use crate::db::{Build, Db, Text, Tx};
use crate::on;

/// How many rows are compared at once.
const BATCH: usize = 500;
/// How often there is a round.
const EVERY: Duration = Duration::from_mins(1);
/// Its place among the loops of a process: one round every [`EVERY`], which takes its time after a queue lost everything.
const LOOP: Loop = Loop { name: "reconciler", patience: Duration::from_mins(5), at_once: true };
/// How many rows one round compares that were compared before: a million jobs that wait in the queue must not cost a million
/// questions a minute.
const PER_ROUND: usize = 20_000;
/// What was pushed so recently is left alone.
const GRACE: TimeDelta = TimeDelta::seconds(60);

/// Compares the ledger with the queue.
#[derive(Clone)]
pub struct Reconciler {
    db: Db,
    queue: Arc<dyn Queue>,
    per_round: usize,
    grace: TimeDelta,
    rounds: Rounds,
}

/// How far the rounds have come.
#[derive(Debug, Clone, Default)]
pub struct Sweep {
    /// Up to which push every row has been compared once; `None` before the first round.
    compared_once: Option<Place>,
    /// Where the next round goes on with those.
    again: Place,
}

/// A place in the order of pushes.
type Place = (DateTime<Utc>, String);

impl std::fmt::Debug for Reconciler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reconciler").field("db", &self.db.url()).finish_non_exhaustive()
    }
}

impl Reconciler {
    /// Makes a reconciler between a database and a queue.
    pub fn new(db: Db, queue: Arc<dyn Queue>) -> Self {
        Self { db, queue, per_round: PER_ROUND, grace: GRACE, rounds: Rounds::default() }
    }

    /// Changes how many rows one round compares that were compared before.
    #[must_use]
    pub fn per_round(self, per_round: usize) -> Self {
        Self { per_round, ..self }
    }

    /// Leaves nothing alone, however recently it was pushed: for a database and a queue that nobody else uses meanwhile.
    #[must_use]
    pub fn at_rest(self) -> Self {
        Self { grace: TimeDelta::zero(), ..self }
    }

    /// Notes its good rounds here.
    #[must_use]
    pub fn noting(self, rounds: Rounds) -> Self {
        rounds.begin(LOOP);
        Self { rounds, ..self }
    }

    /// Compares all rows that were pushed more than a minute ago; returns how many jobs the queue had lost.
    ///
    /// # Errors
    /// [`Error`](crate::base::Error) if the database or the queue does not answer; what was found until then is sent again.
    pub async fn recover_lost(&self) -> Result<usize> {
        let all = Self { per_round: usize::MAX, ..self.clone() };
        all.recover_some(&mut Sweep::default()).await
    }

    /// Compares one round: what has been pushed for a minute now, and a part of the rest. While it finds losses it goes on, so
    /// that a queue that lost everything gets everything back in one round. It closes batches that nobody closed, too. Returns how many jobs the queue had lost.
    ///
    /// # Errors
    /// As [`Reconciler::recover_lost`]; the next round goes on from there.
    pub async fn recover_some(&self, sweep: &mut Sweep) -> Result<usize> {
        let before = self.db.clock().now() - self.grace;
        let mut lost_total = 0;
        if let Some(mut place) = sweep.compared_once.clone() {
            while let Some((last, _, lost)) = self.compare(&place, before, BATCH).await? {
                lost_total += lost;
                sweep.compared_once = Some(last.clone());
                place = last;
            }
        } else {
            sweep.compared_once = Some((before, String::new()));
        }
        let mut left = self.per_round;
        while left > 0 {
            let Some((last, count, lost)) = self.compare(&sweep.again, before, left.min(BATCH)).await? else {
                sweep.again = Place::default();
                break;
            };
            sweep.again = last;
            lost_total += lost;
            left = if lost > 0 { self.per_round } else { left.saturating_sub(count) };
        }
        let closed = batches::close_forgotten(&self.db).await?;
        if closed > 0 {
            tracing::info!(closed, "{closed} batches had ended and were not closed, their closing jobs run now");
        }
        if lost_total > 0 {
            tracing::warn!(lost = lost_total, "the queue had lost {lost_total} jobs, they are sent again");
        }
        Ok(lost_total)
    }

    /// Counts the jobs that the queue has lost among up to `most` that were pushed more than a minute ago, and changes nothing.
    ///
    /// # Errors
    /// As [`Reconciler::recover_lost`].
    pub async fn count_lost(&self, most: usize) -> Result<usize> {
        let before = self.db.clock().now() - self.grace;
        let (mut after, mut left, mut lost) = (Place::default(), most, 0);
        while left > 0 {
            let rows = pushed(&mut self.db.read().await?, before, &after, left.min(BATCH)).await?;
            let Some((id, pushed_at)) = rows.last() else { break };
            after = (*pushed_at, id.0.to_string());
            left -= rows.len();
            let ids: Vec<JobId> = rows.iter().map(|(id, _)| id.0).collect();
            lost += ids.len() - self.queue.known(&ids).await?.len();
        }
        Ok(lost)
    }

    /// Compares up to `limit` rows after a place; returns the last place, how many they were and how many were lost.
    async fn compare(
        &self,
        after: &Place,
        before: DateTime<Utc>,
        limit: usize,
    ) -> Result<Option<(Place, usize, usize)>> {
        let mut tx = self.db.read().await?;
        let rows = pushed(&mut tx, before, after, limit).await?;
        tx.rollback().await?;
        let Some((id, pushed_at)) = rows.last() else { return Ok(None) };
        let last = (*pushed_at, id.0.to_string());
        let ids: Vec<JobId> = rows.iter().map(|(id, _)| id.0).collect();
        let known: HashSet<JobId> = self.queue.known(&ids).await?.into_iter().collect();
        let lost: Vec<JobId> = ids.into_iter().filter(|id| !known.contains(id)).collect();
        let lost = self.send_again(&lost, before).await?;
        Ok(Some((last, rows.len(), lost)))
    }

    /// Compares a round every minute until it is told to stop.
    pub async fn run(&self, stop: CancellationToken) {
        let mut outage = Outage::new("the reconciler").noting(&self.rounds, LOOP);
        let mut sweep = Sweep::default();
        loop {
            let wait = match self.recover_some(&mut sweep).await {
                Ok(_) => {
                    outage.over();
                    EVERY
                }
                Err(error) => outage.failed(&error),
            };
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    async fn send_again(&self, lost: &[JobId], before: DateTime<Utc>) -> Result<usize> {
        if lost.is_empty() {
            return Ok(0);
        }
        // Still pushed, and not pushed anew: a job that ended meanwhile was forgotten by the queue after its row had its end.
        let mut update = Query::update();
        update
            .table(Alias::new("jobs"))
            .value(Alias::new("state"), "pending")
            .value(Alias::new("version"), Expr::col(Alias::new("version")).add(1))
            .and_where(Expr::col(Alias::new("id")).is_in(lost.iter().map(JobId::to_string)))
            .and_where(Expr::col(Alias::new("state")).eq("pushed"))
            .and_where(Expr::col(Alias::new("pushed_at")).lte(before));
        let mut tx = self.db.begin().await?;
        hold(&mut tx, lost).await?;
        let count = on!(tx, |c| {
            let (sql, values) = c.build(&update);
            sqlx::query_with(sql, values).execute(c).await.map(|done| done.rows_affected())
        })?;
        announce(&mut tx).await?;
        tx.commit().await?;
        figures::resent(count as usize);
        Ok(count as usize)
    }
}

async fn pushed(
    tx: &mut Tx,
    before: DateTime<Utc>,
    after: &Place,
    limit: usize,
) -> Result<Vec<(Text<JobId>, DateTime<Utc>)>> {
    let sql = "SELECT id, pushed_at FROM jobs WHERE state = 'pushed' AND pushed_at <= $1 AND (pushed_at, id) > ($2, $3) \
               ORDER BY pushed_at, id LIMIT $4";
    Ok(on!(tx, |c| sqlx::query_as(sql)
        .bind(before)
        .bind(after.0)
        .bind(&after.1)
        .bind(limit as i64)
        .fetch_all(c)
        .await)?)
}
