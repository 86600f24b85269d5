//! What is counted of synchronisations.

use super::model::{RunStatus, System};

const RUNS: &str = "deskhand_sync_runs_total";

/// Describes the figures to the recorder of this process.
pub fn describe() {
    metrics::describe_counter!(RUNS, "Runs of synchronisations that ended, by system type and result");
}

/// Counts a run that ended. The kinds of systems are those that the program has adapters for.
pub(super) fn ended(system: &System, status: RunStatus) {
    metrics::counter!(RUNS, "system_type" => system.system_type.clone(), "result" => status.as_str()).increment(1);
}
