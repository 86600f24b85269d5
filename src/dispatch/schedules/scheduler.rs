//! The scheduler: fires what is due. Any number may run.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use deskhand_jobs::outcome::chain;
use deskhand_jobs::{Envelope, Registry};
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

use super::held;
use super::model::{Overlap, Schedule, Slot, SlotOutcome};
use super::plan::{Candidate, Decision, Due, Present, Rules, decide};
use super::store;
use super::times::Times;
use crate::base::error::BoxError;
use crate::base::{Error, Result};
use crate::db::{Db, Tx};
use crate::dispatch::figures::{self, Slot as Counted};
use crate::dispatch::freezes::{self, Calendar};
use crate::dispatch::outage::Outage;
use crate::dispatch::rounds::Loop;
use crate::dispatch::{Enqueue, Rounds};

/// How many schedules one round takes.
const BATCH: u64 = 200;
/// Its place among the loops of a process: it looks every [`TICK`].
const LOOP: Loop = Loop { name: "scheduler", patience: Duration::from_secs(30), at_once: true };
/// How soon a schedule is noticed that another process changed.
const TICK: Duration = Duration::from_secs(5);

/// Fires schedules whose kinds it knows. A schedule of a kind that is unknown here waits for a scheduler of a newer program.
#[derive(Clone)]
pub struct Scheduler {
    db: Db,
    registry: Arc<Registry>,
    rounds: Rounds,
}

impl std::fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scheduler").field("db", &self.db.url()).finish_non_exhaustive()
    }
}

impl Scheduler {
    /// Makes a scheduler over a database and the kinds that exist; time is the database's clock.
    pub fn new(db: Db, registry: Arc<Registry>) -> Self {
        Self { db, registry, rounds: Rounds::default() }
    }

    /// Notes its good rounds here.
    #[must_use]
    pub fn noting(self, rounds: Rounds) -> Self {
        rounds.begin(LOOP);
        Self { rounds, ..self }
    }

    /// Fires every slot that is due; returns how many jobs it enqueued.
    ///
    /// # Errors
    /// [`Error`] if the database does not answer. What is wrong with one schedule is noted there and harms no other.
    pub async fn fire_due(&self) -> Result<usize> {
        let mut fired = 0;
        loop {
            let mut tx = self.db.read().await?;
            let now = tx.now();
            let due = store::due(&mut tx, &self.kinds(), now, BATCH).await?;
            drop(tx);
            for schedule in &due {
                fired += match self.fire(schedule).await {
                    Err(error) if !error.is_transient() => {
                        self.pass_over(schedule, &error).await?;
                        0
                    }
                    round => round?,
                };
            }
            if (due.len() as u64) < BATCH {
                return Ok(fired);
            }
        }
    }

