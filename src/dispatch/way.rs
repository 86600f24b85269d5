//! Which way a list with conditions goes through the ledger.
//!
//! Each condition has its index, in the order of the list. A statement goes along one of them, and the wrong one leads past a million
//! rows to find a hundred. Postgres knows from its statistics which one is right. SQLite has none of single values, and is told.

use sea_query::{Alias, Asterisk, Expr, ExprTrait, Query};

use super::ledger::{COUNTED, Filter, meant};
use crate::base::{Result, TenantId};
use crate::db::{Backend, Build, Tx};
use crate::on;

/// A way through the ledger; the default leaves everything to the database.
#[derive(Debug, Default)]
pub(super) struct Way {
    /// The names of the wanted queue that rows have, if somebody looked.
    pub(super) queues: Option<Vec<String>>,
    /// The only condition whose index is used.
    along: Option<&'static str>,
}

impl Way {
    /// Finds the way for a filter.
    pub(super) async fn of(tx: &mut Tx, tenant: &TenantId, filter: &Filter) -> Result<Self> {
        if tx.backend() == Backend::Postgres {
            return Ok(Self::default());
        }
        let mut conditions = Vec::new();
        conditions.extend(filter.state.map(|state| ("state", state.as_str().to_owned())));
        conditions.extend(filter.kind.as_ref().map(|kind| ("kind", kind.to_string())));
        conditions.extend(filter.batch.map(|batch| ("batch", batch.to_string())));
        let mut queues = None;
        if let Some(queue) = &filter.queue {
            // With two names the index would no longer be in the order of the list, and nearly always only one of them is in use.
            let mut used = Vec::new();
            for name in meant(tenant, queue) {
                if count(tx, tenant, ("queue", &name), 1).await? > 0 {
                    used.push(name);
                }
            }
            if let [only] = used.as_slice() {
                conditions.push(("queue", only.clone()));
            }
            queues = Some(used);
        }
        Ok(Self { queues, along: rarest(tx, tenant, &conditions).await? })
    }

    /// Returns a column for a condition; the sign before it keeps SQLite from the index of the column.
    pub(super) fn column(&self, name: &'static str) -> Expr {
        match self.along {
            Some(along) if along != name => Expr::cust(format!("+{name}")),
            _ => Expr::col(Alias::new(name)),
        }
    }
}

/// Returns the condition that the fewest rows fit, if there is a choice.
async fn rarest(tx: &mut Tx, tenant: &TenantId, conditions: &[(&'static str, String)]) -> Result<Option<&'static str>> {
    let mut rarest: Option<(i64, &'static str)> = None;
    if conditions.len() < 2 {
        return Ok(None);
    }
    for (name, value) in conditions {
        let fits = count(tx, tenant, (name, value), COUNTED).await?;
        if rarest.is_none_or(|(fewest, _)| fits < fewest) {
            rarest = Some((fits, name));
        }
    }
    Ok(rarest.map(|(_, name)| name))
}

/// Counts the rows of a tenant that fit one condition, up to `most`; its index alone tells.
async fn count(tx: &mut Tx, tenant: &TenantId, (column, value): (&'static str, &str), most: u64) -> Result<i64> {
    let mut some = Query::select();
    some.expr(Expr::val(1))
        .from(Alias::new("jobs"))
        .and_where(Expr::col(Alias::new("tenant_id")).eq(tenant.as_str()))
        .and_where(Expr::col(Alias::new(column)).eq(value))
        .limit(most);
    let mut count = Query::select();
    count.expr(Expr::col(Asterisk).count()).from_subquery(some, Alias::new("fit"));
    Ok(on!(tx, |c| {
        let (sql, values) = c.build(&count);
        sqlx::query_scalar_with(sql, values).fetch_one(c).await
    })?)
}
