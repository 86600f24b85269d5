//! The dead letters of a tenant: back to life, given up, with other arguments.

use std::collections::HashSet;
use std::time::Duration;

use deskhand_jobs::JobId;
use deskhand_jobs::queue::{Amended, Pace};
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::entry::Entry;
use super::ledger::{self, Filter};
use super::model::LedgerState;
use super::remote::in_front;
use super::service::Service;
use super::steer;
use crate::audit::{self, Event, Record};
use crate::base::{Actor, Error, Result, TenantId};

/// The most jobs of one redrive that come back at once: what they did to whatever they call, they will do again.
pub const MOST_UNPACED: usize = 1_000;

/// The most jobs of one redrive that come back one after another.
pub const MOST_PACED: usize = 10_000;

/// How many rows one statement changes.
const BATCH: usize = 500;

/// What a redrive did.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Redriven {
    /// The jobs that were dead and run again.
    pub redriven: Vec<JobId>,
    /// Whether more of the kind asked for are dead: ask again.
    pub more: bool,
}

/// Other arguments for a dead job.
#[derive(Debug, Clone)]
pub struct Edit {
    /// The arguments, as JSON.
    pub args: Box<RawValue>,
    /// The version that was read before; a job that has another one by now is not changed. `None` takes any.
    pub version: Option<i64>,
}

/// Tells what is done to one job by its id, what is done to many by their list.
fn of_some(action: &'static str, ids: &[JobId]) -> Event {
    match ids {
        [id] => Event::new(action, "job", id),
        many => Event::new(action, "jobs", &many.len()).after(&json!({"ids": many})),
    }
}

impl Service {
    /// Runs dead jobs again from the start, all at once; see [`Service::redrive_paced`].
    ///
    /// # Errors
    /// [`Error`] of the database or the queue.
    pub async fn redrive(&self, actor: &Actor, ids: &[JobId]) -> Result<Vec<JobId>> {
        self.redrive_paced(actor, ids, Pace::NOW).await
    }

    /// Runs dead jobs again from the start, no faster than the pace allows; a job that the queue has lost is sent again. Returns
    /// those that were dead.
    ///
    /// # Errors
    /// [`Error`] of the database or the queue.
    pub async fn redrive_paced(&self, actor: &Actor, ids: &[JobId], pace: Pace) -> Result<Vec<JobId>> {
        let event = of_some("job.redrive", ids);
        // Boxed, because it is large and this future holds it twice.
        let change = Box::pin(self.revive(&actor.tenant, ids, pace));
        audit::service::around(&self.db, actor, event, change).await
    }

    pub(super) async fn revive(&self, tenant: &TenantId, ids: &[JobId], pace: Pace) -> Result<Vec<JobId>> {
        let mut moved = Vec::new();
        for part in ids.chunks(BATCH) {
            let pace = pace.then(moved.len());
            let dead = steer::dead_among(&self.db, tenant, part).await?;
            let ids: Vec<JobId> = dead.iter().map(|dead| dead.id).collect();
            let revived: HashSet<JobId> = self.queue.redrive_paced(&ids, pace).await?.into_iter().collect();
            let (revived, lost): (Vec<_>, Vec<_>) = dead.into_iter().partition(|dead| revived.contains(&dead.id));
            steer::revive(&self.db, &revived, LedgerState::Pushed, Duration::ZERO).await?;
            if pace == Pace::NOW {
                steer::revive(&self.db, &lost, LedgerState::Pending, Duration::ZERO).await?;
            } else {
                for (n, dead) in lost.iter().enumerate() {
                    let delay = Duration::from_millis(pace.delay_ms(revived.len() + n));
                    steer::revive(&self.db, &[*dead], LedgerState::Pending, delay).await?;
                }
            }
            moved.extend(ids);
        }
        Ok(moved)
    }