    /// Fires until it is told to stop. Whatever fails, it goes on.
    pub async fn run(&self, stop: CancellationToken) {
        let mut outage = Outage::new("the scheduler").noting(&self.rounds, LOOP);
        loop {
            let round = tokio::select! {
                () = stop.cancelled() => break,
                round = self.round() => round,
            };
            let next = match round {
                Ok(next) => {
                    outage.over();
                    next
                }
                Err(error) => {
                    let wait = outage.failed(&error);
                    tokio::select! {
                        () = stop.cancelled() => break,
                        () = tokio::time::sleep(wait) => continue,
                    }
                }
            };
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.db.clock().sleep_until(next) => {}
                () = tokio::time::sleep(TICK) => {}
            }
        }
    }

    async fn round(&self) -> Result<DateTime<Utc>> {
        self.fire_due().await?;
        let mut tx = self.db.read().await?;
        Ok(store::next_due(&mut tx, &self.kinds()).await?.unwrap_or(DateTime::<Utc>::MAX_UTC))
    }

    fn kinds(&self) -> Vec<String> {
        self.registry.kinds().map(ToString::to_string).collect()
    }

    /// Settles all slots of one schedule that are due, in one transaction.
    async fn fire(&self, schedule: &Schedule) -> Result<usize> {
        let mut tx = self.db.begin().await?;
        let now = tx.now();
        let mut after = schedule.clone();
        after.updated_at = now;
        lift_pause(&mut after);
        let times = match Times::read(&after.cron, &after.zone, &after.name, after.jitter_ms) {
            Ok(times) => times,
            Err(error) => return self.give_up(tx, after, &error).await,
        };
        // From here the row is ours: another scheduler waits, and then finds that the version has moved on.
        if !store::update(&mut tx, &after).await? {
            return Ok(0);
        }
        after.version += 1;
        let counted = self.settle(&mut tx, &mut after, &times, now).await?;
        after.next_at = next_at(&after, &times);
        store::update(&mut tx, &after).await?;
        tx.commit().await?;
        let fired = counted.iter().filter(|slot| matches!(slot, Counted::Fired(_))).count();
        for slot in counted {
            figures::slot(&schedule.name, slot);
        }
        Ok(fired)
    }

    async fn settle(
        &self,
        tx: &mut Tx,
        schedule: &mut Schedule,
        times: &Times,
        now: DateTime<Utc>,
    ) -> Result<Vec<Counted>> {
        let slots = candidates(schedule, times, now);
        if slots.is_empty() {
            return Ok(Vec::new());
        }
        let running = match schedule.last_job_id {
            Some(job) if schedule.overlap != Overlap::Allow && store::runs(tx, job.0).await? => Some(job.to_string()),
            _ => None,
        };
        let windows = freezes::enabled(tx, &schedule.tenant_id, slots[0].due.slot_at).await?;
        let calendar = Calendar::of(&windows, &schedule.name, &schedule.kind)?;
        let frozen_then = |slot: Candidate| {
            let frozen = if slot.held { None } else { calendar.at(slot.due.fire_at) };
            Candidate { frozen, ..slot }
        };
        let slots: Vec<Candidate> = slots.into_iter().map(frozen_then).collect();
        let Schedule { catch_up, catch_up_max, overlap, .. } = *schedule;
        let frozen = calendar.at(now);
        let present = Present { now, running: running.as_deref(), frozen: frozen.as_ref() };
        let decisions = decide(&slots, Rules { catch_up, catch_up_max, overlap }, present);
        (schedule.held_slot_at, schedule.held_until) = (None, None);
        let mut counted = Vec::with_capacity(slots.len());
        for (candidate, decision) in slots.iter().zip(decisions) {
            counted.extend(self.carry_out(tx, schedule, candidate, decision, now).await?);
        }
        Ok(counted)
    }

    /// Writes what becomes of one slot and returns it; `None` if another scheduler has done so.
    async fn carry_out(
        &self,
        tx: &mut Tx,
        schedule: &mut Schedule,
        candidate: &Candidate,
        decision: Decision,
        now: DateTime<Utc>,
    ) -> Result<Option<Counted>> {
        let slot_at = candidate.due.slot_at;
        schedule.last_slot_at = schedule.last_slot_at.max(slot_at);
        let mut made = None;
        let mut counted = Some(Counted::Skipped);
        let slot = match decision {
            Decision::Fire => match self.job(schedule, slot_at) {
                Ok(job) => Slot::fired(slot_at, made.insert(job).id, now),
                Err(error) => {
                    let name = &schedule.name;
                    tracing::error!(schedule = name, error = %error, "schedule {name} cannot fire");
                    schedule.last_error = Some(error.to_string());
                    counted = Some(Counted::Failed);
                    Slot::skipped(slot_at, error.to_string(), now)
                }
            },
            Decision::Skip(reason) => Slot::skipped(slot_at, reason, now),
            Decision::Wait(reason) => Slot::waiting(slot_at, reason, now),
            Decision::Freeze(freeze) => Slot::frozen(slot_at, &freeze, now),
        };
        if matches!(slot.outcome, SlotOutcome::Waiting | SlotOutcome::Deferred) {
            (schedule.held_slot_at, schedule.held_until) = (Some(slot_at), slot.deferred_until);
            counted = (!candidate.held).then_some(Counted::Held);
        }
        let is_ours = if candidate.held {
            store::settle_held(tx, schedule, &slot).await?
        } else {
            store::insert_slot(tx, schedule, &slot).await?
        };
        if !is_ours {
            return Ok(None);
        }
        let Some(job) = made else { return Ok(counted) };
        tx.enqueue(&job).await?;
        schedule.last_job_id = slot.job_id;
        schedule.last_error = None;
        Ok(Some(Counted::Fired(now - candidate.due.fire_at)))
    }

    /// Makes the job of a slot.
    fn job(&self, schedule: &Schedule, slot_at: DateTime<Utc>) -> Result<Envelope, BoxError> {
        let mut job = self.registry.envelope(&schedule.kind, RawValue::from_string(schedule.args.clone())?)?;
        job.tenant = Some(schedule.tenant_id.to_string());
        job.headers
            .extend([("schedule".to_owned(), schedule.name.clone()), ("slot_at".to_owned(), slot_at.to_rfc3339())]);
        Ok(job)
    }

    /// Takes a schedule that cannot be read out of the rounds until somebody corrects it.
    async fn give_up(&self, mut tx: Tx, mut schedule: Schedule, error: &Error) -> Result<usize> {
        let name = &schedule.name;
        tracing::error!(
            schedule = name,
            error = chain(error),
            "schedule {name} cannot be read and waits for correction"
        );
        schedule.next_at = None;
        schedule.last_error = Some(error.to_string());
        let now = tx.now();
        held::drop_it(&mut tx, &mut schedule, "the schedule cannot be read", now).await?;
        store::update(&mut tx, &schedule).await?;
        tx.commit().await?;
        Ok(0)
    }

    /// Moves a schedule on to its next slot when this one failed for a defect, so that the others get their turn.
    async fn pass_over(&self, schedule: &Schedule, error: &Error) -> Result<()> {
        let name = &schedule.name;
        tracing::error!(schedule = name, error = chain(error), "schedule {name} failed and waits for its next slot");
        let mut tx = self.db.begin().await?;
        let mut after = schedule.clone();
        lift_pause(&mut after);
        after.last_slot_at = tx.now();
        // Its slots may be what the database refuses: the row that waited is left as it is.
        (after.held_slot_at, after.held_until) = (None, None);
        after.last_error = Some(chain(error));
        let times = Times::read(&after.cron, &after.zone, &after.name, after.jitter_ms)?;
        after.next_at = times.next_after(after.last_slot_at).map(|due| due.fire_at);
        store::update(&mut tx, &after).await?;
        tx.commit().await
    }
}

