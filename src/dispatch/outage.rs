//! Failing again and again, and saying so once.

use std::time::{Duration, Instant};

use deskhand_jobs::outcome::chain;
use deskhand_jobs::retry::Backoff;

use super::rounds::{Loop, Rounds};

/// One loop's relation to what it depends on.
#[derive(Debug)]
pub(super) struct Outage {
    /// Who is hindered, for the log.
    what: &'static str,
    failures: u32,
    since: Option<Instant>,
    /// Where the rounds of the loop are noted, if it is one of those that a readiness door asks.
    rounds: Option<(Rounds, Loop)>,
}

const BACKOFF: Backoff = Backoff { base_ms: 250, factor: 2.0, max_ms: 10_000, jitter: 0.5 };

impl Outage {
    pub(super) fn new(what: &'static str) -> Self {
        Self { what, failures: 0, since: None, rounds: None }
    }

    /// Also notes how the rounds of a loop go.
    pub(super) fn noting(self, rounds: &Rounds, of: Loop) -> Self {
        Self { rounds: Some((rounds.clone(), of)), ..self }
    }

    /// Notes a failure, logs the first of a row, and says how long to wait.
    pub(super) fn failed(&mut self, error: &(dyn std::error::Error + 'static)) -> Duration {
        let what = self.what;
        if let Some((rounds, of)) = &self.rounds {
            rounds.failed(*of, error);
        }
        if self.since.is_none() {
            self.since = Some(Instant::now());
            tracing::warn!(what, error = chain(error), "{what} is hindered and keeps trying");
        }
        self.failures = self.failures.saturating_add(1);
        Duration::from_millis(BACKOFF.delay_ms(self.failures, rand::random()))
    }

    /// Notes a success, and logs the end of an outage.
    pub(super) fn over(&mut self) {
        if let Some((rounds, of)) = &self.rounds {
            rounds.done(*of);
        }
        if let Some(since) = self.since.take() {
            let what = self.what;
            tracing::info!(what, outage_ms = since.elapsed().as_millis() as u64, "{what} works again");
        }
        self.failures = 0;
    }

    /// Says whether the last round failed.
    pub(super) fn lasts(&self) -> bool {
        self.since.is_some()
    }
}
