//! The SQL of schedules.

use chrono::{DateTime, Utc};
use deskhand_jobs::JobId;
use sea_query::{Alias, Asterisk, Expr, ExprTrait, Order, Query, SelectStatement};

use super::model::{Schedule, Slot, SlotOutcome};
use crate::base::{PageRequest, Paged, Result, TenantId};
use crate::db::{Build, Text, Tx, read_page};
use crate::dispatch::LedgerState;
use crate::dispatch::freezes::{Freeze, Policy};
use crate::on;

/// Reads schedules of these kinds that are due or whose pause is over, the longest due first.
pub(super) async fn due(tx: &mut Tx, kinds: &[String], now: DateTime<Utc>, limit: u64) -> Result<Vec<Schedule>> {
    let col = Alias::new;
    let mut select = Query::select();
    select
        .column(Asterisk)
        .from(col("schedules"))
        .and_where(Expr::col(col("enabled")))
        .and_where(wakes_at().lte(now).or(waits_for_nothing()))
        .and_where(Expr::col(col("kind")).is_in(kinds))
        .order_by(col("next_at"), Order::Asc)
        .limit(limit);
    Ok(on!(tx, |c| {
        let (sql, values) = c.build(&select);
        sqlx::query_as_with(sql, values).fetch_all(c).await
    })?)
}

/// Tells when the next schedule is due.
pub(super) async fn next_due(tx: &mut Tx, kinds: &[String]) -> Result<Option<DateTime<Utc>>> {
    let col = Alias::new;
    let mut select = Query::select();
    select
        .expr(sea_query::Func::min(wakes_at()))
        .from(col("schedules"))
        .and_where(Expr::col(col("enabled")))
        .and_where(Expr::col(col("kind")).is_in(kinds));
    Ok(on!(tx, |c| {
        let (sql, values) = c.build(&select);
        sqlx::query_scalar_with(sql, values).fetch_one(c).await
    })?)
}

/// When a schedule wants the scheduler: [`due`] and [`next_due`] must agree on it, or the scheduler wakes for nothing for ever.
fn wakes_at() -> sea_query::SimpleExpr {
    let col = |name| Expr::col(Alias::new(name));
    Expr::case(col("paused"), col("paused_until")).finally(col("next_at")).into()
}

/// Whether a slot waits for a job that has ended. Nobody is told of the end: the scheduler looks at every tick.
fn waits_for_nothing() -> sea_query::SimpleExpr {
    Expr::cust(
        "(NOT paused AND held_slot_at IS NOT NULL AND held_until IS NULL AND NOT EXISTS \
         (SELECT 1 FROM jobs WHERE jobs.id = schedules.last_job_id AND jobs.state IN ('waiting', 'pending', 'pushed')))",
    )
}

pub(super) async fn by_name(tx: &mut Tx, tenant: &TenantId, name: &str) -> Result<Option<Schedule>> {
    let sql = "SELECT * FROM schedules WHERE tenant_id = $1 AND name = $2";
    Ok(on!(tx, |c| sqlx::query_as(sql).bind(tenant).bind(name).fetch_optional(c).await)?)
}

pub(super) async fn list(tx: &mut Tx, tenant: &TenantId) -> Result<Vec<Schedule>> {
    let sql = "SELECT * FROM schedules WHERE tenant_id = $1 ORDER BY name";
    Ok(on!(tx, |c| sqlx::query_as(sql).bind(tenant).fetch_all(c).await)?)
}

pub(super) async fn declared(tx: &mut Tx) -> Result<Vec<Schedule>> {
    let sql = "SELECT * FROM schedules WHERE declared";
    Ok(on!(tx, |c| sqlx::query_as(sql).fetch_all(c).await)?)
}