/// Returns the slots to be decided on, the oldest first: the one that waits, and those that are due.
fn candidates(schedule: &Schedule, times: &Times, now: DateTime<Utc>) -> Vec<Candidate> {
    let held = schedule.held_slot_at.map(|slot_at| {
        let due = Due { slot_at, fire_at: schedule.held_until.unwrap_or(slot_at) };
        Candidate { due, held: true, frozen: None }
    });
    let due = times.due(schedule.last_slot_at, now);
    held.into_iter().chain(due.into_iter().map(|due| Candidate { due, held: false, frozen: None })).collect()
}

/// When the schedule wants the scheduler next: for a slot, or because the time of one that was deferred has come.
fn next_at(schedule: &Schedule, times: &Times) -> Option<DateTime<Utc>> {
    let next = times.next_after(schedule.last_slot_at).map(|due| due.fire_at);
    [next, schedule.held_until].into_iter().flatten().min()
}

/// Ends the pause of a schedule that is due in spite of it. What was due in the pause was not missed, but unwanted.
fn lift_pause(schedule: &mut Schedule) {
    if let Some(end) = schedule.paused_until.filter(|_| schedule.paused) {
        schedule.last_slot_at = end.max(schedule.last_slot_at);
        (schedule.paused, schedule.paused_until, schedule.pause_reason) = (false, None, None);
    }
}
