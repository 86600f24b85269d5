//! Schedules that the configuration declares.

use chrono::{DateTime, Utc};
use deskhand_jobs::Registry;

use super::definition::Definition;
use super::held;
use super::model::{Schedule, ScheduleId};
use super::store;
use crate::base::{Error, FieldError, Result, TenantId};
use crate::db::{Db, Tx};

/// One schedule as the configuration declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    /// Its name.
    pub name: String,
    /// Whose it is.
    pub tenant: TenantId,
    /// What it is.
    pub definition: Definition,
}

/// Brings the declared schedules into the database: new ones are made, changed ones are changed unless a person edited them, and
/// those that are declared no more are switched off.
///
/// # Errors
/// [`Error::Invalid`] names every declaration that is wrong, before anything is written.
pub async fn sync_declared(db: &Db, registry: &Registry, declared: &[Declared]) -> Result<()> {
    check_declared(registry, declared)?;
    let mut tx = db.begin().await?;
    let now = tx.now();
    for Declared { name, tenant, definition } in declared {
        let declaration = Some(written(definition)?);
        let Some(old) = store::by_name(&mut tx, tenant, name).await? else {
            let mut new = Schedule { declared: true, declaration, ..blank(tenant, name, definition, now) };
            apply(&mut new, definition, now)?;
            store::insert(&mut tx, &new).await?;
            continue;
        };
        let mut new = Schedule { declared: true, declaration, ..old.clone() };
        if !old.edited {
            change(&mut tx, &mut new, definition, now).await?;
        }
        if new != old {
            new.updated_at = now;
            store::update(&mut tx, &new).await?;
        }
    }
    for mut old in store::declared(&mut tx).await? {
        if declared.iter().any(|d| d.name == old.name && d.tenant == old.tenant_id) {
            continue;
        }
        // From here it is as if a person had made it: people may remove it.
        (old.declared, old.declaration) = (false, None);
        if !old.edited {
            old.enabled = false;
            held::drop_it(&mut tx, &mut old, "the schedule is declared no more", now).await?;
            tracing::info!(schedule = old.name, "schedule {} is declared no more and is switched off", old.name);
        }
        old.updated_at = now;
        store::update(&mut tx, &old).await?;
    }
    tx.commit().await
}

/// Checks declarations as [`sync_declared`] does, and changes nothing.
///
/// # Errors
/// [`Error::Invalid`] with a pointer for each wrong field, as in `/schedules/0/kind`.
pub fn check_declared(registry: &Registry, declared: &[Declared]) -> Result<()> {
    let mut wrong = Vec::new();
    for (place, Declared { name, tenant, definition }) in declared.iter().enumerate() {
        let at = |field: &str| format!("/schedules/{place}{field}");
        let twice = declared[..place].iter().any(|d| d.name == *name && d.tenant == *tenant);
        if name.trim().is_empty() || twice {
            let message = format!("{name:?} is empty or taken: each schedule has a name of its own");
            wrong.push(FieldError { pointer: at("/name"), message });
        }
        match definition.check(registry) {
            Ok(()) => {}
            Err(Error::Invalid(fields)) => {
                wrong.extend(fields.into_iter().map(|f| FieldError { pointer: at(&f.pointer), message: f.message }));
            }
            Err(other) => return Err(other),
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(Error::Invalid(wrong)) }
}

/// Makes the row of a schedule that has had no slot yet.
pub(super) fn blank(tenant: &TenantId, name: &str, definition: &Definition, now: DateTime<Utc>) -> Schedule {
    Schedule {
        id: ScheduleId::new(),
        tenant_id: tenant.clone(),
        name: name.to_owned(),
        kind: String::new(),
        args: String::new(),
        cron: String::new(),
        zone: String::new(),
        jitter_ms: 0,
        overlap: definition.overlap,
        catch_up: definition.catch_up,
        catch_up_max: 0,
        enabled: true,
        paused: false,
        paused_until: None,
        pause_reason: None,
        declared: false,
        edited: false,
        declaration: None,
        last_slot_at: now,
        held_slot_at: None,
        held_until: None,
        next_at: None,
        last_job_id: None,
        last_error: None,
        created_at: now,
        updated_at: now,
        version: 1,
    }
}

/// Puts a definition into a row that the database has, and lets go of the slot that waits if it is none of the new rhythm.
pub(super) async fn change(
    tx: &mut Tx,
    schedule: &mut Schedule,
    definition: &Definition,
    now: DateTime<Utc>,
) -> Result<()> {
    if apply(schedule, definition, now)? {
        held::drop_it(tx, schedule, "the times of the schedule were changed", now).await?;
    }
    Ok(())
}

/// Puts a definition into the row; says whether the rhythm is another. Another rhythm counts from now on: slots of the past are none
/// of its slots.
pub(super) fn apply(schedule: &mut Schedule, definition: &Definition, now: DateTime<Utc>) -> Result<bool> {
    let jitter_ms = i64::from(definition.jitter_ms);
    let same_rhythm = schedule.cron == definition.cron
        && schedule.zone == definition.zone
        && schedule.jitter_ms == jitter_ms
        && schedule.enabled == definition.enabled;
    schedule.kind.clone_from(&definition.kind);
    schedule.args = serde_json::Value::Object(definition.args.clone()).to_string();
    schedule.cron.clone_from(&definition.cron);
    schedule.zone.clone_from(&definition.zone);
    schedule.jitter_ms = jitter_ms;
    schedule.overlap = definition.overlap;
    schedule.catch_up = definition.catch_up;
    schedule.catch_up_max = i64::from(definition.catch_up_max);
    schedule.enabled = definition.enabled;
    if !same_rhythm {
        schedule.last_slot_at = now;
        schedule.next_at = definition.times(&schedule.name)?.next_after(now).map(|due| due.fire_at);
    }
    Ok(!same_rhythm)
}

fn written(definition: &Definition) -> Result<String> {
    serde_json::to_string(definition).map_err(|error| Error::internal("cannot write a declaration", error))
}
