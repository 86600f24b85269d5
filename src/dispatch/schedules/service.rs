//! What people do with schedules: look, run now, pause, resume.

use chrono::{DateTime, Utc};
use deskhand_jobs::{JobId, Registry};
use serde_json::value::RawValue;

use super::model::{Schedule, Slot};
use super::store;
use super::times::Times;
use crate::base::{Error, PageRequest, Paged, Result, TenantId};
use crate::db::{Db, Tx};
use crate::dispatch::Enqueue;

/// The most fires that are told in advance.
const MAX_NEXT: usize = 100;

/// Lists the schedules of a tenant by name.
///
/// # Errors
/// [`Error`] of the database.
pub async fn list(db: &Db, tenant: &TenantId) -> Result<Vec<Schedule>> {
    let mut tx = db.read().await?;
    store::list(&mut tx, tenant).await
}

/// Reads one schedule.
///
/// # Errors
/// [`Error::NotFound`] if the tenant has none of this name.
pub async fn get(db: &Db, tenant: &TenantId, name: &str) -> Result<Schedule> {
    let mut tx = db.read().await?;
    find(&mut tx, tenant, name).await
}

/// Lists what became of the slots of a schedule, latest first.
///
/// # Errors
/// [`Error::NotFound`] if the tenant has none of this name.
pub async fn slots(db: &Db, tenant: &TenantId, name: &str, page: PageRequest) -> Result<Paged<Slot>> {
    let mut tx = db.read().await?;
    let schedule = find(&mut tx, tenant, name).await?;
    store::slots(&mut tx, &schedule, page).await
}

/// Tells when a schedule fires next, jitter included; nothing while it is switched off or paused for good.
///
/// # Errors
/// [`Error::NotFound`] if the tenant has none of this name, [`Error::Invalid`] if its line cannot be read.
pub async fn next_fires(db: &Db, tenant: &TenantId, name: &str, count: usize) -> Result<Vec<DateTime<Utc>>> {
    let schedule = get(db, tenant, name).await?;
    let now = db.clock().now();
    let from = match (schedule.paused, schedule.paused_until) {
        (true, None) => return Ok(Vec::new()),
        (true, Some(end)) => end.max(now),
        (false, _) => now,
    };
    if !schedule.enabled {
        return Ok(Vec::new());
    }
    let times = Times::read(&schedule.cron, &schedule.zone, &schedule.name, schedule.jitter_ms)?;
    let mut cursor = from;
    let next = std::iter::from_fn(|| {
        let due = times.next_after(cursor)?;
        cursor = due.slot_at;
        Some(due.fire_at)
    });
    Ok(next.take(count.min(MAX_NEXT)).collect())
}

/// Enqueues one job of a schedule now; its slots are not disturbed.
///
/// # Errors
/// [`Error::NotFound`] if the tenant has none of this name, [`Error::Invalid`] if its arguments do not fit its kind.
pub async fn run_now(db: &Db, registry: &Registry, tenant: &TenantId, name: &str) -> Result<JobId> {
    let mut tx = db.begin().await?;
    let schedule = find(&mut tx, tenant, name).await?;
    let args = RawValue::from_string(schedule.args).map_err(|error| Error::field("/args", error.to_string()))?;
    let mut job = registry.envelope(&schedule.kind, args)?;
    job.tenant = Some(tenant.to_string());
    job.headers.insert("schedule".to_owned(), schedule.name);
    let id = tx.enqueue(&job).await?;
    tx.commit().await?;
    Ok(id)
}

/// Stops a schedule from firing, until an instant or until somebody resumes it.
///
/// # Errors
/// [`Error::NotFound`] if the tenant has none of this name, [`Error::Invalid`] if the end of the pause is past.
pub async fn pause(
    db: &Db,
    tenant: &TenantId,
    name: &str,
    reason: &str,
    until: Option<DateTime<Utc>>,
) -> Result<Schedule> {
    change(db, tenant, name, |schedule, now| {
        if until.is_some_and(|until| until <= now) {
            return Err(Error::field("/until", "the end of a pause lies in the future"));
        }
        schedule.paused = true;
        schedule.paused_until = until.map(crate::base::clock::cut);
        schedule.pause_reason = Some(reason.to_owned());
        Ok(())
    })
    .await
}

/// Lets a paused schedule fire again; what was due in the pause is not made up for.
///
/// # Errors
/// [`Error::NotFound`] if the tenant has none of this name.
pub async fn resume(db: &Db, tenant: &TenantId, name: &str) -> Result<Schedule> {
    change(db, tenant, name, |schedule, now| {
        if !schedule.paused {
            return Ok(());
        }
        (schedule.paused, schedule.paused_until, schedule.pause_reason) = (false, None, None);
        schedule.last_slot_at = schedule.last_slot_at.max(now);
        let times = Times::read(&schedule.cron, &schedule.zone, &schedule.name, schedule.jitter_ms)?;
        schedule.next_at = times.next_after(schedule.last_slot_at).map(|due| due.fire_at);
        Ok(())
    })
    .await
}

async fn change(
    db: &Db,
    tenant: &TenantId,
    name: &str,
    turn: impl FnOnce(&mut Schedule, DateTime<Utc>) -> Result<()>,
) -> Result<Schedule> {
    let mut tx = db.begin().await?;
    let now = tx.now();
    let mut schedule = find(&mut tx, tenant, name).await?;
    turn(&mut schedule, now)?;
    schedule.updated_at = now;
    if !store::update(&mut tx, &schedule).await? {
        let message = format!("schedule {name} was changed at this moment: try again");
        return Err(Error::conflict("version", message));
    }
    tx.commit().await?;
    schedule.version += 1;
    Ok(schedule)
}

async fn find(tx: &mut Tx, tenant: &TenantId, name: &str) -> Result<Schedule> {
    store::by_name(tx, tenant, name).await?.ok_or_else(|| Error::not_found("schedule", name))
}
