//! What running jobs tell: written to the store, and read again.

use super::ids::Packed;
use super::scripts;
use super::store::RedisQueue;
use super::work::by_queue;
use crate::queue::{LogLine, Progress, Report, Result, Settled};

/// The most reports that one script call handles; each may carry 25 kB.
const REPORTS: usize = 50;

impl RedisQueue {
    pub(super) async fn keep_reports(&self, reports: &[Report]) -> Result<Vec<Settled>> {
        let mut answers = vec![Settled::Unanswered; reports.len()];
        for (queue, places) in by_queue(reports, |report| &report.queue) {
            for places in places.chunks(REPORTS) {
                let mut arguments = Vec::with_capacity(places.len() * 5);
                for report in places.iter().map(|&place| &reports[place]) {
                    arguments.push(Packed::of(report.id).to_vec());
                    arguments.push(report.lease.0.as_bytes().to_vec());
                    arguments.push(report.progress.map(progress_text).unwrap_or_default().into_bytes());
                    arguments.push(report.before.to_string().into_bytes());
                    arguments.push(report.lines.iter().map(line_text).collect::<String>().into_bytes());
                }
                let values: Vec<u8> = match self.connection.call(&scripts::report, &queue, &arguments).await {
                    Ok(values) => values,
                    Err(error) if self.connection.is_partial(&error) => continue,
                    Err(error) => return Err(error),
                };
                for (&place, value) in places.iter().zip(values) {
                    answers[place] = if value == 1 { Settled::Applied } else { Settled::Stale };
                }
            }
        }
        Ok(answers)
    }
}

fn progress_text(Progress { done, total }: Progress) -> String {
    format!("{done}:{}", total.map(|total| total.to_string()).unwrap_or_default())
}

/// Reads how far a job is; nothing, or what cannot be read, is nothing.
pub(super) fn read_progress(text: &str) -> Option<Progress> {
    let (done, total) = text.split_once(':')?;
    Some(Progress { done: done.parse().ok()?, total: total.parse().ok() })
}

fn line_text(LogLine { attempt, at_ms, text }: &LogLine) -> String {
    // Whoever writes a report may not have cut its lines.
    format!("{attempt}:{at_ms}:{}\n", text.replace('\n', " "))
}

/// Reads a log; a line that cannot be read is left out.
pub(super) fn read_log(text: &str) -> Vec<LogLine> {
    let line = |line: &str| {
        let (attempt, rest) = line.split_once(':')?;
        let (at_ms, text) = rest.split_once(':')?;
        Some(LogLine { attempt: attempt.parse().ok()?, at_ms: at_ms.parse().ok()?, text: text.to_owned() })
    };
    text.lines().filter_map(line).collect()
}
