//! Reports of running jobs on their way to the store: at most one call a second for all of them, and none while nothing is said.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::config::Pace;
use super::outage::{Failure, Outage};
use crate::queue::{Queue, Report, Settled};
use crate::teller::{Desk, Sent, Sheet};

pub(super) struct Telling {
    pub slot: Option<BoxFuture<'static, ()>>,
    pub announced: mpsc::UnboundedReceiver<Arc<Sheet>>,
    pub desk: Desk,
    queue: Arc<dyn Queue>,
    outage: Arc<Outage>,
    pace: Pace,
    waiting: Vec<Arc<Sheet>>,
    /// Not before then.
    next: Instant,
}

impl Telling {
    pub(super) fn new(queue: Arc<dyn Queue>, outage: Arc<Outage>, pace: Pace) -> Self {
        let (desk, announced) = mpsc::unbounded_channel();
        Self { slot: None, announced, desk, queue, outage, pace, waiting: Vec::new(), next: Instant::now() }
    }

    /// Takes up a sheet on which something is written.
    pub(super) fn take(&mut self, sheet: Arc<Sheet>) {
        self.waiting.push(sheet);
    }

    /// Returns when the next reports may go, if there are any.
    pub(super) fn due(&self) -> Option<Instant> {
        (self.slot.is_none() && !self.waiting.is_empty()).then_some(self.next)
    }

    /// Sends what is written on the sheets.
    pub(super) fn start(&mut self) {
        self.next = Instant::now() + self.pace.tell;
        let sheets = std::mem::take(&mut self.waiting);
        self.slot = Some(tell(Arc::clone(&self.queue), Arc::clone(&self.outage), sheets, self.pace.patience).boxed());
    }
}

async fn tell(queue: Arc<dyn Queue>, outage: Arc<Outage>, sheets: Vec<Arc<Sheet>>, patience: Duration) {
    let written = sheets.into_iter().filter_map(|sheet| sheet.send().map(|sent| (sheet, sent)));
    let (sheets, sent): (Vec<Arc<Sheet>>, Vec<Sent>) = written.unzip();
    let reports: Vec<Report> = sent.iter().map(|sent| sent.report.clone()).collect();
    match hand_over(&*queue, &outage, &reports, patience).await {
        // What it refuses today it refuses tomorrow.
        Ok(unanswered) => {
            for (n, (sheet, sent)) in sheets.iter().zip(&sent).enumerate() {
                if unanswered.contains(&n) { sheet.again() } else { sheet.taken(sent) }
            }
        }
        Err(_) => sheets.iter().for_each(Sheet::again),
    }
}

/// Hands reports over. They are never worth the end of a job: what the store refuses is told in the log and given up. Returns the
/// places of those that a part of the store did not answer.
pub(super) async fn hand_over(
    queue: &dyn Queue,
    outage: &Outage,
    reports: &[Report],
    patience: Duration,
) -> Result<Vec<usize>, Failure> {
    if reports.is_empty() {
        return Ok(Vec::new());
    }
    let answer = match timeout(patience, queue.report(reports)).await {
        Ok(answer) => answer.map_err(Failure::from),
        Err(silence) => Err(silence.into()),
    };
    let failure = match answer {
        Ok(answers) => {
            let unanswered = answers.iter().enumerate().filter(|(_, answer)| **answer == Settled::Unanswered);
            return Ok(unanswered.map(|(place, _)| place).collect());
        }
        Err(failure) => failure,
    };
    if failure.may_be_ours() {
        let error = crate::outcome::chain(&failure);
        tracing::warn!(error, jobs = reports.len(), "the queue does not take what {} jobs report", reports.len());
        return Ok(Vec::new());
    }
    outage.doubt();
    Err(failure)
}
