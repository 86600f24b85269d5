//! One run: from page to page, each stored with the place up to which it reaches, so that whoever comes next goes on there.

use std::time::Duration;

use chrono::TimeDelta;
use deskhand_jobs::outcome::{self, Outcome, chain};
use deskhand_jobs::{JobId, Run};

use super::WorkOrders;
use super::context::adapter_of;
use super::fan_out::goes_on_as;
use crate::base::clock::later;
use crate::base::{Error, Result};
use crate::db::Tx;
use crate::work_orders::adapters::{self, Walk, Window};
use crate::work_orders::figures;
use crate::work_orders::model::{Counts, RunStatus, SyncLog, System, SystemId};
use crate::work_orders::store::{failures, logs, parts, systems};

/// How long one attempt goes on before it lets others have the worker; the rest follows at once, from where it stopped.
const ATTEMPT: TimeDelta = TimeDelta::minutes(5);

/// What stopped an attempt.
#[derive(Debug, thiserror::Error)]
pub(super) enum Stop {
    /// The system.
    #[error(transparent)]
    Remote(#[from] adapters::Error),
    /// Ourselves.
    #[error(transparent)]
    Own(#[from] Error),
}

/// How an attempt came to its end.
pub(super) enum Reached {
    /// All pages are stored.
    End,
    /// There are more.
    Break,
    /// Others read the rest, and this job ends the run.
    Parts(JobId),
}

/// Tells whoever looks at the job how far the run is; how many tickets there are, no system says beforehand.
fn tell(run: &Run, log: &SyncLog) {
    let Counts { fetched, created, updated, failed, .. } = log.counts;
    run.progress(fetched.unsigned_abs(), None);
    run.note(format!(
        "page {}: {fetched} tickets so far, {created} new, {updated} changed, {failed} not readable",
        log.pages
    ));
}

/// Says in the log and in the figures how a run ended.
fn tell_end(system: &System, log: &SyncLog) {
    let (name, status) = (&system.name, log.status);
    figures::ended(system, log);
    let (result, counts) = (status.as_str(), &log.counts);
    if let Some(error) = &log.error_message {
        tracing::warn!(system = %system.id, name, result, ?counts, error, "the sync of {name} ended: {result}");
    } else {
        tracing::info!(system = %system.id, name, result, ?counts, "the sync of {name} ended: {result}");
    }
}

/// Writes how far an attempt has come, in its transaction. Refused if another worker goes on with the run: what this attempt has may not
/// be stored any more.
pub(super) async fn keep(tx: &mut Tx, log: &mut SyncLog) -> Result<()> {
    if logs::save(tx, log).await? {
        return Ok(());
    }
    Err(Error::conflict("run_taken_over", "another worker goes on with this run"))
}

impl WorkOrders {
    /// Runs one attempt of the synchronisation of a system. All attempts of one job are one run with one log.
    ///
    /// # Errors
    /// What the next attempt may not meet again: the system or the database did not answer.
    pub async fn sync_system(&self, id: SystemId, run: &Run) -> outcome::Result {
        let system = match self.turn(id, run).await? {
            Ok(system) => system,
            Err(outcome) => return Ok(outcome),
        };
        match self.open(&system, run.id).await? {
            Ok(mut log) => self.conduct(&system, &mut log, run).await,
            Err(outcome) => Ok(outcome),
        }
    }

    /// Runs one attempt of a run or of a part of it, and decides what comes of its job.
    pub(super) async fn conduct(&self, system: &System, log: &mut SyncLog, run: &Run) -> outcome::Result {
        match Box::pin(self.attempt(system, log, run)).await {
            Ok(Reached::End) => {
                self.end(system, log, None).await?;
                Ok(Outcome::Done)
            }
            Ok(Reached::Break) => Ok(Outcome::Snooze(Duration::ZERO)),
            Ok(Reached::Parts(closing)) => Ok(goes_on_as(closing)),
            Err(Stop::Remote(error)) => self.stopped(system, log, run, error).await,
            // What another attempt would meet again: a secret that does not open, an adapter that is no more.
            Err(Stop::Own(error @ (Error::Internal { .. } | Error::Invalid(_)))) => {
                let text = chain(&error);
                self.end(system, log, Some(text.clone())).await?;
                Ok(Outcome::Fail(text))
            }
            Err(Stop::Own(error)) if run.attempt < run.max_attempts => Err(error.into()),
            Err(Stop::Own(error)) => {
                self.end(system, log, Some(chain(&error))).await?;
                Err(error.into())
            }
        }
    }

    /// Reads the system; an outcome instead if there is nothing to run.
    pub(super) async fn turn(&self, id: SystemId, run: &Run) -> Result<std::result::Result<System, Outcome>> {
        let Some(system) = systems::find(&mut self.db.read().await?, id).await? else {
            return Ok(Err(Outcome::Discard(format!("the work order system {id} is gone"))));
        };
        if run.tenant.as_ref().is_some_and(|tenant| tenant != system.tenant.as_str()) {
            return Ok(Err(Outcome::Fail(format!(
                "the work order system {id} belongs to another tenant than the job"
            ))));
        }
        if !system.is_active {
            return Ok(Err(Outcome::Discard(format!("system {:?} is disabled", system.name))));
        }
        Ok(Ok(system))
    }

    /// Begins the log, or takes up that of an earlier attempt; an outcome instead if the run has reached its end and only its job did
    /// not hear of it, or if it is read in parts.
    async fn open(&self, system: &System, job: JobId) -> Result<std::result::Result<SyncLog, Outcome>> {
        let mut tx = self.db.begin().await?;
        if let Some(outcome) = self.in_parts(&mut tx, system, job).await? {
            return Ok(Err(outcome));
        }
        logs::close_others(&mut tx, system, job).await?;
        let mut log = logs::open(&mut tx, system, job).await?;
        if matches!(log.status, RunStatus::Success | RunStatus::Partial) {
            return Ok(Err(Outcome::Done));
        }
        log.resume();
        // Also where nothing changed: from here on an attempt that lost its lease can store nothing.
        logs::save(&mut tx, &mut log).await?;
        // Parts that nobody will sum up any more: what they stored is there, and this run goes on from the mark before them.
        parts::drop_all(&mut tx, system).await?;
        tx.commit().await?;
        Ok(Ok(log))
    }

    async fn attempt(&self, system: &System, log: &mut SyncLog, run: &Run) -> Result<Reached, Stop> {
        let adapter = adapter_of(&system.system_type)?;
        let connection = self.connect(system)?;
        let until = self.clock.now() + ATTEMPT;
        adapter.authenticate(&connection).await?;
        // A part does not look back: what lies before it is read by another one.
        let since = if log.part.is_some() { log.position.mark } else { log.position.from() };
        let window = Window { since, until: log.part.and_then(|part| part.until) };
        let mut walk = Walk::new(adapter, &connection, window);
        let mut next = walk.next_page().await?;
        while let Some(page) = next {
            let goes_on = page.next.is_some() && !run.cancelled.is_cancelled() && self.clock.now() < until;
            let (is_last, ahead) = (page.next.is_none(), page.ahead);
            // The next page is on its way while this one is stored.
            let (stored, fetched) = tokio::join!(self.store(system, log, page), async {
                if goes_on { walk.next_page().await } else { Ok(None) }
            });
            stored?;
            tell(run, log);
            if !goes_on && !is_last {
                return Ok(Reached::Break);
            }
            if !is_last && let Some(closing) = self.divide(system, log, (adapter, &connection), ahead).await? {
                return Ok(Reached::Parts(closing));
            }
            next = fetched?;
        }
        // What fails is asked for by whole runs: parts of one would ask for the same.
        if log.part.is_some() {
            return Ok(Reached::End);
        }
        self.retry(system, log, run, (adapter, &connection)).await
    }

    /// Decides what a refusal of the system means for the run and its job.
    async fn stopped(&self, system: &System, log: &mut SyncLog, run: &Run, error: adapters::Error) -> outcome::Result {
        let text = chain(&error);
        match error {
            adapters::Error::RateLimited { retry_after: asked, .. } => self.wait(system, log, text, asked).await,
            adapters::Error::Resting { wait, .. } => self.wait(system, log, text, Some(wait)).await,
            adapters::Error::Transient { .. } if run.attempt < run.max_attempts => {
                log.error_message = Some(text);
                let mut tx = self.db.begin().await?;
                if logs::save(&mut tx, log).await? {
                    tx.commit().await?;
                }
                Err(error.into())
            }
            adapters::Error::Transient { .. } => {
                self.end(system, log, Some(text)).await?;
                Err(error.into())
            }
            // A run changes nothing in the system, so it meets the last three only where an adapter is wrong.
            adapters::Error::Auth { .. }
            | adapters::Error::Permanent { .. }
            | adapters::Error::Refused { .. }
            | adapters::Error::Conflict { .. }
            | adapters::Error::Gone { .. } => {
                self.end(system, log, Some(text.clone())).await?;
                Ok(Outcome::Fail(text))
            }
        }
    }

    /// Lets the system alone for as long as it asked, or is known to need; a run that waits for a day has failed.
    async fn wait(&self, system: &System, log: &mut SyncLog, why: String, asked: Option<Duration>) -> outcome::Result {
        let now = self.clock.now();
        let Some(wait) = log.wait(asked, now, rand::random()) else {
            let reason = format!("{why}; it has done so for a day");
            self.end(system, log, Some(reason.clone())).await?;
            return Ok(Outcome::Fail(reason));
        };
        log.note_wait(why, now);
        let mut tx = self.db.begin().await?;
        if logs::save(&mut tx, log).await? {
            systems::block(&mut tx, system.id, later(now, wait)).await?;
            tx.commit().await?;
        }
        Ok(Outcome::Snooze(wait))
    }

    /// Ends the run: at the end of its list, or for a reason.
    async fn end(&self, system: &System, log: &mut SyncLog, failure: Option<String>) -> Result<()> {
        let tx = self.db.begin().await?;
        self.end_within(tx, system, log, failure).await
    }

    /// Ends the run in a transaction, which it commits. The end of a part is no end of a run, and is told by whoever sums up.
    pub(super) async fn end_within(
        &self,
        mut tx: Tx,
        system: &System,
        log: &mut SyncLog,
        failure: Option<String>,
    ) -> Result<()> {
        let reached_the_end = failure.is_none();
        let (status, message) = match failure {
            Some(message) => (RunStatus::Failed, Some(message)),
            // How many of all tickets could not be read is judged when the parts are summed up.
            None if log.part.is_some() => (RunStatus::Success, None),
            None => (
                log.counts.verdict(),
                log.row_errors.first().map(|row| format!("{}: {}", row.external_id, row.message)),
            ),
        };
        log.end(status, message, tx.now());
        // A run that another worker took over is that worker's to end.
        if logs::save(&mut tx, log).await? {
            if log.part.is_some() {
                return tx.commit().await;
            }
            let streak = systems::note_end(&mut tx, system.id, reached_the_end).await?;
            let failing = failures::count(&mut tx, system).await?;
            tx.commit().await?;
            figures::streak(system, streak);
            figures::failing(system, failing);
            tell_end(system, log);
        }
        Ok(())
    }
}
