//! Adding entries.

use std::future::Future;

use super::chain::{ROOT, hash};
use super::model::Event;
use super::store::{self, Row};
use crate::base::{Actor, Result};
use crate::db::Tx;

/// Notes changes in a transaction.
pub trait Record {
    /// Adds an entry that exists if, and only if, the transaction commits. It is the last thing to do before the commit: the chain of
    /// the tenant is held until then.
    ///
    /// # Errors
    /// [`Error`](crate::base::Error) of the database.
    fn record(&mut self, actor: &Actor, event: Event) -> impl Future<Output = Result<()>> + Send;
}

impl Record for Tx {
    async fn record(&mut self, actor: &Actor, event: Event) -> Result<()> {
        let (seq, previous_hash) = store::hold_head(self, &actor.tenant).await?.unwrap_or((0, ROOT.to_owned()));
        let mut row = Row {
            tenant_id: actor.tenant.clone(),
            seq: seq + 1,
            at: self.now(),
            actor_kind: actor.kind,
            actor_id: actor.id.clone(),
            actor_name: actor.name.clone(),
            address: actor.address.map(|address| address.to_string()),
            request_id: actor.request_id.clone(),
            claim_id: actor.claim,
            action: event.action.to_owned(),
            object_kind: event.object_kind.to_owned(),
            object_id: event.object_id,
            before_json: event.before,
            after_json: event.after,
            reason: actor.reason.clone(),
            previous_hash,
            hash: String::new(),
        };
        row.hash = hash(&row);
        store::add(self, &row).await
    }
}
