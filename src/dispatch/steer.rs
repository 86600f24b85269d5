//! The statements by which people change the course of a job. Each compares before it sets, so that of two only one counts.

use deskhand_jobs::JobId;
use sea_query::{Alias, Expr, ExprTrait, Query, UpdateStatement};

use super::model::LedgerState;
use super::outbox::announce;
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
    tx.commit().await?;
    Ok(ended)
}

/// Takes dead jobs back to life: with the queue, or waiting for the relay.
pub(super) async fn revive(db: &Db, ids: &[JobId], to: LedgerState) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let mut tx = db.begin().await?;
    let mut update = update(ids, &[LedgerState::Dead]);
    update
        .value(Alias::new("state"), to.as_str())
        .value(Alias::new("failures"), 0)
        .value(Alias::new("recoveries"), 0)
        .value(Alias::new("hand_backs"), 0)
        .value(Alias::new("dead_reason"), Option::<String>::None)
        .value(Alias::new("ended_at"), Option::<chrono::DateTime<chrono::Utc>>::None)
        .value(Alias::new(if to == LedgerState::Pushed { "pushed_at" } else { "run_at" }), tx.now());
    run(&mut tx, &update).await?;
    announce(&mut tx).await?;
    tx.commit().await
}

/// Returns those of the jobs that are this tenant's and dead, in the order given.
pub(super) async fn dead_among(db: &Db, tenant: &TenantId, ids: &[JobId]) -> Result<Vec<JobId>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut select = Query::select();
    select
        .column(Alias::new("id"))
        .from(Alias::new("jobs"))
        .and_where(Expr::col(Alias::new("tenant_id")).eq(tenant.as_str()))
        .and_where(Expr::col(Alias::new("id")).is_in(ids.iter().map(JobId::to_string)))
        .and_where(Expr::col(Alias::new("state")).eq(LedgerState::Dead.as_str()));
    let mut tx = db.read().await?;
    let found: Vec<Text<JobId>> = on!(tx, |c| {
        let (sql, values) = c.build(&select);
        sqlx::query_scalar_with(sql, values).fetch_all(c).await
    })?;
    Ok(ids.iter().copied().filter(|id| found.contains(&Text(*id))).collect())
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
