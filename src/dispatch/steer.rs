//! The statements by which people change the course of a job. Each compares before it sets, so that of two only one counts.

use std::collections::HashMap;
use std::time::Duration;

use deskhand_jobs::JobId;
use sea_query::{Alias, Expr, ExprTrait, Query, UpdateStatement};
use serde_json::value::RawValue;

use super::batches;
use super::hold::hold;
use super::model::LedgerState;
use super::outbox::announce;
use crate::base::clock::later;
use crate::base::{Result, TenantId};
use crate::db::{Build, Db, Text, Tx};
use crate::on;

/// Lets a pending job run now.
pub(super) async fn hurry(db: &Db, id: JobId) -> Result<()> {
    let mut tx = db.begin().await?;
    let mut update = update(&[id], &[LedgerState::Pending]);
    update.value(Alias::new("run_at"), tx.now());
    run(&mut tx, &update).await?;
    announce(&mut tx).await?;
    tx.commit().await
}

/// Ends a job here if it is in one of these states; says whether it was.
pub(super) async fn end(db: &Db, id: JobId, from: &[LedgerState], reason: &str) -> Result<bool> {
    let mut tx = db.begin().await?;
    let mut update = update(&[id], from);
    update
        .value(Alias::new("state"), LedgerState::Cancelled.as_str())
        .value(Alias::new("last_error"), reason)
        .value(Alias::new("ended_at"), tx.now());
    let ended = run(&mut tx, &update).await? == 1;
    if ended {
        batches::leave(&mut tx, &[id]).await?;
    }
    tx.commit().await?;
    Ok(ended)
}

/// Takes dead jobs back to life: with the queue, or waiting for the relay. One whose row has changed since it was read has died
/// again meanwhile, and stays dead. The relay takes them after the delay.
pub(super) async fn revive(db: &Db, dead: &[Dead], to: LedgerState, delay: Duration) -> Result<()> {
    if dead.is_empty() {
        return Ok(());
    }
    let ids: Vec<JobId> = dead.iter().map(|dead| dead.id).collect();
    let seen = dead.iter().map(|dead| (dead.id.to_string(), dead.version));
    let mut tx = db.begin().await?;
    hold(&mut tx, &ids).await?;
    let mut update = update(&ids, &[LedgerState::Dead]);
    update
        .and_where(Expr::tuple([Expr::col(Alias::new("id")), Expr::col(Alias::new("version"))]).in_tuples(seen))
        .value(Alias::new("state"), to.as_str())
        .value(Alias::new("failures"), 0)
        .value(Alias::new("recoveries"), 0)
        .value(Alias::new("hand_backs"), 0)
        .value(Alias::new("generation"), Expr::col(Alias::new("generation")).add(1))
        .value(Alias::new("dead_reason"), Option::<String>::None)
        .value(Alias::new("progress"), Option::<String>::None)
        .value(Alias::new("ended_at"), Option::<chrono::DateTime<chrono::Utc>>::None)
        .value(Alias::new(if to == LedgerState::Pushed { "pushed_at" } else { "run_at" }), later(tx.now(), delay));
    run(&mut tx, &update).await?;
    announce(&mut tx).await?;
    tx.commit().await
}

/// A dead job and the version of its row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dead {
    pub(super) id: JobId,
    version: i64,
}

/// Returns those of the jobs that are this tenant's and dead, in the order given.
pub(super) async fn dead_among(db: &Db, tenant: &TenantId, ids: &[JobId]) -> Result<Vec<Dead>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut select = Query::select();
    select
        .columns([Alias::new("id"), Alias::new("version")])
        .from(Alias::new("jobs"))
        .and_where(Expr::col(Alias::new("tenant_id")).eq(tenant.as_str()))
        .and_where(Expr::col(Alias::new("id")).is_in(ids.iter().map(JobId::to_string)))
        .and_where(Expr::col(Alias::new("state")).eq(LedgerState::Dead.as_str()));
    let mut tx = db.read().await?;
    let found: Vec<(Text<JobId>, i64)> = on!(tx, |c| {
        let (sql, values) = c.build(&select);
        sqlx::query_as_with(sql, values).fetch_all(c).await
    })?;
    let versions: HashMap<JobId, i64> = found.into_iter().map(|(id, version)| (id.0, version)).collect();
    Ok(ids.iter().filter_map(|id| versions.get(id).map(|&version| Dead { id: *id, version })).collect())
}

/// Gives a dead job other arguments if its row is still the one that was read; says whether it was.
pub(super) async fn rewrite(tx: &mut Tx, id: JobId, version: i64, args: &RawValue) -> Result<bool> {
    let mut update = update(&[id], &[LedgerState::Dead]);
    update.and_where(Expr::col(Alias::new("version")).eq(version)).value(Alias::new("args"), args.get());
    Ok(run(tx, &update).await? == 1)
}

fn update(ids: &[JobId], from: &[LedgerState]) -> UpdateStatement {
    let mut update = Query::update();
    update
        .table(Alias::new("jobs"))
        .value(Alias::new("version"), Expr::col(Alias::new("version")).add(1))
        .and_where(Expr::col(Alias::new("id")).is_in(ids.iter().map(JobId::to_string)))
        .and_where(Expr::col(Alias::new("state")).is_in(from.iter().map(|state| state.as_str())));
    update
}

async fn run(tx: &mut Tx, update: &UpdateStatement) -> Result<u64> {
    Ok(on!(tx, |c| {
        let (sql, values) = c.build(update);
        sqlx::query_with(sql, values).execute(c).await.map(|done| done.rows_affected())
    })?)
}

#[cfg(test)]
mod tests {
    use deskhand_jobs::{Envelope, Kind, Options};

    use super::*;
    use crate::dispatch::Enqueue;

    async fn run_sql(db: &Db, sql: &'static str) {
        let mut tx = db.begin().await.expect("begins");
        on!(tx, |c| sqlx::query(sql).execute(c).await.map(|_| ())).expect("updates");
        tx.commit().await.expect("commits");
    }

    #[tokio::test]
    async fn a_job_that_died_again_while_it_was_redriven_stays_dead() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let db = Db::open(&format!("sqlite://{}", directory.path().join("d.db").display())).await.expect("opens");
        db.migrate().await.expect("migrates");
        let kind = Kind::new("mail.send").expect("valid");
        let job = Envelope::raw(kind, RawValue::NULL.to_owned(), Options::default()).expect("small");
        let mut tx = db.begin().await.expect("begins");
        tx.enqueue(&job).await.expect("writes");
        tx.commit().await.expect("commits");
        run_sql(&db, "UPDATE jobs SET state = 'dead', version = version + 1").await;
        let dead = dead_among(&db, &TenantId::default(), &[job.id]).await.expect("reads");
        assert_eq!(dead.len(), 1);
        // The queue redrives it, it dies at once, and the keeper writes that before the redrive is noted.
        run_sql(&db, "UPDATE jobs SET state = 'dead', version = version + 1").await;
        revive(&db, &dead, LedgerState::Pushed, Duration::ZERO).await.expect("answers");
        let mut tx = db.read().await.expect("begins");
        let state = crate::dispatch::ledger::state(&mut tx, &TenantId::default(), job.id).await.expect("reads");
        assert_eq!(state, Some(LedgerState::Dead), "nothing would ever end it: the queue has told its end already");
    }
}
