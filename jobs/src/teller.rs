//! How a handler tells of its progress: at no cost for it, and none for the store while it says nothing.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::mpsc;

use crate::id::{JobId, QueueName};
use crate::queue::{Claimed, Lease, LogLine, MAX_LOG_LINES, Progress, Report, one_line};

/// What an attempt tells. It is kept here until the worker sends it, about once a second for all its jobs together.
///
/// The default has nobody who listens.
#[derive(Debug, Clone, Default)]
pub struct Teller(Option<Arc<Sheet>>);

/// What one attempt has told and the store has not taken yet.
#[derive(Debug)]
pub(crate) struct Sheet {
    id: JobId,
    queue: QueueName,
    lease: Lease,
    attempt: u32,
    claimed_at_ms: i64,
    claimed: Instant,
    said: Mutex<Said>,
    desk: Arc<Desk>,
}

/// Where a sheet announces itself.
pub(crate) type Desk = mpsc::UnboundedSender<Arc<Sheet>>;

#[derive(Debug, Default)]
struct Said {
    progress: Option<Progress>,
    lines: VecDeque<LogLine>,
    /// How many lines there were before the first of `lines`.
    before: u64,
    /// Counts what was said.
    times: u64,
    /// The count up to which the store has taken everything.
    taken: u64,
    /// Whether the desk knows that there is something.
    announced: bool,
    /// Whether the attempt is over.
    closed: bool,
}

/// A report on its way, and what it covers.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) report: Report,
    times: u64,
}

impl Teller {
    /// Begins a sheet for a job that was claimed then; it announces itself at the desk when something is on it.
    pub(crate) fn new(job: &Claimed, claimed: Instant, desk: Arc<Desk>) -> Self {
        Self(Some(Arc::new(Sheet {
            id: job.id,
            queue: job.queue.clone(),
            lease: job.lease.clone(),
            attempt: job.history.failures.saturating_add(1),
            claimed_at_ms: job.claimed_at_ms,
            claimed,
            said: Mutex::default(),
            desk,
        })))
    }

    /// Says how far the attempt is; only the latest counts.
    pub fn progress(&self, done: u64, total: impl Into<Option<u64>>) {
        let progress = Progress { done, total: total.into() };
        self.say(|said| said.progress = Some(progress));
    }

    /// Notes a line. Line breaks become spaces, and more than [`MAX_LINE_BYTES`](crate::queue::MAX_LINE_BYTES) are cut; a job keeps
    /// its last [`MAX_LOG_LINES`].
    pub fn note(&self, text: impl AsRef<str>) {
        let Some(sheet) = &self.0 else { return };
        let at_ms = sheet.claimed_at_ms.saturating_add_unsigned(sheet.claimed.elapsed().as_millis() as u64);
        let line = LogLine { attempt: sheet.attempt, at_ms, text: one_line(text.as_ref()) };
        self.say(|said| {
            said.lines.push_back(line);
            if said.lines.len() > MAX_LOG_LINES {
                said.lines.pop_front();
                said.before += 1;
            }
        });
    }

    fn say(&self, write: impl FnOnce(&mut Said)) {
        let Some(sheet) = &self.0 else { return };
        let mut said = sheet.said();
        if said.closed {
            return;
        }
        write(&mut said);
        said.times += 1;
        if !std::mem::replace(&mut said.announced, true) {
            // Nobody is at the desk only when the worker has ended.
            let _ = sheet.desk.send(Arc::clone(sheet));
        }
    }

    /// Ends the sheet; what is said from now on is not heard. Returns what the store has not taken.
    pub(crate) fn close(&self) -> Option<Report> {
        let sheet = self.0.as_ref()?;
        let mut said = sheet.said();
        said.closed = true;
        let left = said.times != said.taken;
        drop(said);
        left.then(|| sheet.write().report)
    }
}

