//! What is counted of synchronisations, per system. A system is told by its tenant and its name.

use super::model::{PushState, SyncLog, System};

const RUNS: &str = "deskhand_sync_runs_total";
const SECONDS: &str = "deskhand_sync_run_seconds";
const TICKETS: &str = "deskhand_sync_tickets_total";
const UNMAPPED: &str = "deskhand_sync_unmapped_total";
const STREAK: &str = "deskhand_sync_failures_in_a_row";
const LAST_SUCCESS: &str = "deskhand_sync_last_success_timestamp_seconds";
const FAILING: &str = "deskhand_sync_failed_tickets";
const UPDATES: &str = "deskhand_external_updates_total";

const MS_PER_S: f64 = 1_000.0;

/// Describes the figures to the recorder of this process.
pub fn describe() {
    metrics::describe_counter!(RUNS, "Runs of synchronisations that ended, by system and result");
    metrics::describe_histogram!(
        SECONDS,
        metrics::Unit::Seconds,
        "How long runs took from their first attempt to their end"
    );
    metrics::describe_counter!(TICKETS, "Tickets that runs read, by what became of them");
    metrics::describe_counter!(UPDATES, "Updates of tickets in their systems that ended, by system and result");
    metrics::describe_counter!(UNMAPPED, "Words for status or priority that no rule of the system knew");
    metrics::describe_gauge!(FAILING, "Tickets that could not be taken: they are asked for later, or are given up");
    metrics::describe_gauge!(STREAK, "Runs that failed since the last good one");
    metrics::describe_gauge!(
        LAST_SUCCESS,
        metrics::Unit::Seconds,
        "When a run last reached its end; the lag is the time since"
    );
}

fn labels(system: &System) -> [(&'static str, String); 3] {
    [
        ("tenant", system.tenant.to_string()),
        ("system", system.name.clone()),
        ("system_type", system.system_type.clone()),
    ]
}

/// Counts a run that ended.
pub(super) fn ended(system: &System, log: &SyncLog) {
    let labels = labels(system);
    let [tenant, name, kind] = labels.clone();
    metrics::counter!(RUNS, &[tenant, name, kind, ("result", log.status.as_str().to_owned())]).increment(1);
    if let Some(ms) = log.execution_time_ms() {
        metrics::histogram!(SECONDS, &labels).record(ms as f64 / MS_PER_S);
    }
    let counts = log.counts;
    for (outcome, count) in [
        ("created", counts.created),
        ("updated", counts.updated),
        ("unchanged", counts.unchanged),
        ("failed", counts.failed),
        ("deleted", counts.deleted),
    ] {
        let [tenant, name, kind] = labels.clone();
        let of_outcome = [tenant, name, kind, ("outcome", outcome.to_owned())];
        metrics::counter!(TICKETS, &of_outcome).increment(count.unsigned_abs());
    }
    metrics::counter!(UNMAPPED, &labels).increment(counts.unmapped.unsigned_abs());
    if let Some(at) = log.ended_at.filter(|_| log.status.is_good()) {
        metrics::gauge!(LAST_SUCCESS, &labels).set(at.timestamp_millis() as f64 / MS_PER_S);
    }
}

/// Tells how many runs of a system in a row have failed.
pub(super) fn streak(system: &System, runs: i64) {
    metrics::gauge!(STREAK, &labels(system)).set(runs as f64);
}

/// Tells how many tickets of a system could not be taken.
pub(super) fn failing(system: &System, tickets: i64) {
    metrics::gauge!(FAILING, &labels(system)).set(tickets as f64);
}

/// Tells what is known of a system, so that one that never gets a run shows as well.
pub(super) fn known(system: &System) {
    streak(system, system.failure_streak);
    if let Some(at) = system.last_sync_at {
        metrics::gauge!(LAST_SUCCESS, &labels(system)).set(at.timestamp_millis() as f64 / MS_PER_S);
    }
}

/// Counts an update that ended.
pub(super) fn updated(system: &System, state: PushState) {
    let [tenant, name, kind] = labels(system);
    metrics::counter!(UPDATES, &[tenant, name, kind, ("result", state.as_str().to_owned())]).increment(1);
}
