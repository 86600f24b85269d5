//! `deskhand bench`: how fast a queue is on the user's own server.

use anyhow::Context;
use clap::Args;
use tokio_util::task::AbortOnDropHandle;

use super::print::Output;
use crate::app::{Threads, stop_signal};
use crate::bench::{self, DEEP, LEAST_PAYLOAD_BYTES, MEASURES, Plan, Report, Unit};
use crate::config::Config;
use crate::http::metrics;

/// The most jobs of a run: more would say nothing new and fill a server.
const MOST_JOBS: u64 = 10_000_000;

/// Measure how fast a queue is on your own server, beside what the bare server does with the same bytes.
///
/// It loads the server as much as it bears, under keys or in a file of its own, and removes them at the end, also on Ctrl-C.
#[derive(Debug, Args)]
pub(super) struct Bench {
    /// The address of the queue, as `queue.url` has it; a file is not touched, another one beside it is made.
    #[arg(long, value_name = "URL")]
    queue_url: String,
    /// How many jobs are pushed in bulk and drained; the other numbers follow from it.
    #[arg(long, value_name = "N", default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(100..=MOST_JOBS))]
    jobs: u64,
    /// The size of a job's arguments, in bytes.
    #[arg(
        long, value_name = "BYTES", default_value_t = 100,
        value_parser = clap::value_parser!(u64).range(LEAST_PAYLOAD_BYTES as u64..=deskhand_jobs::MAX_ARGS_BYTES as u64)
    )]
    payload: u64,
    /// How many jobs the worker has at once.
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    concurrency: u64,
    /// How often everything is measured; medians are told.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=99))]
    rounds: u64,
    /// Measure also what backlogs, priorities, groups and unique keys cost; it takes minutes.
    #[arg(long)]
    deep: bool,
    /// Fail if ours beside the bare Redis has become slower than it should be.
    #[arg(long)]
    guard: bool,
    #[command(flatten)]
    output: Output,
}

pub(super) async fn run(command: Bench, config: &Config) -> anyhow::Result<()> {
    if command.guard {
        bench::can_judge(&command.queue_url).map_err(anyhow::Error::msg).context("--guard")?;
    }
    let plan = Plan {
        url: command.queue_url,
        prefix: config.queue.prefix.clone(),
        jobs: command.jobs as usize,
        payload_bytes: command.payload as usize,
        concurrency: command.concurrency as usize,
        rounds: command.rounds as usize,
        deep: command.deep,
    };
    // A worker counts what it does, so that is part of what it costs.
    metrics::record()?;
    let _upkeep = AbortOnDropHandle::new(tokio::spawn(metrics::upkeep()));
    let threads = Threads::default();
    let (handlers, stop) = (threads.of(plan.concurrency)?, stop_signal()?);
    // On a thread of the runtime, as all that pushes.
    let running = tokio::spawn(bench::run(plan, handlers, stop, tell));
    let report = running.await.context("the measures broke")??;
    command.output.one(&report, || table(&report))?;
    if report.settings.build == "debug" {
        tell("this is a debug build: its figures mean nothing, build with --release");
    }
    if command.guard {
        let fallen = bench::fallen(&report).map_err(anyhow::Error::msg).context("--guard")?;
        anyhow::ensure!(fallen.is_empty(), "slower than it should be: {}", fallen.join("; "));
    }
    Ok(())
}

/// Says on standard error what is going on: standard output is for the figures.
fn tell(what: &str) {
    use std::io::Write;

    // Nobody may be there to read it, which is no reason to stop.
    let _ = writeln!(std::io::stderr(), "{what}");
}

fn table(report: &Report) -> String {
    let lines = report.settings.lines();
    let width = lines.iter().map(|(key, _)| key.len()).max().unwrap_or_default();
    let lines: String =
        lines.iter().map(|(key, value)| [&*format!("{key:<width$}"), "  ", value, "\n"].concat()).collect();
    let beside = report.settings.beside();
    let rows: Vec<[String; 4]> = MEASURES
        .iter()
        .chain(&DEEP)
        .filter_map(|measure| {
            let value = report.figures.get(measure.key).copied().flatten()?;
            Some([measure.title.to_owned(), figure(value, measure.unit), beside.clone(), measure.how.to_owned()])
        })
        .collect();
    format!("{lines}\n{}", super::print::table(["MEASURE", "FIGURE", "ON", "HOW"], &rows).trim_end())
}

/// Writes a figure with its unit, and with as many digits as it deserves.
fn figure(value: f64, unit: Unit) -> String {
    match unit {
        Unit::PerSecond => format!("{} /s", grouped(value)),
        Unit::Ms => format!("{value:.3} ms"),
        Unit::Bytes => format!("{value:.0} bytes"),
        Unit::Seconds => format!("{value:.3} s"),
        Unit::Count => grouped(value),
        Unit::Ratio => format!("{value:.2}"),
    }
}

/// Writes a whole number in groups of three digits.
fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.max(0.0));
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_written_for_people() {
        for (value, unit, text) in [
            (1_234_567.8, Unit::PerSecond, "1,234,568 /s"),
            (999.4, Unit::PerSecond, "999 /s"),
            (0.412_4, Unit::Ms, "0.412 ms"),
            (214.6, Unit::Bytes, "215 bytes"),
            (0.25, Unit::Seconds, "0.250 s"),
            (100_000.0, Unit::Count, "100,000"),
            (0.456, Unit::Ratio, "0.46"),
        ] {
            assert_eq!(figure(value, unit), text);
        }
    }
}
