//! Finding tickets that a system no longer has: most systems do not tell. The list of everything that this takes also brings what a
//! run has missed.

use std::collections::HashSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use deskhand_jobs::outcome::{self, Outcome, chain};
use deskhand_jobs::{Envelope, Priority, Run};

use super::WorkOrders;
use super::context::adapter_of;
use super::intake::{Fresh, known, take_beside};
use crate::base::{Error, Result};
use crate::dispatch::Enqueue;
use crate::work_orders::adapters::{self, Walk};
use crate::work_orders::model::{Counts, ReconcileSystem, Remote, RowError, SyncType, System, SystemId, too_many};
use crate::work_orders::store::orders::Living;
use crate::work_orders::store::{failures, logs, orders, systems};

/// The most that one night removes: each is asked for once more by itself.
const MOST_AT_ONCE: usize = 200;
/// How long to wait for a system that does not say how long.
const OWN_WAIT: Duration = Duration::from_mins(1);
const LONGEST_WAIT: Duration = Duration::from_hours(6);

#[derive(Debug, thiserror::Error)]
enum Stop {
    #[error(transparent)]
    Remote(#[from] adapters::Error),
    #[error(transparent)]
    Own(#[from] Error),
    /// Too many are missing.
    #[error("{0}")]
    TooMany(String),
    /// The worker is wanted back.
    #[error("the worker stops")]
    Cancelled,
}

impl WorkOrders {
    /// Enqueues, for every active system of all tenants, the job that looks which of its tickets are gone. Answers how many.
    ///
    /// # Errors
    /// [`Error`] if the database does not answer; then none is enqueued.
    pub async fn reconcile_all(&self) -> Result<usize> {
        let mut tx = self.db.begin().await?;
        let active = systems::active(&mut tx, None).await?;
        for system in &active {
            let mut job = Envelope::new(&ReconcileSystem { system: system.id })
                .map_err(|error| Error::internal("cannot make the job of a reconciliation", error))?;
            job.options.priority = Priority::Low;
            job.tenant = Some(system.tenant.to_string());
            tx.enqueue(&job).await?;
        }
        tx.commit().await?;
        Ok(active.len())
    }

    /// Reads the whole list of a system and notes which tickets are gone; stops if too many would be.
    ///
    /// # Errors
    /// What the next attempt may not meet again: the system or the database did not answer.
    pub async fn reconcile_system(&self, id: SystemId, run: &Run) -> outcome::Result {
        let system = match self.turn(id, run).await? {
            Ok(system) => system,
            Err(outcome) => return Ok(outcome),
        };
        let begun = self.clock.now();
        match self.look_for_gone(&system, run).await {
            Ok(counts) => {
                self.note_reconciled(&system, run, counts, begun, None).await?;
                Ok(Outcome::Done)
            }
            Err(Stop::Cancelled) => Ok(Outcome::Snooze(Duration::ZERO)),
            Err(Stop::TooMany(why)) => {
                self.note_reconciled(&system, run, Counts::default(), begun, Some(&why)).await?;
                let name = &system.name;
                tracing::warn!(system = %system.id, name, why, "the reconciliation of {name} stopped");
                Ok(Outcome::Fail(why))
            }
            Err(Stop::Remote(error)) => self.not_listed(&system, run, begun, error).await,
            Err(Stop::Own(error)) => Err(error.into()),
        }
    }

    async fn look_for_gone(&self, system: &System, run: &Run) -> Result<Counts, Stop> {
        let begun = self.clock.now();
        let adapter = adapter_of(&system.system_type)?;
        let connection = self.connect(system)?;
        adapter.authenticate(&connection).await?;
        let mut seen = HashSet::new();
        let mut counts = Counts::default();
        let mut walk = Walk::new(adapter, &connection, None);
        while let Some(page) = walk.next_page().await? {
            // One that cannot be read is there all the same.
            seen.extend(page.tickets.iter().map(|ticket| match ticket {
                Ok(remote) => remote.external_id.clone(),
                Err(unreadable) => unreadable.external_id.clone(),
            }));
            self.bring_back(system, page.tickets, &mut counts).await?;
            run.progress(seen.len() as u64, None);
            if run.cancelled.is_cancelled() {
                return Err(Stop::Cancelled);
            }
        }
        let living = orders::living(&mut self.db.read().await?, system, begun).await?;
        let all = living.len();
        let is_missing = |order: &Living| !seen.contains(&order.external_id) && !seen.contains(&order.external_key);
        let missing: Vec<_> = living.into_iter().filter(is_missing).collect();
        if let Some(why) = too_many(missing.len(), all) {
            return Err(Stop::TooMany(why));
        }
        for order in missing.iter().take(MOST_AT_ONCE) {
            // A list may miss what its detail still shows: an archive, an index that lags behind.
            if adapter.detail(&connection, &order.external_id).await?.is_some() {
                continue;
            }
            let mut tx = self.db.begin().await?;
            counts.deleted += i64::from(orders::bury(&mut tx, system, &order.external_id).await?);
            tx.commit().await?;
        }
        Ok(counts)
    }

    /// Takes what a list of everything brings and nobody knows here: a ticket that came back with the date it had, one that a run has
    /// missed. What a run took meanwhile is newer.
    async fn bring_back(
        &self,
        system: &System,
        tickets: Vec<std::result::Result<Remote, RowError>>,
        counts: &mut Counts,
    ) -> Result<()> {
        let (mut fresh, mut failed) = (Vec::with_capacity(tickets.len()), Vec::new());
        for ticket in tickets {
            match ticket.and_then(|remote| Fresh::of(remote, system)) {
                Ok(one) => fresh.push(one),
                Err(error) => failed.push(error),
            }
        }
        let mut names = HashSet::new();
        fresh.retain(|one| names.insert(one.content.external_id.clone()));
        let mut tx = self.db.begin().await?;
        let known = known(&mut tx, system, &fresh).await?;
        let ids: Vec<&str> = fresh.iter().map(|one| one.content.external_id.as_str()).collect();
        failures::settle(&mut tx, system, &ids).await?;
        fresh.retain(|one| known.get(&one.content.external_id).is_none_or(|known| !known.is_newer_than(&one.content)));
        counts.failed += failed.len() as i64;
        counts.fetched += failed.len() as i64;
        for error in failed {
            failures::note(&mut tx, system, &error).await?;
        }
        take_beside(&mut tx, system, fresh, &known, counts).await?;
        tx.commit().await
    }

    async fn not_listed(
        &self,
        system: &System,
        run: &Run,
        begun: DateTime<Utc>,
        error: adapters::Error,
    ) -> outcome::Result {
        match error {
            adapters::Error::RateLimited { retry_after, .. } => {
                Ok(Outcome::Snooze(retry_after.unwrap_or(OWN_WAIT).min(LONGEST_WAIT)))
            }
            adapters::Error::Resting { wait, .. } => Ok(Outcome::Snooze(wait.min(LONGEST_WAIT))),
            adapters::Error::Transient { .. } if run.attempt < run.max_attempts => Err(error.into()),
            error => {
                let text = chain(&error);
                self.note_reconciled(system, run, Counts::default(), begun, Some(&text)).await?;
                Ok(Outcome::Fail(text))
            }
        }
    }

    async fn note_reconciled(
        &self,
        system: &System,
        run: &Run,
        counts: Counts,
        begun: DateTime<Utc>,
        failure: Option<&str>,
    ) -> Result<()> {
        let mut tx = self.db.begin().await?;
        let noted = logs::Noted { job: run.id, sync_type: SyncType::Reconcile, counts, started_at: begun, failure };
        logs::note(&mut tx, system, &noted).await?;
        tx.commit().await
    }
}
