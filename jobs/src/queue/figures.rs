//! The figures of queues, as gauges and totals: set by whoever answers those who watch. Names and meaning stand in `METRICS.md`.

use metrics::{counter, describe_counter, describe_gauge, gauge};

use super::QueueInfo;

const JOBS: &str = "deskhand_queue_jobs";
const OLDEST: &str = "deskhand_queue_oldest_ready_seconds";
const PAUSED: &str = "deskhand_queue_paused";

type Total = fn(&QueueInfo) -> u64;

/// What the queue itself counts since it was made.
const TOTALS: [(&str, Total, &str); 4] = [
    ("deskhand_queue_pushed_total", |queue| queue.pushed_total, "Jobs accepted"),
    ("deskhand_queue_succeeded_total", |queue| queue.succeeded_total, "Jobs that succeeded"),
    ("deskhand_queue_failed_total", |queue| queue.failed_total, "Attempts that failed"),
    ("deskhand_queue_recovered_total", |queue| queue.recovered_total, "Jobs taken back from dead workers"),
];

/// Describes the figures to the recorder of this process.
pub fn describe() {
    describe_gauge!(JOBS, "Jobs in the queue, by queue and state");
    describe_gauge!(
        OLDEST,
        metrics::Unit::Seconds,
        "How long the oldest of the jobs that come next is ready; 0 if none is"
    );
    describe_gauge!(PAUSED, "1 if the queue hands out nothing");
    for (name, _, meaning) in TOTALS {
        describe_counter!(name, meaning);
    }
}

/// Sets the figures of a queue to what was just read of it, at an instant in milliseconds since 1970.
pub fn set(queue: &QueueInfo, now_ms: i64) {
    let name = queue.name.to_string();
    for (state, jobs) in
        [("ready", queue.ready), ("scheduled", queue.scheduled), ("running", queue.running), ("dead", queue.dead)]
    {
        gauge!(JOBS, "queue" => name.clone(), "state" => state).set(jobs as f64);
    }
    for (total, of, _) in TOTALS {
        counter!(total, "queue" => name.clone()).absolute(of(queue));
    }
    // The clock of whoever reads against that of the store or of the enqueuer: never less than nothing.
    let age_ms = queue.oldest_ready_at_ms.map_or(0, |since_ms| now_ms.saturating_sub(since_ms).max(0));
    gauge!(OLDEST, "queue" => name.clone()).set(age_ms as f64 / 1_000.0);
    gauge!(PAUSED, "queue" => name).set(f64::from(u8::from(queue.paused)));
}
