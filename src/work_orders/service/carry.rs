//! Taking the changes of one ticket to its system.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use deskhand_jobs::Run;
use deskhand_jobs::outcome::{self, Outcome, chain};

use super::WorkOrders;
use super::context::adapter_of;
use super::intake::settled;
use super::run::Stop;
use crate::base::clock::later;
use crate::base::{Error, Result};
use crate::db::Tx;
use crate::work_orders::adapters;
use crate::work_orders::figures;
use crate::work_orders::model::{
    Content, Counts, Field, Push, PushState, Remote, SyncStatus, SyncType, System, WorkOrder, WorkOrderId, change_of,
    confirm, merge,
};
use crate::work_orders::store::{logs, orders, systems};

/// How long a system may keep an update waiting.
const LONGEST_WAIT: TimeDelta = TimeDelta::hours(24);
/// How long to wait for a system that does not say how long.
const OWN_WAIT: Duration = Duration::from_secs(30);
const LONGEST_NAP: Duration = Duration::from_hours(1);

/// What one attempt came to.
struct Arrived {
    order: WorkOrder,
    /// Fields that the system left as they were, though it took the update.
    left: Vec<Field>,
}

impl WorkOrders {
    /// Takes what was changed of a ticket to its system: one attempt of the job.
    ///
    /// # Errors
    /// What the next attempt may not meet again: the system or the database did not answer.
    pub async fn carry_out_update(&self, id: WorkOrderId, run: &Run) -> outcome::Result {
        let (order, system) = match self.outgoing(id, run).await? {
            Ok(found) => found,
            Err(outcome) => return Ok(outcome),
        };
        if let Some(until) = system.blocked_until.filter(|until| *until > self.clock.now()) {
            let wait = (until - self.clock.now()).to_std().unwrap_or_default();
            return Ok(Outcome::Snooze(wait.min(LONGEST_NAP)));
        }
        match Box::pin(self.carry(order, &system)).await {
            Ok(arrived) => self.arrived(&system, arrived, run).await,
            Err(Stop::Remote(error)) => self.not_taken(&system, id, run, error).await,
            Err(Stop::Own(error @ (Error::Internal { .. } | Error::Invalid(_)))) => {
                self.fail(&system, id, run, PushState::Failed, vec![chain(&error)]).await
            }
            Err(Stop::Own(error)) => Err(error.into()),
        }
    }

    /// Reads the ticket and its system; an outcome instead if there is nothing to do.
    async fn outgoing(&self, id: WorkOrderId, run: &Run) -> Result<std::result::Result<(WorkOrder, System), Outcome>> {
        let mut tx = self.db.read().await?;
        let gone = || Outcome::Discard(format!("the work order {id} is gone"));
        let Some(order) = orders::find(&mut tx, id).await? else { return Ok(Err(gone())) };
        if run.tenant.as_ref().is_some_and(|tenant| tenant != order.tenant.as_str()) {
            let why = format!("the work order {id} belongs to another tenant than the job");
            return Ok(Err(Outcome::Fail(why)));
        }
        let Some(system) = systems::find(&mut tx, order.system).await? else { return Ok(Err(gone())) };
        if !system.is_active {
            return Ok(Err(Outcome::Discard(format!("system {:?} is disabled", system.name))));
        }
        Ok(Ok((order, system)))
    }

