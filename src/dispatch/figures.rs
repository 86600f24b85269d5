//! What is counted between the database and the queue. Names and meaning stand in `docs/metrics.md`.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use deskhand_jobs::queue::Pushed;
use metrics::Unit;

use super::auditor::DRIFT_TOTAL;
use super::ledger::Backlog;
use super::rounds::Going;

const PENDING: &str = "deskhand_outbox_pending";
const OLDEST: &str = "deskhand_outbox_oldest_seconds";
const PUSHED: &str = "deskhand_relay_pushed_total";
const PUSH_LAG: &str = "deskhand_relay_lag_seconds";
const WRITTEN: &str = "deskhand_keeper_endings_total";
const KEEPER_LAG: &str = "deskhand_keeper_lag_seconds";
const RESENT: &str = "deskhand_reconciler_resent_total";
const SLOTS: &str = "deskhand_schedule_slots_total";
const LATENESS: &str = "deskhand_schedule_lateness_seconds";
const LOOP_OK: &str = "deskhand_loop_ok";
const LOOP_AGE: &str = "deskhand_loop_last_good_seconds";

/// So many schedules have a label of their own; the rest share `other`: tenants may make more than a store of figures can bear.
const MOST_SCHEDULES: usize = 100;

/// The schedules that have a label of their own.
static SCHEDULES: Mutex<Option<HashSet<String>>> = Mutex::new(None);

/// Describes the figures to the recorder of this process.
pub fn describe() {
    metrics::describe_gauge!(
        PENDING,
        "Jobs in the database that the queue does not have yet, those for later included"
    );
    metrics::describe_gauge!(
        OLDEST,
        Unit::Seconds,
        "How long the oldest of them that is due has waited; 0 if none is due"
    );
    metrics::describe_counter!(PUSHED, "Jobs that the relay took to the queue, by the answer of the queue");
    metrics::describe_histogram!(
        PUSH_LAG,
        Unit::Seconds,
        "From the commit of a job, or its time, until the queue had it"
    );
    metrics::describe_counter!(WRITTEN, "Ends of jobs written into the database");
    metrics::describe_histogram!(KEEPER_LAG, Unit::Seconds, "From the end of a job until the database had it");
    metrics::describe_counter!(RESENT, "Jobs that the queue had lost and that are sent again");
    metrics::describe_counter!(SLOTS, "Slots of schedules, by schedule and result: fired, held, skipped, failed");
    metrics::describe_histogram!(LATENESS, Unit::Seconds, "How long after its time a slot fired");
    metrics::describe_counter!(DRIFT_TOTAL, "Contradictions that an audit of a queue found, by queue and kind");
    metrics::describe_gauge!(LOOP_OK, "1 if a loop of this process does its work, as /ready judges");
    metrics::describe_gauge!(
        LOOP_AGE,
        Unit::Seconds,
        "The time since the last good round of a loop, or since its begin"
    );
}

/// Sets the figures of the outbox to what was just read of it.
pub fn set_backlog(backlog: &Backlog, now: DateTime<Utc>) {
    metrics::gauge!(PENDING).set(backlog.pending as f64);
    metrics::gauge!(OLDEST).set(backlog.next_due_at.map_or(0.0, |due| seconds(now - due)));
}

/// Sets the figures of the loops of this process.
pub fn set_loops(all: &[Going]) {
    for going in all {
        metrics::gauge!(LOOP_OK, "loop" => going.name).set(f64::from(u8::from(going.ok)));
        metrics::gauge!(LOOP_AGE, "loop" => going.name).set(going.last_good.unwrap_or(going.begun).as_secs_f64());
    }
}

/// Counts the answer of the queue to the push of a job.
pub(super) fn pushed(answer: &Pushed) {
    let answer = match answer {
        Pushed::Created => "created",
        Pushed::Duplicate => "duplicate",
        Pushed::Replaced { .. } => "replaced",
        Pushed::Conflict { .. } => "conflict",
        Pushed::Refused(_) => "refused",
    };
    metrics::counter!(PUSHED, "answer" => answer).increment(1);
}

/// Notes how long a job was on its way to the queue.
pub(super) fn push_lag(lag: TimeDelta) {
    metrics::histogram!(PUSH_LAG).record(seconds(lag));
}

/// Notes that the end of a job is written.
pub(super) fn ended(ended_at_ms: i64, now: DateTime<Utc>) {
    metrics::counter!(WRITTEN).increment(1);
    metrics::histogram!(KEEPER_LAG).record(seconds(TimeDelta::milliseconds(now.timestamp_millis() - ended_at_ms)));
}

/// Counts jobs that are sent again.
pub(super) fn resent(jobs: usize) {
    metrics::counter!(RESENT).increment(jobs as u64);
}

/// What became of a slot.
#[derive(Debug, Clone, Copy)]
pub(super) enum Slot {
    /// It fired, so long after its time.
    Fired(TimeDelta),
    /// It waits: for the job before, or for the end of a freeze.
    Held,
    /// It was passed over.
    Skipped,
    /// Its job could not be made.
    Failed,
}

/// Counts a slot of a schedule.
pub(super) fn slot(schedule: &str, slot: Slot) {
    let result = match slot {
        Slot::Fired(late) => {
            metrics::histogram!(LATENESS).record(seconds(late));
            "fired"
        }
        Slot::Held => "held",
        Slot::Skipped => "skipped",
        Slot::Failed => "failed",
    };
    let mut known = SCHEDULES.lock().unwrap_or_else(PoisonError::into_inner);
    let label = bounded(known.get_or_insert_default(), schedule).to_owned();
    metrics::counter!(SLOTS, "schedule" => label, "result" => result).increment(1);
}

/// Returns the name as a label, unless there are too many.
fn bounded<'a>(known: &mut HashSet<String>, name: &'a str) -> &'a str {
    if known.contains(name) {
        return name;
    }
    if known.len() >= MOST_SCHEDULES {
        return "other";
    }
    known.insert(name.to_owned());
    name
}

/// Two clocks may differ; a time is never less than nothing.
fn seconds(time: TimeDelta) -> f64 {
    time.to_std().unwrap_or(Duration::ZERO).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_labels_of_schedules_are_bounded() {
        let mut known = HashSet::new();
        for n in 0..MOST_SCHEDULES {
            let name = format!("s{n}");
            assert_eq!(bounded(&mut known, &name), name);
        }
        assert_eq!((bounded(&mut known, "s0"), bounded(&mut known, "one too many")), ("s0", "other"));
    }
}
