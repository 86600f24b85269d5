//! What the operating system says of this process, under the names that Prometheus has for it.

use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use metrics::Unit;

const BUILD: &str = "deskhand_build_info";
const STARTED: &str = "process_start_time_seconds";
const MEMORY: &str = "process_resident_memory_bytes";
const FDS: &str = "process_open_fds";
const FDS_MAX: &str = "process_max_fds";
const THREADS: &str = "process_threads";
const CPU: &str = "process_cpu_seconds_total";

/// Linux counts the time of processes in hundredths of a second, whatever its clock does.
const TICKS_PER_SECOND: f64 = 100.0;

pub(super) fn describe() {
    metrics::describe_gauge!(BUILD, "Always 1; the label is the version of the program");
    metrics::describe_gauge!(STARTED, Unit::Seconds, "When the process began to count, in seconds since 1970");
    metrics::describe_gauge!(MEMORY, Unit::Bytes, "Memory of the process that is in RAM");
    metrics::describe_gauge!(FDS, "Files and connections that are open");
    metrics::describe_gauge!(FDS_MAX, "How many may be open");
    metrics::describe_gauge!(THREADS, "Threads of the process");
    metrics::describe_gauge!(CPU, Unit::Seconds, "Time that the process has spent on processors; only grows");
}

/// Sets the figures to what is so now. Where there is no `/proc`, those that stand there are left out.
pub(super) fn tell() {
    static BEGAN: OnceLock<f64> = OnceLock::new();
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    metrics::gauge!(STARTED).set(*BEGAN.get_or_init(now));
    metrics::gauge!(BUILD, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    let read = |name: &str| std::fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
    let status = read("status");
    if let Some(kibibytes) = number_after(&status, "VmRSS:") {
        metrics::gauge!(MEMORY).set(kibibytes * 1024.0);
    }
    if let Some(threads) = number_after(&status, "Threads:") {
        metrics::gauge!(THREADS).set(threads);
    }
    if let Some(most) = number_after(&read("limits"), "Max open files") {
        metrics::gauge!(FDS_MAX).set(most);
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        metrics::gauge!(FDS).set(open.count() as f64);
    }
    if let Some(seconds) = cpu_seconds(&read("stat")) {
        metrics::gauge!(CPU).set(seconds);
    }
}

fn number_after(text: &str, name: &str) -> Option<f64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// Reads the two times of the process itself; the name before them may hold anything, so counting begins behind it.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11).map(str::parse::<f64>);
    let (user, system) = (times.next()?.ok()?, times.next()?.ok()?);
    Some((user + system) / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_linux_writes_is_read() {
        assert_eq!(number_after("Name:\tx\nVmRSS:\t   2048 kB\n", "VmRSS:"), Some(2048.0));
        assert_eq!(
            number_after(
                "Max open files            1024                 4096                 files\n",
                "Max open files"
            ),
            Some(1024.0)
        );
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 9 0 0 0 150 50 0 0 20 0 9 0 100 1 2";
        assert_eq!(cpu_seconds(stat), Some(2.0));
        assert_eq!(cpu_seconds(""), None);
    }
}
