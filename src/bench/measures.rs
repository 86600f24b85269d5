//! Every figure of a run: its key for programs, its name for people, and how it is taken.

use Unit::{Bytes, Count, Ms, PerSecond, Ratio, Seconds};

/// What a figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Jobs a second.
    PerSecond,
    /// Milliseconds.
    Ms,
    /// Bytes.
    Bytes,
    /// Seconds of a processor.
    Seconds,
    /// How many.
    Count,
    /// A number without a unit.
    Ratio,
}

/// One figure of a run.
#[derive(Debug)]
pub struct Measure {
    /// Its key in the report.
    pub key: &'static str,
    /// Its name.
    pub title: &'static str,
    /// What it counts.
    pub unit: Unit,
    /// How it is taken.
    pub how: &'static str,
}

const fn measure(key: &'static str, title: &'static str, unit: Unit, how: &'static str) -> Measure {
    Measure { key, title, unit, how }
}

/// The figures of every run, in the order of a report.
pub const MEASURES: [Measure; 26] = [
    measure("enqueue_single_per_s", "enqueue one by one", PerSecond, "one push after another"),
    measure("ping_ms", "  a bare round trip", Ms, "PING of the same client, one after another"),
    measure("single_per_ping", "  one push / one round trip", Ratio, ""),
    measure("page_on_disk_ms", "  a bare write", Ms, "4 KiB and fdatasync, one after another"),
    measure("single_per_page", "  one push / one write", Ratio, ""),
    measure("enqueue_bulk_per_s", "enqueue in bulk", PerSecond, "batches of 500, two at a time"),
    measure("bare_bulk_per_s", "  bare server", PerSecond, "a script that fills a list and a hash, the same batches"),
    measure("bulk_ratio", "  ours / bare", Ratio, "of the same round"),
    measure("bulk_cpu_s_per_100k", "  CPU here, for 100,000", Seconds, "this process, while it pushes"),
    measure("bulk_redis_cpu_s_per_100k", "  CPU of Redis, for 100,000", Seconds, "INFO cpu, while it takes them"),
    measure("bytes_per_waiting_job", "bytes per waiting job", Bytes, "payload and everything beside it"),
    measure("drain_per_s", "drain", PerSecond, "from the worker's start until every end is kept"),
    measure(
        "bare_drain_per_s",
        "  bare server",
        PerSecond,
        "scripts that claim and settle, batches of 500, two at a time",
    ),
    measure("drain_ratio", "  ours / bare", Ratio, "of the same round"),
    measure(
        "worker_cpu_s_per_100k",
        "  CPU of the worker, for 100,000",
        Seconds,
        "this process, jobs pushed beforehand",
    ),
    measure("redis_cpu_s_per_100k", "  CPU of Redis, for 100,000", Seconds, "INFO cpu"),
    measure(
        "bare_redis_cpu_s_per_100k",
        "  CPU of Redis, bare",
        Seconds,
        "INFO cpu, while the bare scripts claim and settle",
    ),
    measure(
        "pickup_p50_ms",
        "pick-up, idle worker, p50",
        Ms,
        "before the push to the handler's first line, a job every 20 ms",
    ),
    measure("pickup_p99_ms", "pick-up, idle worker, p99", Ms, "the same"),
    measure("through_per_s", "through", PerSecond, "pushed in bulk and run at the same time"),
    measure("load_pickup_p50_ms", "pick-up at 80 % load, p50", Ms, "a steady stream of 80 % of what goes through"),
    measure("load_pickup_p99_ms", "pick-up at 80 % load, p99", Ms, "the same"),
    measure("delay_error_p50_ms", "delay error, p50", Ms, "start after the due time, due evenly over 5 s"),
    measure("delay_error_p99_ms", "delay error, p99", Ms, "the same"),
    measure("delay_error_max_ms", "delay error, largest", Ms, "the same"),
    measure("delayed_jobs", "  delayed jobs", Count, "few enough that a worker is far from its limits"),
];

/// The figures of `--deep`: rates as parts of those of plain jobs and a short backlog.
pub const DEEP: [Measure; 8] = [
    measure("backlog_ratio", "drain of a long backlog / a short", Ratio, "1,000,000 and 10,000 at 200,000 jobs"),
    measure("priorities_bulk_ratio", "bulk with priorities / plain", Ratio, "four priorities mixed"),
    measure("priorities_drain_ratio", "drain with priorities / plain", Ratio, "the same"),
    measure("groups_bulk_ratio", "bulk with groups / plain", Ratio, "100 groups with limits that never bind"),
    measure("groups_drain_ratio", "drain with groups / plain", Ratio, "the same"),
    measure("unique_bulk_ratio", "bulk with unique keys / plain", Ratio, "every job with a key of its own"),
    measure("unique_drain_ratio", "drain with unique keys / plain", Ratio, "the same"),
    measure("two_workers_ratio", "two workers / one", Ratio, "on a cluster: two queues on two masters"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_stands_twice() {
        let mut keys: Vec<_> = MEASURES.iter().chain(&DEEP).map(|measure| measure.key).collect();
        keys.sort_unstable();
        let all = keys.len();
        keys.dedup();
        assert_eq!(keys.len(), all);
    }
}