/// Writes a new schedule; `false` if the tenant has one of this name.
pub(super) async fn insert(tx: &mut Tx, s: &Schedule) -> Result<bool> {
    let sql = "INSERT INTO schedules (id, tenant_id, name, kind, args, cron, zone, jitter_ms, overlap, catch_up, catch_up_max, \
               enabled, paused, declared, edited, declaration, last_slot_at, next_at, created_at, updated_at, version) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21) \
               ON CONFLICT DO NOTHING";
    let written = on!(tx, |c| sqlx::query(sql)
        .bind(s.id)
        .bind(&s.tenant_id)
        .bind(&s.name)
        .bind(&s.kind)
        .bind(&s.args)
        .bind(&s.cron)
        .bind(&s.zone)
        .bind(s.jitter_ms)
        .bind(s.overlap)
        .bind(s.catch_up)
        .bind(s.catch_up_max)
        .bind(s.enabled)
        .bind(s.paused)
        .bind(s.declared)
        .bind(s.edited)
        .bind(&s.declaration)
        .bind(s.last_slot_at)
        .bind(s.next_at)
        .bind(s.created_at)
        .bind(s.updated_at)
        .bind(s.version)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(written == 1)
}

/// Writes a schedule back if nobody changed it since it was read, and holds its row until the end of the transaction; `false`
/// if somebody was first.
pub(super) async fn update(tx: &mut Tx, s: &Schedule) -> Result<bool> {
    let sql = "UPDATE schedules SET kind = $3, args = $4, cron = $5, zone = $6, jitter_ms = $7, overlap = $8, catch_up = $9, \
               catch_up_max = $10, enabled = $11, paused = $12, paused_until = $13, pause_reason = $14, declared = $15, \
               edited = $16, last_slot_at = $17, next_at = $18, last_job_id = $19, last_error = $20, updated_at = $21, \
               declaration = $22, held_slot_at = $23, held_until = $24, \
               version = version + 1 WHERE id = $1 AND version = $2";
    let written = on!(tx, |c| sqlx::query(sql)
        .bind(s.id)
        .bind(s.version)
        .bind(&s.kind)
        .bind(&s.args)
        .bind(&s.cron)
        .bind(&s.zone)
        .bind(s.jitter_ms)
        .bind(s.overlap)
        .bind(s.catch_up)
        .bind(s.catch_up_max)
        .bind(s.enabled)
        .bind(s.paused)
        .bind(s.paused_until)
        .bind(&s.pause_reason)
        .bind(s.declared)
        .bind(s.edited)
        .bind(s.last_slot_at)
        .bind(s.next_at)
        .bind(s.last_job_id)
        .bind(&s.last_error)
        .bind(s.updated_at)
        .bind(&s.declaration)
        .bind(s.held_slot_at)
        .bind(s.held_until)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(written == 1)
}

/// Removes a schedule and its slots.
pub(super) async fn delete(tx: &mut Tx, s: &Schedule) -> Result<bool> {
    let sql = "DELETE FROM schedules WHERE id = $1 AND version = $2";
    let gone =
        on!(tx, |c| sqlx::query(sql).bind(s.id).bind(s.version).execute(c).await.map(|done| done.rows_affected()))?;
    Ok(gone == 1)
}

/// Writes what becomes of a slot; `false` if that is settled already.
pub(super) async fn insert_slot(tx: &mut Tx, s: &Schedule, slot: &Slot) -> Result<bool> {
    let sql = "INSERT INTO schedule_slots (tenant_id, schedule_id, slot_at, outcome, reason, job_id, created_at, freeze_window, \
               deferred_until) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING";
    let written = on!(tx, |c| sqlx::query(sql)
        .bind(&s.tenant_id)
        .bind(s.id)
        .bind(slot.slot_at)
        .bind(slot.outcome)
        .bind(&slot.reason)
        .bind(slot.job_id)
        .bind(slot.created_at)
        .bind(&slot.freeze_window)
        .bind(slot.deferred_until)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(written == 1)
}

/// Writes what becomes of a slot that waited; `false` if it waits no more. Which window had deferred it stays known.
pub(super) async fn settle_held(tx: &mut Tx, s: &Schedule, slot: &Slot) -> Result<bool> {
    let sql = "UPDATE schedule_slots SET outcome = $4, reason = $5, job_id = $6, freeze_window = coalesce($7, freeze_window), \
               deferred_until = coalesce($8, deferred_until) \
               WHERE tenant_id = $1 AND schedule_id = $2 AND slot_at = $3 AND outcome IN ('waiting', 'deferred')";
    let written = on!(tx, |c| sqlx::query(sql)
        .bind(&s.tenant_id)
        .bind(s.id)
        .bind(slot.slot_at)
        .bind(slot.outcome)
        .bind(&slot.reason)
        .bind(slot.job_id)
        .bind(&slot.freeze_window)
        .bind(slot.deferred_until)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(written == 1)
}

/// Lists the slots of a schedule, latest first.
pub(super) async fn slots(tx: &mut Tx, s: &Schedule, page: PageRequest) -> Result<Paged<Slot>> {
    let mut matching = Query::select();
    matching
        .from("schedule_slots")
        .and_where(Expr::col("tenant_id").eq(s.tenant_id.as_str()))
        .and_where(Expr::col("schedule_id").eq(s.id.to_string()));
    let shown = |select: &mut SelectStatement| {
        select.column(Asterisk).order_by("slot_at", Order::Desc);
    };
    read_page(tx, matching, shown, page).await
}

/// Says whether the job of a schedule's last slot still waits or runs.
pub(super) async fn runs(tx: &mut Tx, job: JobId) -> Result<bool> {
    let sql = "SELECT state FROM jobs WHERE id = $1";
    let state: Option<LedgerState> = on!(tx, |c| sqlx::query_scalar(sql).bind(Text(job)).fetch_optional(c).await)?;
    Ok(state.is_some_and(|state| !state.is_end()))
}

/// Removes up to `limit` fired slots, and passed-over ones, that were dealt with before an instant. Those that wait stay.
///
/// # Errors
/// [`Error`](crate::base::Error) of the database.
pub async fn prune_slots(tx: &mut Tx, before: DateTime<Utc>, limit: i64) -> Result<u64> {
    let sql = "DELETE FROM schedule_slots WHERE (tenant_id, schedule_id, slot_at) IN \
               (SELECT tenant_id, schedule_id, slot_at FROM schedule_slots \
               WHERE created_at < $1 AND outcome IN ('fired', 'skipped') ORDER BY created_at LIMIT $2)";
    Ok(on!(tx, |c| sqlx::query(sql).bind(before).bind(limit).execute(c).await.map(|done| done.rows_affected()))?)
}

impl Slot {
    /// Makes the row of a slot that fired.
    pub(super) fn fired(slot_at: DateTime<Utc>, job: JobId, now: DateTime<Utc>) -> Self {
        Self { outcome: SlotOutcome::Fired, job_id: Some(Text(job)), ..Self::blank(slot_at, now) }
    }

    /// Makes the row of a slot that was passed over.
    pub(super) fn skipped(slot_at: DateTime<Utc>, reason: String, now: DateTime<Utc>) -> Self {
        Self { reason: Some(reason), ..Self::blank(slot_at, now) }
    }

    /// Makes the row of a slot in a freeze window.
    pub(super) fn frozen(slot_at: DateTime<Utc>, freeze: &Freeze, now: DateTime<Utc>) -> Self {
        let Freeze { window, reason, policy, until } = freeze;
        let (outcome, deferred_until) = match policy {
            Policy::Skip => (SlotOutcome::Skipped, None),
            Policy::Defer => (SlotOutcome::Deferred, Some(*until)),
        };
        let (reason, freeze_window) = (Some(format!("freeze window {window}: {reason}")), Some(window.clone()));
        Self { outcome, reason, freeze_window, deferred_until, ..Self::blank(slot_at, now) }
    }

    /// Makes the row of a slot that waits for a job.
    pub(super) fn waiting(slot_at: DateTime<Utc>, reason: String, now: DateTime<Utc>) -> Self {
        Self { outcome: SlotOutcome::Waiting, reason: Some(reason), ..Self::blank(slot_at, now) }
    }

    fn blank(slot_at: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        Self {
            slot_at,
            outcome: SlotOutcome::Skipped,
            reason: None,
            freeze_window: None,
            deferred_until: None,
            job_id: None,
            created_at: now,
        }
    }
}
