//! Removes what has ended long ago.

use std::time::Duration;

use deskhand_jobs::outcome::{self, Outcome};
use deskhand_jobs::{Job, Options, Run, Unique, UniqueUntil};
use serde::{Deserialize, Serialize};

use crate::db::Db;
use crate::dispatch::retention::{self, Keep};

/// A million rows go in a few minutes; what is left after this goes in the next attempt.
const TIMEOUT_MS: u64 = 30 * 60_000;

/// Removes jobs and slots that have been kept long enough.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Clean(Keep);

impl Job for Clean {
    const KIND: &'static str = "ledger.clean";
    type Context = Db;

    fn options(&self) -> Options {
        let unique = Some(Unique::new(Self::KIND, UniqueUntil::Finished));
        Options { unique, timeout_ms: TIMEOUT_MS, max_attempts: 5, ..Options::default() }
    }

    async fn run(self, db: Db, run: Run) -> outcome::Result {
        let removed = retention::clean(&db, self.0, run.cancelled.token()).await?;
        tracing::info!(
            jobs = removed.jobs,
            slots = removed.slots,
            "removed {} jobs and {} slots that ended long ago",
            removed.jobs,
            removed.slots
        );
        // A worker that stops hands the rest to the next one.
        Ok(if run.cancelled.is_cancelled() { Outcome::Snooze(Duration::ZERO) } else { Outcome::Done })
    }
}
