//! When a schedule fires next, and what stands against it.

use chrono::{DateTime, Utc};
use deskhand_jobs::cron;
use serde::Serialize;
use utoipa::ToSchema;

use super::model::Schedule;
use super::times::Times;
use crate::base::{Result, TenantId};
use crate::db::Db;
use crate::dispatch::freezes::{self, Calendar, Policy};

/// The most fires that are told in advance.
const MAX_NEXT: usize = 100;

/// One time at which a schedule is due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Fire {
    /// The instant by the line.
    pub slot_at: DateTime<Utc>,
    /// The instant at which it fires: the slot plus its jitter.
    pub fire_at: DateTime<Utc>,
    /// What the clocks of the zone show at the slot, with their distance from UTC.
    #[schema(example = "2026-03-29T03:30:00+02:00")]
    pub local: String,
    /// What a change of clocks does to it.
    pub night: Option<Night>,
    /// The freeze window that passes it over or defers it, as the calendar is now.
    pub freeze: Option<Frozen>,
}

/// What a change of clocks does to a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Night {
    /// The clocks skip the time that the line names; the slot is at the instant when it would have been.
    Gap,
    /// The clocks show the time of the slot twice.
    Fold,
}

/// What a freeze window does to a slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Frozen {
    /// The name of the window.
    pub window: String,
    /// Whether the slot is passed over or deferred.
    pub policy: Policy,
    /// When the window ends: a deferred slot fires then.
    pub until: DateTime<Utc>,
}

/// Tells the next times of a schedule; nothing while it is switched off or paused for good.
pub(super) async fn next(db: &Db, tenant: &TenantId, schedule: &Schedule, count: usize) -> Result<Vec<Fire>> {
    let now = db.clock().now();
    let from = match (schedule.paused, schedule.paused_until) {
        (true, None) => return Ok(Vec::new()),
        (true, Some(end)) => end.max(now),
        (false, _) => now,
    };
    if !schedule.enabled {
        return Ok(Vec::new());
    }
    let windows = freezes::enabled(&mut db.read().await?, tenant, now).await?;
    let calendar = Calendar::of(&windows, &schedule.name, &schedule.kind)?;
    let times = Times::read(&schedule.cron, &schedule.zone, &schedule.name, schedule.jitter_ms)?;
    let mut cursor = from;
    let next = std::iter::from_fn(|| {
        let due = times.next_after(cursor)?;
        cursor = due.slot_at;
        let night = times.night(due.slot_at).map(|night| match night {
            cron::Night::Gap => Night::Gap,
            cron::Night::Fold => Night::Fold,
        });
        let freeze = calendar.at(due.fire_at);
        let freeze = freeze.map(|freeze| Frozen { window: freeze.window, policy: freeze.policy, until: freeze.until });
        Some(Fire { slot_at: due.slot_at, fire_at: due.fire_at, local: times.local(due.slot_at), night, freeze })
    });
    Ok(next.take(count.min(MAX_NEXT)).collect())
}
