//! Adding entries.

use std::collections::BTreeMap;
use std::future::Future;

use chrono::{DateTime, Utc};

use super::chain::{ROOT, hash};
use super::model::Event;
use super::store::{self, Row};
use crate::base::{Actor, Result, TenantId};
use crate::db::Tx;

/// Notes changes in a transaction.
pub trait Record {
    /// Adds an entry that exists if, and only if, the transaction commits. It is the last thing to do before the commit: the chain of
    /// the tenant is held until then.
    ///
    /// # Errors
    /// [`Error`](crate::base::Error) of the database.
    fn record(&mut self, actor: &Actor, event: Event) -> impl Future<Output = Result<()>> + Send;

    /// Adds the entries of many who act, each after those before it in the chain of its tenant.
    ///
    /// # Errors
    /// As [`Record::record`].
    fn record_many(&mut self, events: Vec<(&Actor, Event)>) -> impl Future<Output = Result<()>> + Send;
}

impl Record for Tx {
    async fn record(&mut self, actor: &Actor, event: Event) -> Result<()> {
        self.record_many(vec![(actor, event)]).await
    }

    async fn record_many(&mut self, events: Vec<(&Actor, Event)>) -> Result<()> {
        // By name: of two transactions that hold the chains of the same tenants, one waits for the other.
        let mut chains: BTreeMap<&TenantId, Vec<(&Actor, Event)>> = BTreeMap::new();
        for (actor, event) in events {
            chains.entry(&actor.tenant).or_default().push((actor, event));
        }
        for (tenant, events) in chains {
            let (mut seq, mut last) = store::hold_head(self, tenant).await?.unwrap_or((0, ROOT.to_owned()));
            let mut rows = Vec::with_capacity(events.len());
            for (actor, event) in events {
                seq += 1;
                let row = row(actor, event, (seq, std::mem::take(&mut last)), self.now());
                last.clone_from(&row.hash);
                rows.push(row);
            }
            store::add(self, &rows).await?;
        }
        Ok(())
    }
}

/// Writes an entry for a place in the chain, behind the entry with this hash.
fn row(actor: &Actor, event: Event, (seq, previous_hash): (i64, String), now: DateTime<Utc>) -> Row {
    let mut row = Row {
        tenant_id: actor.tenant.clone(),
        seq,
        at: now,
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
    row
}