    /// Redrives the dead jobs that a filter names, those first that died first: at most [`MOST_UNPACED`] at once, or [`MOST_PACED`]
    /// at a pace. A job that dies again meanwhile stays dead.
    ///
    /// # Errors
    /// [`Error`] of the database or the queue.
    pub async fn redrive_like(&self, actor: &Actor, like: Filter, pace: Pace) -> Result<Redriven> {
        let most = if pace == Pace::NOW { MOST_UNPACED } else { MOST_PACED };
        let filter = Filter { state: Some(LedgerState::Dead), ..like };
        // Whom the walk is about is settled before the first of them runs.
        let mut ids = {
            let mut tx = self.db.read().await?;
            ledger::ids(&mut tx, &actor.tenant, &filter, most as u64 + 1).await?
        };
        let more = ids.len() > most;
        ids.truncate(most);
        Ok(Redriven { redriven: self.redrive_paced(actor, &ids, pace).await?, more })
    }

    /// Gives dead jobs up. Returns those that were dead.
    ///
    /// # Errors
    /// [`Error`] of the database or the queue.
    pub async fn discard(&self, actor: &Actor, ids: &[JobId], reason: &str) -> Result<Vec<JobId>> {
        let dead: Vec<JobId> =
            steer::dead_among(&self.db, &actor.tenant, ids).await?.into_iter().map(|dead| dead.id).collect();
        if dead.is_empty() {
            return Ok(dead);
        }
        let give_up = async {
            self.queue.discard(&dead, reason).await?;
            for id in &dead {
                steer::end(&self.db, *id, &[LedgerState::Dead], reason).await?;
            }
            Ok::<_, Error>(())
        };
        audit::service::around(&self.db, actor, of_some("job.discard", &dead), give_up).await?;
        Ok(dead)
    }

    /// Gives a dead job other arguments, with which it runs when it is redriven.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Invalid`] for arguments that do not fit the kind, [`Error::Conflict`] if it is not dead
    /// (`not_dead`) or somebody else changed it meanwhile (`stale_version`).
    pub async fn edit(&self, actor: &Actor, id: JobId, edit: Edit) -> Result<Entry> {
        let tenant = &actor.tenant;
        let entry = self.entry(tenant, id).await?;
        let not_dead = |state: &str| {
            let message = format!("job {id} is {state}: only the arguments of a dead job can be changed");
            Error::conflict("not_dead", message)
        };
        let changed = || {
            let message = format!("job {id} was changed by somebody else meanwhile: read it again, then change it");
            Error::conflict("stale_version", message)
        };
        if entry.state != LedgerState::Dead {
            return Err(not_dead(entry.state.as_str()));
        }
        if edit.version.is_some_and(|version| version != entry.version) {
            return Err(changed());
        }
        if !edit.args.get().starts_with('{') {
            return Err(Error::field("/args", "the arguments have to be a JSON object, as in {}"));
        }
        // What runs elsewhere is judged elsewhere.
        if in_front(&entry.options.queue).is_none() {
            self.registry.envelope(entry.kind.as_str(), edit.args.clone())?;
        }
        // The row stays locked until the queue has answered: either both have the new arguments, or who tries again gives them to both.
        let mut tx = self.db.begin().await?;
        if !steer::rewrite(&mut tx, id, entry.version, &edit.args).await? {
            return Err(changed());
        }
        match self.queue.amend(id, &edit.args).await? {
            Amended::Done => {}
            // A queue that has lost the job gets it from the row when it is redriven.
            Amended::NotDead => {
                if let Some(record) = self.queue.job(id).await? {
                    return Err(not_dead(record.state.as_str()));
                }
            }
            Amended::Changed => return Err(changed()),
            Amended::Refused(why) => return Err(Error::field("/args", why)),
        }
        let event = Event::new("job.edit", "job", &id).before(&entry.args).after(&edit.args);
        tx.record(actor, event).await?;
        tx.commit().await?;
        self.entry(tenant, id).await
    }
}
