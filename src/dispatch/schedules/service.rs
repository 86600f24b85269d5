//! What people do with schedules: look, run now, pause, resume; what they are is changed in `edit`.

use chrono::{DateTime, Utc};
use deskhand_jobs::{JobId, Registry};
use serde::Serialize;
use serde_json::value::RawValue;

use super::definition::Definition;
use super::held;
use super::model::{Schedule, Slot};
use super::preview::{self, Fire};
use super::store;
use super::times::Times;
use crate::audit::{Event, Record};
use crate::base::{Actor, Error, PageRequest, Paged, Result, TenantId};
use crate::db::{Db, Tx};
use crate::dispatch::Enqueue;

pub use super::edit::{create, edit, remove, reset};

/// What the audit record calls a schedule.
pub(super) const OBJECT: &str = "schedule";

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

/// Tells when a schedule is due next, what the clocks show then, and what the calendar will do; nothing while it is switched off or
/// paused for good.
///
/// # Errors
/// [`Error::NotFound`] if the tenant has none of this name, [`Error::Invalid`] if its line cannot be read.
pub async fn next_fires(db: &Db, tenant: &TenantId, name: &str, count: usize) -> Result<Vec<Fire>> {
    let schedule = get(db, tenant, name).await?;
    preview::next(db, tenant, &schedule, count).await
}

/// Enqueues one job of a schedule now; its slots are not disturbed, and neither pause nor calendar hold it back: who runs it by hand
/// means it.
///
/// # Errors
/// [`Error::NotFound`] if the tenant has none of this name, [`Error::Invalid`] if its arguments do not fit its kind.
pub async fn run_now(db: &Db, registry: &Registry, actor: &Actor, name: &str) -> Result<JobId> {
    let mut tx = db.begin().await?;
    let schedule = find(&mut tx, &actor.tenant, name).await?;
    let args = RawValue::from_string(schedule.args).map_err(|error| Error::field("/args", error.to_string()))?;
    let mut job = registry.envelope(&schedule.kind, args)?;
    job.tenant = Some(actor.tenant.to_string());
    job.headers.insert("schedule".to_owned(), schedule.name);
    let id = tx.enqueue(&job).await?;
    tx.record(actor, Event::new("schedule.run", OBJECT, name).after(&serde_json::json!({"job_id": id}))).await?;
    tx.commit().await?;
    Ok(id)
}

/// Stops a schedule from firing, until an instant or until somebody resumes it.
///
/// # Errors
/// [`Error::NotFound`] if the tenant has none of this name, [`Error::Invalid`] if the end of the pause is past.
pub async fn pause(db: &Db, actor: &Actor, name: &str, reason: &str, until: Option<DateTime<Utc>>) -> Result<Schedule> {
    let mut tx = db.begin().await?;
    let now = tx.now();
    if until.is_some_and(|until| until <= now) {
        return Err(Error::field("/until", "the end of a pause lies in the future"));
    }
    let before = find(&mut tx, &actor.tenant, name).await?;
    let mut after = before.clone();
    held::drop_it(&mut tx, &mut after, &format!("the schedule was paused: {reason}"), now).await?;
    after.paused = true;
    after.paused_until = until.map(crate::base::clock::cut);
    after.pause_reason = Some(reason.to_owned());
    finish(tx, actor, "schedule.pause", &before, after).await
}

/// Lets a paused schedule fire again; what was due in the pause is not made up for.
///
/// # Errors
/// [`Error::NotFound`] if the tenant has none of this name.
pub async fn resume(db: &Db, actor: &Actor, name: &str) -> Result<Schedule> {
    let mut tx = db.begin().await?;
    let now = tx.now();
    let before = find(&mut tx, &actor.tenant, name).await?;
    if !before.paused {
        return Ok(before);
    }
    let mut after = before.clone();
    (after.paused, after.paused_until, after.pause_reason) = (false, None, None);
    after.last_slot_at = after.last_slot_at.max(now);
    let times = Times::read(&after.cron, &after.zone, &after.name, after.jitter_ms)?;
    after.next_at = times.next_after(after.last_slot_at).map(|due| due.fire_at);
    finish(tx, actor, "schedule.resume", &before, after).await
}

async fn finish(
    mut tx: Tx,
    actor: &Actor,
    action: &'static str,
    before: &Schedule,
    mut after: Schedule,
) -> Result<Schedule> {
    after.updated_at = tx.now();
    if !store::update(&mut tx, &after).await? {
        return Err(moved(&after.name));
    }
    after.version += 1;
    let event = Event::new(action, OBJECT, &after.name).before(&noted(before)).after(&noted(&after));
    tx.record(actor, event).await?;
    tx.commit().await?;
    Ok(after)
}

pub(super) async fn find(tx: &mut Tx, tenant: &TenantId, name: &str) -> Result<Schedule> {
    store::by_name(tx, tenant, name).await?.ok_or_else(|| Error::not_found("schedule", name))
}

pub(super) fn moved(name: &str) -> Error {
    let cure = "read it again and repeat the change";
    Error::conflict("version_moved", format!("schedule {name} was changed meanwhile: {cure}"))
}

/// A schedule as the audit record notes it.
#[derive(Debug, Serialize)]
pub(super) struct Noted<'a> {
    #[serde(flatten)]
    definition: Option<Definition>,
    paused: bool,
    paused_until: Option<DateTime<Utc>>,
    pause_reason: Option<&'a str>,
}

pub(super) fn noted(schedule: &Schedule) -> Noted<'_> {
    Noted {
        definition: Definition::of(schedule).ok(),
        paused: schedule.paused,
        paused_until: schedule.paused_until,
        pause_reason: schedule.pause_reason.as_deref(),
    }
}
