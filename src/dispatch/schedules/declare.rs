//! Schedules that the configuration declares.

use chrono::{DateTime, Utc};
use deskhand_jobs::Registry;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::model::{CatchUp, Overlap, Schedule, ScheduleId};
use super::store;
use super::times::Times;
use crate::base::{Error, FieldError, Result, TenantId};
use crate::db::Db;

/// One schedule as the configuration writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Declared {
    /// Its name.
    pub name: String,
    /// What its jobs do.
    pub kind: String,
    /// Their arguments.
    #[serde(default = "no_args")]
    pub args: serde_json::Value,
    /// A crontab line of five fields, or `@every 5m` and its like.
    pub cron: String,
    /// The time zone of the line.
    #[serde(default = "utc")]
    pub zone: String,
    /// How long at most a slot is delayed, in milliseconds.
    #[serde(default)]
    pub jitter_ms: u32,
    /// What happens while the last job runs.
    #[serde(default = "skip")]
    pub overlap: Overlap,
    /// What happens to missed slots.
    #[serde(default = "latest")]
    pub catch_up: CatchUp,
    /// How many missed slots fire with `all`.
    #[serde(default = "ten")]
    pub catch_up_max: u32,
    /// Whether it runs.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Whose it is.
    #[serde(default)]
    pub tenant: TenantId,
}

fn no_args() -> serde_json::Value {
    serde_json::Value::Object(serde_json::Map::new())
}

fn utc() -> String {
    "UTC".to_owned()
}

fn skip() -> Overlap {
    Overlap::Skip
}

fn latest() -> CatchUp {
    CatchUp::Latest
}

fn ten() -> u32 {
    10
}

fn yes() -> bool {
    true
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
    for declaration in declared {
        match store::by_name(&mut tx, &declaration.tenant, &declaration.name).await? {
            None => {
                let mut new = blank(declaration, now);
                apply(&mut new, declaration, now)?;
                store::insert(&mut tx, &new).await?;
            }
            Some(old) if !old.edited => {
                let mut new = old.clone();
                apply(&mut new, declaration, now)?;
                if new != old {
                    new.updated_at = now;
                    store::update(&mut tx, &new).await?;
                }
            }
            Some(_) => {}
        }
    }
    for mut old in store::declared(&mut tx).await? {
        let is_declared = declared.iter().any(|d| d.name == old.name && d.tenant == old.tenant_id);
        if !is_declared && old.enabled && !old.edited {
            old.enabled = false;
            old.updated_at = now;
            store::update(&mut tx, &old).await?;
            tracing::info!(schedule = old.name, "schedule {} is declared no more and is switched off", old.name);
        }
    }
    tx.commit().await
}

impl Declared {
    /// Checks that the line, the zone and the jitter can be read.
    ///
    /// # Errors
    /// [`Error::Invalid`] at `/cron`, `/zone` or `/jitter_ms`.
    pub fn check_times(&self) -> Result<()> {
        times(self).map(drop)
    }
}

/// Checks declarations as [`sync_declared`] does, and changes nothing.
///
/// # Errors
/// [`Error::Invalid`] with a pointer for each wrong field, as in `/schedules/0/kind`.
pub fn check_declared(registry: &Registry, declared: &[Declared]) -> Result<()> {
    let mut wrong = Vec::new();
    for (place, declaration) in declared.iter().enumerate() {
        let at = |field: &str| format!("/schedules/{place}{field}");
        let twice = declared[..place].iter().any(|d| d.name == declaration.name && d.tenant == declaration.tenant);
        if declaration.name.trim().is_empty() || twice {
            let message = format!("{:?} is empty or taken: each schedule has a name of its own", declaration.name);
            wrong.push(FieldError { pointer: at("/name"), message });
        }
        if let Err(Error::Invalid(fields)) = times(declaration) {
            wrong.extend(fields.into_iter().map(|f| FieldError { pointer: at(&f.pointer), message: f.message }));
        }
        if declaration.catch_up == CatchUp::All && declaration.overlap == Overlap::Skip {
            let message = "catch_up \"all\" fires several jobs at once and overlap \"skip\" lets only one be: \
                           set overlap = \"allow\", or catch_up = \"latest\"";
            wrong.push(FieldError { pointer: at("/overlap"), message: message.to_owned() });
        }
        let args = RawValue::from_string(declaration.args.to_string());
        let made = args
            .map_err(|e| e.to_string())
            .and_then(|args| registry.envelope(&declaration.kind, args).map(drop).map_err(|error| error.to_string()));
        if let Err(message) = made {
            wrong.push(FieldError { pointer: at("/kind"), message });
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(Error::Invalid(wrong)) }
}

fn times(declaration: &Declared) -> Result<Times> {
    Times::read(&declaration.cron, &declaration.zone, &declaration.name, i64::from(declaration.jitter_ms))
}

fn blank(declaration: &Declared, now: DateTime<Utc>) -> Schedule {
    Schedule {
        id: ScheduleId::new(),
        tenant_id: declaration.tenant.clone(),
        name: declaration.name.clone(),
        kind: String::new(),
        args: String::new(),
        cron: String::new(),
        zone: String::new(),
        jitter_ms: 0,
        overlap: declaration.overlap,
        catch_up: declaration.catch_up,
        catch_up_max: 0,
        enabled: true,
        paused: false,
        paused_until: None,
        pause_reason: None,
        declared: true,
        edited: false,
        last_slot_at: now,
        next_at: None,
        last_job_id: None,
        last_error: None,
        created_at: now,
        updated_at: now,
        version: 1,
    }
}

/// Puts the declaration into the row. Another rhythm counts from now on: slots of the past are none of its slots.
fn apply(schedule: &mut Schedule, declaration: &Declared, now: DateTime<Utc>) -> Result<()> {
    let jitter_ms = i64::from(declaration.jitter_ms);
    let same_rhythm = schedule.cron == declaration.cron
        && schedule.zone == declaration.zone
        && schedule.jitter_ms == jitter_ms
        && schedule.enabled == declaration.enabled;
    schedule.kind.clone_from(&declaration.kind);
    schedule.args = declaration.args.to_string();
    schedule.cron.clone_from(&declaration.cron);
    schedule.zone.clone_from(&declaration.zone);
    schedule.jitter_ms = jitter_ms;
    schedule.overlap = declaration.overlap;
    schedule.catch_up = declaration.catch_up;
    schedule.catch_up_max = i64::from(declaration.catch_up_max);
    schedule.enabled = declaration.enabled;
    schedule.declared = true;
    if !same_rhythm {
        schedule.last_slot_at = now;
        schedule.next_at = times(declaration)?.next_after(now).map(|due| due.fire_at);
    }
    Ok(())
}
