//! What a worker counts.

use std::time::Duration;

use crate::id::QueueName;
use crate::queue::Verdict;

const FINISHED: &str = "deskhand_jobs_finished_total";
const DURATION: &str = "deskhand_job_duration_seconds";
const RUNNING: &str = "deskhand_jobs_running";
const RESCUED: &str = "deskhand_jobs_rescued_total";

/// Stands for every kind that no handler has: the kinds of strangers must not become label values.
pub(super) const NO_KIND: &str = "unknown";

pub(super) fn describe() {
    metrics::describe_counter!(FINISHED, "Attempts that ended, by queue, kind and outcome");
    metrics::describe_histogram!(DURATION, metrics::Unit::Seconds, "How long attempts took, by kind");
    metrics::describe_gauge!(RUNNING, "Handlers that run in this process");
    metrics::describe_counter!(RESCUED, "Jobs taken back from dead workers by this one");
}

pub(super) fn finished(queue: &QueueName, kind: &str, verdict: &Verdict, took: Duration) {
    let labels = [
        ("queue", queue.as_str().to_owned()),
        ("kind", kind.to_owned()),
        ("outcome", outcome_name(verdict).to_owned()),
    ];
    metrics::counter!(FINISHED, &labels).increment(1);
    metrics::histogram!(DURATION, "kind" => kind.to_owned()).record(took.as_secs_f64());
}

pub(super) fn running(change: f64) {
    metrics::gauge!(RUNNING).increment(change);
}

pub(super) fn rescued(jobs: usize) {
    metrics::counter!(RESCUED).increment(jobs as u64);
}

fn outcome_name(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Succeeded | Verdict::SucceededWith { .. } => "succeeded",
        Verdict::Retry { .. } => "failed",
        Verdict::Snooze { .. } => "snoozed",
        Verdict::SetAside { .. } => "set_aside",
        Verdict::HandBack => "handed_back",
        Verdict::Cancelled { .. } => "cancelled",
        Verdict::Dead { .. } => "dead",
    }
}
