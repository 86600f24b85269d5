//! What running jobs tell: how far they are, and short lines of log.

use serde::{Deserialize, Serialize};

use super::Lease;
use crate::id::{JobId, QueueName};

/// The most lines of log that a job keeps, over all its attempts; the oldest go.
pub const MAX_LOG_LINES: usize = 50;

/// The most bytes that a line keeps.
pub const MAX_LINE_BYTES: usize = 500;

/// How far an attempt is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Progress {
    /// How much is done.
    pub done: u64,
    /// Of how much, if that is known.
    pub total: Option<u64>,
}

/// One line that a handler has noted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// The attempt that noted it. The log of a job goes on over its attempts, because the one that failed is of interest.
    pub attempt: u32,
    /// When, by the store's clock as of the claim and the worker's since.
    pub at_ms: i64,
    /// One line of at most [`MAX_LINE_BYTES`].
    pub text: String,
}

impl LogLine {
    /// Makes a line of any text: control characters become blanks, and what is longer than [`MAX_LINE_BYTES`] is cut.
    pub fn new(attempt: u32, at_ms: i64, text: &str) -> Self {
        Self { attempt, at_ms, text: one_line(text) }
    }
}

/// What a running job has told since the report before.
#[derive(Debug, Clone)]
pub struct Report {
    /// The job.
    pub id: JobId,
    /// Its queue.
    pub queue: QueueName,
    /// The lease from the claim.
    pub lease: Lease,
    /// How far it is, if it has said so.
    pub progress: Option<Progress>,
    /// How many lines this attempt had noted before the first of these; so a report may be repeated.
    pub before: u64,
    /// The lines, the oldest first.
    pub lines: Vec<LogLine>,
}

impl Report {
    /// Returns the lines that come behind the first `known` ones of the attempt.
    pub(crate) fn fresh(&self, known: u64) -> &[LogLine] {
        let skip = known.saturating_sub(self.before).min(self.lines.len() as u64);
        &self.lines[skip as usize..]
    }

    /// Returns how many lines the attempt has noted after this report, of which the store knew so many before.
    pub(crate) fn known_after(&self, known: u64) -> u64 {
        known.max(self.before + self.lines.len() as u64)
    }
}

/// Adds lines to a log and keeps the last ones.
pub(crate) fn append(log: &mut Vec<LogLine>, lines: &[LogLine]) {
    log.extend_from_slice(lines);
    log.drain(..log.len().saturating_sub(MAX_LOG_LINES));
}

/// Makes one line of a text, no longer than is kept.
pub(crate) fn one_line(text: &str) -> String {
    let mut line: String = text.trim_end().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.len() > MAX_LINE_BYTES {
        line.truncate(line.floor_char_boundary(MAX_LINE_BYTES - '…'.len_utf8()));
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(n: usize) -> LogLine {
        LogLine { attempt: 1, at_ms: 0, text: n.to_string() }
    }

    fn report(before: usize, upto: usize) -> Report {
        Report {
            id: JobId::new(),
            queue: QueueName::default(),
            lease: Lease("lease".into()),
            progress: None,
            before: before as u64,
            lines: (before..upto).map(line).collect(),
        }
    }

    proptest! {
        #[test]
        fn repeated_and_overlapping_reports_leave_each_line_once(cuts in prop::collection::vec((0usize..40, 0usize..12), 1..20)) {
            let (mut log, mut known, mut reached) = (Vec::new(), 0, 0_usize);
            for (back, size) in cuts {
                // Never leaves a gap: a worker repeats what it was not answered for.
                let before = reached.saturating_sub(back);
                let upto = before + size;
                let report = report(before, upto);
                append(&mut log, report.fresh(known));
                known = report.known_after(known);
                reached = reached.max(upto);
            }
            let expected: Vec<LogLine> = (reached.saturating_sub(MAX_LOG_LINES)..reached).map(line).collect();
            prop_assert_eq!(log, expected);
            prop_assert_eq!(known, reached as u64);
        }

        #[test]
        fn whatever_is_noted_is_one_short_line(text in "\\PC{0,400}|[\n\r\tä…a]{0,800}") {
            let line = one_line(&text);
            prop_assert!(line.len() <= MAX_LINE_BYTES && !line.chars().any(char::is_control));
        }
    }
}