impl Sheet {
    /// Writes a report of what the store has not taken, unless the attempt is over.
    pub(crate) fn send(&self) -> Option<Sent> {
        let mut said = self.said();
        said.announced = false;
        if said.closed || said.times == said.taken {
            return None;
        }
        drop(said);
        Some(self.write())
    }

    /// Notes that the store has taken a report.
    pub(crate) fn taken(&self, sent: &Sent) {
        let mut said = self.said();
        said.taken = said.taken.max(sent.times);
        let upto = sent.report.before + sent.report.lines.len() as u64;
        while said.before < upto && said.lines.pop_front().is_some() {
            said.before += 1;
        }
    }

    /// Announces itself again after a report that was not taken.
    pub(crate) fn again(self: &Arc<Self>) {
        if !std::mem::replace(&mut self.said().announced, true) {
            let _ = self.desk.send(Arc::clone(self));
        }
    }

    fn write(&self) -> Sent {
        let said = self.said();
        let report = Report {
            id: self.id,
            queue: self.queue.clone(),
            lease: self.lease.clone(),
            progress: said.progress,
            before: said.before,
            lines: said.lines.iter().cloned().collect(),
        };
        Sent { report, times: said.times }
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::History;

    fn sheet() -> (Teller, mpsc::UnboundedReceiver<Arc<Sheet>>) {
        let (desk, announced) = mpsc::unbounded_channel();
        let job = Claimed {
            id: JobId::new(),
            queue: QueueName::default(),
            lease: Lease("lease".into()),
            payload: bytes::Bytes::new(),
            history: History { failures: 2, ..History::default() },
            claimed_at_ms: 1_000,
        };
        (Teller::new(&job, Instant::now(), Arc::new(desk)), announced)
    }

    fn texts(report: &Report) -> Vec<&str> {
        report.lines.iter().map(|line| line.text.as_str()).collect()
    }

    #[test]
    fn much_that_is_said_is_announced_once_and_the_latest_counts() {
        let (teller, mut desk) = sheet();
        for n in 0..1_000 {
            teller.progress(n, 1_000);
            teller.note(format!("line {n}"));
        }
        let sheet = desk.try_recv().expect("announced");
        assert!(desk.try_recv().is_err(), "once");
        let sent = sheet.send().expect("something was said");
        assert_eq!(sent.report.progress, Some(Progress { done: 999, total: Some(1_000) }));
        assert_eq!((sent.report.before, sent.report.lines.len()), (950, MAX_LOG_LINES));
        assert_eq!((sent.report.lines[0].attempt, sent.report.lines[0].text.as_str()), (3, "line 950"));
        assert!(sent.report.lines[0].at_ms >= 1_000);
    }

    #[test]
    fn what_was_not_taken_is_told_again_and_what_was_is_not() {
        let (teller, mut desk) = sheet();
        teller.note("a");
        let sheet = desk.try_recv().expect("announced");
        sheet.send().expect("something");
        teller.note("b");
        let second = desk.try_recv().expect("announced again").send().expect("something");
        assert_eq!((second.report.before, texts(&second.report)), (0, vec!["a", "b"]));
        teller.note("c");
        sheet.taken(&second);
        let rest = teller.close().expect("something is left");
        assert_eq!((rest.before, texts(&rest)), (2, vec!["c"]));
    }

    #[test]
    fn nothing_is_left_of_a_sheet_whose_last_report_was_taken() {
        let (teller, mut desk) = sheet();
        assert!(teller.close().is_none(), "nothing was said");
        let (teller, _) = (teller, desk.try_recv().expect_err("nothing was announced"));
        teller.progress(1, None);
        assert!(desk.try_recv().is_err(), "what is said too late is not heard");

        let (teller, mut desk) = sheet();
        teller.progress(1, None);
        let sheet = desk.try_recv().expect("announced");
        let sent = sheet.send().expect("something");
        sheet.taken(&sent);
        assert!(teller.close().is_none());
        Teller::default().note("to nobody");
    }
}
