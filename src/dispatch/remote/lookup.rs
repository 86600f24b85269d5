//! Finding the remote queue of a job, for all requests that ask at the same time: a look of its own for each cost as much as its job.

use std::collections::{HashMap, HashSet};

use deskhand_jobs::QueueName;

use super::model::RemoteDefaults;
use super::{name, store};
use crate::base::{Error, Result, TenantId, Together};
use crate::db::Db;
use crate::dispatch::Service;

/// Where a job for programs elsewhere goes.
#[derive(Debug, Clone)]
pub(in crate::dispatch) struct Target {
    /// The queue of the engine behind the remote queue.
    pub(in crate::dispatch) behind: QueueName,
    /// What its jobs have unless they say otherwise.
    pub(in crate::dispatch) defaults: RemoteDefaults,
}

/// The most names that are looked up at once.
const MOST: usize = 256;

type Asked = (TenantId, QueueName);

/// Looks up; clones look up together.
pub(in crate::dispatch) type Lookup = Together<Asked, Result<Option<Target>>>;

/// Opens the look-up in a database.
pub(in crate::dispatch) fn lookup(db: Db) -> Lookup {
    Together::new(MOST, move |asked: Vec<Asked>| {
        let db = db.clone();
        async move {
            match declared(&db, &asked).await {
                Ok(declared) => asked.iter().map(|asked| Ok(declared.get(asked).cloned())).collect(),
                Err(error) => asked.iter().map(|_| Err(error.again())).collect(),
            }
        }
    })
}

async fn declared(db: &Db, asked: &[Asked]) -> Result<HashMap<Asked, Target>> {
    let mut tx = db.look().await?;
    let mut declared = HashMap::new();
    for asked in asked.iter().collect::<HashSet<_>>() {
        let (tenant, name) = asked;
        if let Some(queue) = store::queue(&mut tx, tenant, name).await?
            && let Some(behind) = name::behind(tenant, name)
        {
            declared.insert(asked.clone(), Target { behind, defaults: queue.defaults });
        }
    }
    Ok(declared)
}

impl Service {
    /// Finds the remote queue that a job of a tenant is to go to; `None` if the name means a queue of this program.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a name by which the engine keeps apart what belongs to tenants.
    pub(in crate::dispatch) async fn remote_queue(
        &self,
        tenant: &TenantId,
        queue: &QueueName,
    ) -> Result<Option<Target>> {
        if name::in_front(queue).is_some() {
            let message =
                format!("{queue} stands for a remote queue of a tenant: give the name of the remote queue itself");
            return Err(Error::field("/queue", message));
        }
        self.remotes.ask((tenant.clone(), queue.clone())).await?
    }
}