    /// Writes the fields there. If the ticket changed meanwhile, what it says now is laid over ours, and the rest tried once more.
    async fn carry(&self, mut order: WorkOrder, system: &System) -> Result<Arrived, Stop> {
        let adapter = adapter_of(&system.system_type)?;
        let connection = self.connect(system)?;
        let id = order.content.external_id.clone();
        let mut is_second = false;
        loop {
            let fields = order.exchange.to_push(self.clock.now());
            if fields.is_empty() {
                return Ok(Arrived { order, left: Vec::new() });
            }
            let change = change_of(&order.content, &fields);
            let seen = order.content.external_updated_at;
            match adapter.update(&connection, &id, &change, seen).await {
                Ok(remote) => return Ok(self.confirmed(order, system, &fields, remote).await?),
                Err(adapters::Error::Conflict { .. }) if !is_second => {
                    is_second = true;
                    let Some(remote) = adapter.detail(&connection, &id).await? else {
                        return Err(adapters::Error::gone(&connection, format!("ticket {id}")).into());
                    };
                    order = self.merged(&order, system, remote).await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Lays what the system says after it took an update over the ticket as it is by now.
    async fn confirmed(&self, sent: WorkOrder, system: &System, fields: &[Field], remote: Remote) -> Result<Arrived> {
        let remote = Content::of(remote, &system.mapping);
        let mut tx = self.db.begin().await?;
        let now = tx.now();
        let order = hold(&mut tx, &sent).await?;
        let exchange = order.exchange.clone();
        let (content, exchange, left) = confirm(&sent.content, fields, &order.content, exchange, &remote, now);
        let next = WorkOrder { content, exchange, content_hash: remote.hash(), deleted_at: None, ..order };
        let order = written(&mut tx, settled(next, now)).await?;
        tx.commit().await?;
        Ok(Arrived { order, left })
    }

    /// Lays what the system says now over the ticket, because it is not what we had seen.
    async fn merged(&self, seen: &WorkOrder, system: &System, remote: Remote) -> Result<WorkOrder> {
        let remote = Content::of(remote, &system.mapping);
        let mut tx = self.db.begin().await?;
        let now = tx.now();
        let order = hold(&mut tx, seen).await?;
        let (content, exchange) = merge(&order.content, order.exchange.clone(), &remote, now);
        let next = WorkOrder { content, exchange, content_hash: remote.hash(), ..order };
        let order = written(&mut tx, settled(next, now)).await?;
        tx.commit().await?;
        Ok(order)
    }

    /// Ends an update that the system took, or goes on if somebody asked again meanwhile.
    async fn arrived(&self, system: &System, arrived: Arrived, run: &Run) -> outcome::Result {
        let Arrived { order, left } = arrived;
        if !left.is_empty() {
            let said = |field: &Field| format!("the system took the update and left {field} as it was");
            return self.fail(system, order.id, run, PushState::Refused, left.iter().map(said).collect()).await;
        }
        let mut tx = self.db.begin().await?;
        let now = tx.now();
        let mut order = hold(&mut tx, &order).await?;
        let goes_on = order.exchange.push.as_ref().is_some_and(|push| push.again);
        let goes_on = goes_on && !order.exchange.to_push(now).is_empty();
        let push = order.exchange.push.get_or_insert_with(|| Push::asked(run.id, Vec::new(), now));
        push.job_id = run.id;
        push.again = false;
        let state = if goes_on { PushState::Waiting } else { PushState::Done };
        push.note(state, Vec::new(), now);
        let asked_at = push.asked_at;
        let order = written(&mut tx, order).await?;
        if goes_on {
            tx.commit().await?;
            return Ok(Outcome::Snooze(Duration::ZERO));
        }
        logs::note(&mut tx, system, &noted(run, asked_at, None)).await?;
        tx.commit().await?;
        figures::updated(system, PushState::Done);
        let (name, key) = (&system.name, &order.content.external_key);
        tracing::info!(system = %system.id, name, key, "{name} has the changes of {key}");
        Ok(Outcome::Done)
    }

    /// Decides what a refusal of the system means for the ticket and the job.
    async fn not_taken(&self, system: &System, id: WorkOrderId, run: &Run, error: adapters::Error) -> outcome::Result {
        let text = chain(&error);
        match error {
            adapters::Error::RateLimited { retry_after, .. } => {
                self.postpone(system, id, run, text, retry_after.unwrap_or(OWN_WAIT)).await
            }
            adapters::Error::Resting { wait, .. } => self.postpone(system, id, run, text, wait).await,
            adapters::Error::Transient { .. } if run.attempt < run.max_attempts => {
                self.note(id, run, PushState::Waiting, vec![text]).await?;
                Err(error.into())
            }
            adapters::Error::Transient { .. } => {
                self.fail(system, id, run, PushState::Failed, vec![text]).await?;
                Err(error.into())
            }
            adapters::Error::Refused { mut messages, allowed, .. } => {
                if !allowed.is_empty() {
                    messages.push(format!("it would take: {}", allowed.join(", ")));
                }
                self.fail(system, id, run, PushState::Refused, messages).await
            }
            adapters::Error::Conflict { .. } => {
                let cure = "look at the conflicts of the ticket, and ask for the update once more";
                self.fail(system, id, run, PushState::Conflict, vec![text, cure.to_owned()]).await
            }
            adapters::Error::Auth { .. } | adapters::Error::Permanent { .. } | adapters::Error::Gone { .. } => {
                self.fail(system, id, run, PushState::Failed, vec![text]).await
            }
        }
    }

    /// Lets the system alone for as long as it asked, and all who would call it; an update that waits for a day has failed.
    async fn postpone(
        &self,
        system: &System,
        id: WorkOrderId,
        run: &Run,
        why: String,
        wait: Duration,
    ) -> outcome::Result {
        let now = self.clock.now();
        let wait = wait.min(LONGEST_WAIT.to_std().unwrap_or(Duration::MAX));
        let wait = wait.saturating_add(wait.mul_f64(0.3 * rand::random::<f64>()));
        let asked_at = self.note(id, run, PushState::Waiting, vec![why.clone()]).await?;
        if now - asked_at >= LONGEST_WAIT {
            let why = format!("{why}; it has done so for a day");
            return self.fail(system, id, run, PushState::Failed, vec![why]).await;
        }
        let mut tx = self.db.begin().await?;
        systems::block(&mut tx, system.id, later(now, wait)).await?;
        tx.commit().await?;
        Ok(Outcome::Snooze(wait))
    }

    /// Notes on the ticket how its update stands; answers when it was asked for.
    async fn note(&self, id: WorkOrderId, run: &Run, state: PushState, messages: Vec<String>) -> Result<DateTime<Utc>> {
        let mut tx = self.db.begin().await?;
        let now = tx.now();
        let Some(order) = orders::find(&mut tx, id).await? else { return Ok(now) };
        let mut order = hold(&mut tx, &order).await?;
        let fields = order.exchange.to_push(now);
        let is_end = state != PushState::Waiting;
        if is_end {
            order.sync_status = SyncStatus::Failed;
            order.sync_error = Some(messages.join("; "));
        }
        let push = order.exchange.push.get_or_insert_with(|| Push::asked(run.id, fields, now));
        push.job_id = run.id;
        push.again &= !is_end;
        push.note(state, messages, now);
        let asked_at = push.asked_at;
        written(&mut tx, order).await?;
        tx.commit().await?;
        Ok(asked_at)
    }

    /// Ends an update that cannot succeed as it is.
    async fn fail(
        &self,
        system: &System,
        id: WorkOrderId,
        run: &Run,
        state: PushState,
        messages: Vec<String>,
    ) -> outcome::Result {
        let text = messages.join("; ");
        let asked_at = self.note(id, run, state, messages).await?;
        let mut tx = self.db.begin().await?;
        logs::note(&mut tx, system, &noted(run, asked_at, Some(&text))).await?;
        tx.commit().await?;
        figures::updated(system, state);
        let (name, error) = (&system.name, &text);
        tracing::warn!(system = %system.id, name, error, "{name} did not take the changes of a ticket");
        Ok(Outcome::Fail(text))
    }
}

/// Returns what the sync log tells of an update.
fn noted<'a>(run: &Run, started_at: DateTime<Utc>, failure: Option<&'a str>) -> logs::Noted<'a> {
    let failed = i64::from(failure.is_some());
    let counts = Counts { fetched: 1, updated: 1 - failed, failed, ..Counts::default() };
    logs::Noted { job: run.id, sync_type: SyncType::Update, counts, started_at, failure }
}

async fn hold(tx: &mut Tx, order: &WorkOrder) -> Result<WorkOrder> {
    let found = orders::hold(tx, &order.tenant, order.id).await?;
    found.ok_or_else(|| Error::not_found("work order", &order.id))
}

async fn written(tx: &mut Tx, mut order: WorkOrder) -> Result<WorkOrder> {
    orders::write(tx, &order).await?;
    order.version += 1;
    Ok(order)
}
