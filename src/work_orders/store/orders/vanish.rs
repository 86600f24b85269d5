//! Tickets that are gone from their system.

use chrono::{DateTime, Utc};

use crate::base::Result;
use crate::db::Tx;
use crate::on;
use crate::work_orders::model::System;

/// A ticket that is held to be there.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct Living {
    /// What names it in its system.
    pub(crate) external_id: String,
    /// What people call it there.
    pub(crate) external_key: String,
}

/// Reads the tickets of a system that were known before an instant and are held to be there.
pub(crate) async fn living(tx: &mut Tx, system: &System, before: DateTime<Utc>) -> Result<Vec<Living>> {
    let sql = "SELECT external_id, external_key FROM work_orders \
               WHERE tenant_id = $1 AND system_id = $2 AND deleted_at IS NULL AND created_at < $3 ORDER BY id";
    Ok(on!(tx, |c| sqlx::query_as(sql).bind(&system.tenant).bind(system.id).bind(before).fetch_all(c).await)?)
}

/// Notes that a ticket is gone; `false` if that was known, or the ticket is not.
pub(crate) async fn bury(tx: &mut Tx, system: &System, external_id: &str) -> Result<bool> {
    let sql = "UPDATE work_orders SET deleted_at = $4, updated_at = $4, version = version + 1 \
               WHERE tenant_id = $1 AND system_id = $2 AND external_id = $3 AND deleted_at IS NULL";
    let now = tx.now();
    let changed = on!(tx, |c| sqlx::query(sql)
        .bind(&system.tenant)
        .bind(system.id)
        .bind(external_id)
        .bind(now)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(changed == 1)
}
