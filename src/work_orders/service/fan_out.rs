//! Runs in parts. A run that has many tickets before it is cut into ranges of changes, which several workers read at once; when all
//! have ended, one job sums them up into the one log of the run.

use std::time::Duration;

use deskhand_jobs::outcome::{self, Outcome};
use deskhand_jobs::{Envelope, Group, GroupKey, JobId, Run};

use super::WorkOrders;
use super::run::{Stop, keep};
use crate::base::{Error, Result};
use crate::db::Tx;
use crate::dispatch::{Enqueue, ledger};
use crate::work_orders::adapters::{Adapter, Connection};
use crate::work_orders::model::{CloseSync, FanOut, Part, Position, SyncLog, SyncLogId, SyncPart, SyncPartId, System};
use crate::work_orders::store::{logs, parts, systems};

impl WorkOrders {
    /// Changes when runs are divided.
    #[must_use]
    pub fn fanning_out(self, fan_out: FanOut) -> Self {
        Self { fan_out, ..self }
    }

    /// Divides what is left of a run if it is much, and its system can be asked for parts. Returns the job that will end the run.
    pub(super) async fn divide(
        &self,
        system: &System,
        log: &mut SyncLog,
        (adapter, connection): (&dyn Adapter, &Connection),
        ahead: Option<u64>,
    ) -> Result<Option<JobId>, Stop> {
        let parts = u64::from(self.fan_out.parts.get());
        let Some(ahead) = ahead.filter(|ahead| log.part.is_none() && parts > 1 && *ahead >= self.fan_out.from_tickets)
        else {
            return Ok(None);
        };
        let mut cuts = adapter.cuts(connection, log.position.mark, ahead, parts).await?;
        cuts.retain(|cut| Some(*cut) > log.position.mark);
        if cuts.is_empty() {
            return Ok(None);
        }
        let then = Self::job_of(system, &CloseSync { log: log.id })?;
        let begins = std::iter::once(log.position.clone())
            .chain(cuts.iter().map(|cut| Position { mark: Some(*cut), seen: Vec::new() }));
        let ends = cuts.iter().copied().map(Some).chain([None]);
        let mut tx = self.db.begin().await?;
        keep(&mut tx, log).await?;
        let mut members = Vec::with_capacity(cuts.len() + 1);
        for (number, (position, until)) in (1..).zip(begins.zip(ends)) {
            let part = Part { id: SyncPartId::new(), number, until };
            let job = self.part_job(system, &part)?;
            let begun = SyncLog { job: job.id, position, started_at: tx.now(), ..log.clone() };
            parts::insert(&mut tx, &begun, &part, then.id).await?;
            members.push(job);
        }
        tx.enqueue_batch(&then, members).await?;
        // Who asks for a run from now on is told of the job that will end this one.
        systems::note_asked(&mut tx, system.id, then.id).await?;
        tx.commit().await?;
        let (name, count) = (&system.name, cuts.len() + 1);
        tracing::info!(system = %system.id, name, ahead, parts = count, "the sync of {name} goes on in {count} parts");
        Ok(Some(then.id))
    }

    fn job_of<J: deskhand_jobs::Job>(system: &System, job: &J) -> Result<Envelope> {
        let mut job = Envelope::new(job)
            .map_err(|error| Error::internal("cannot make the job of a part of a synchronisation", error))?;
        job.tenant = Some(system.tenant.to_string());
        Ok(job)
    }

    fn part_job(&self, system: &System, part: &Part) -> Result<Envelope> {
        let mut job = Self::job_of(system, &SyncPart { part: part.id })?;
        let key = GroupKey::new(format!("sync:{}", system.id))
            .map_err(|error| Error::internal("cannot name the parts of a system", error))?;
        job.options.group = Some(Group::new(key).concurrency(self.fan_out.at_once.get()));
        Ok(job)
    }

    /// Returns the outcome of the job of a run whose end is another job's: that of its own parts, or of those of another run.
    pub(super) async fn in_parts(&self, tx: &mut Tx, system: &System, job: JobId) -> Result<Option<Outcome>> {
        let Some((log, closing)) = parts::under_way(tx, system).await? else { return Ok(None) };
        if logs::get(tx, &system.tenant, log).await?.is_some_and(|log| log.job == job) {
            return Ok(Some(goes_on_as(closing)));
        }
        if ledger::state(tx, &system.tenant, closing).await?.is_some_and(|state| !state.is_end()) {
            return Ok(Some(Outcome::Discard(format!(
                "a run of the system is under way in parts, job {closing} ends it"
            ))));
        }
        Ok(None)
    }

    /// Runs one attempt of one part of a run.
    ///
    /// # Errors
    /// What the next attempt may not meet again: the system or the database did not answer.
    pub async fn sync_part(&self, id: SyncPartId, run: &Run) -> outcome::Result {
        let found = parts::find(&mut self.db.read().await?, id).await?;
        let Some(mut log) = found else { return Ok(Outcome::Discard("its run has ended".to_owned())) };
        if log.status.is_good() {
            return Ok(Outcome::Done);
        }
        let system = match self.turn(log.system, run).await? {
            Ok(system) => system,
            Err(outcome) => return Ok(outcome),
        };
        // What the system asked of one part holds for all of them.
        if let Some(wait) = system.blocked_until.and_then(|until| (until - self.clock.now()).to_std().ok())
            && !wait.is_zero()
        {
            return Ok(Outcome::Snooze(wait));
        }
        log.resume();
        let mut tx = self.db.begin().await?;
        // From here on an attempt that lost its lease can store nothing.
        if !logs::save(&mut tx, &mut log).await? {
            return Ok(Outcome::Snooze(Duration::ZERO));
        }
        tx.commit().await?;
        self.conduct(&system, &mut log, run).await
    }

    /// Sums up the parts of a run and ends it.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn close_sync(&self, id: SyncLogId, run: &Run) -> outcome::Result {
        let mut tx = self.db.begin().await?;
        let Some(mut log) = logs::find(&mut tx, id).await? else {
            return Ok(Outcome::Discard("the run and its system are gone".to_owned()));
        };
        let Some(system) = systems::find(&mut tx, log.system).await? else {
            return Ok(Outcome::Discard("the system is gone".to_owned()));
        };
        let parts = parts::of_run(&mut tx, &log.tenant, id).await?;
        if log.ended_at.is_some() {
            return Ok(Outcome::Done);
        }
        // The run before its parts, and these before the system, as everybody holds them.
        if !logs::save(&mut tx, &mut log).await? {
            return Ok(Outcome::Snooze(Duration::ZERO));
        }
        let failure = if parts.is_empty() {
            Some("the settings of the system changed while it was read in parts; the next run begins anew".to_owned())
        } else {
            log.sum_up(&parts)
        };
        parts::drop_all(&mut tx, &system).await?;
        systems::advance(&mut tx, &system, log.position.mark.filter(|_| !parts.is_empty())).await?;
        run.progress(log.counts.fetched.unsigned_abs(), None);
        self.end_within(tx, &system, &mut log, failure.clone()).await?;
        Ok(failure.map_or(Outcome::Done, Outcome::Fail))
    }
}

/// Tells whoever waits for a run which job to wait for now.
pub(super) fn goes_on_as(closing: JobId) -> Outcome {
    Outcome::DoneWith(serde_json::json!({ "goes_on_as": closing }))
}
