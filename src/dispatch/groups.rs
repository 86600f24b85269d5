//! The dead letters as work: grouped by what they died of.

use chrono::{DateTime, Utc};
use deskhand_jobs::fingerprint::Fingerprint;
use deskhand_jobs::queue::DeadReason;
use deskhand_jobs::{JobId, Kind};
use serde::Serialize;
use sqlx::FromRow;

use super::service::Service;
use crate::base::{Error, Result, TenantId};
use crate::db::{Text, Tx};
use crate::on;

/// The most groups that are shown; whoever has more mends the largest first.
const MOST: i64 = 200;

/// Dead jobs of one kind that died of the same error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = DeadGroup)]
pub struct Group {
    /// What they do.
    pub kind: Kind,
    /// What tells the error; `None` for jobs that died before it was noted.
    pub fingerprint: Option<Fingerprint>,
    /// How many there are.
    pub count: u64,
    /// When the first of them died.
    pub first_at: DateTime<Utc>,
    /// When the last of them died.
    pub last_at: DateTime<Utc>,
    /// The one that was enqueued last.
    pub example_id: JobId,
    /// Why that one is dead.
    pub dead_reason: Option<DeadReason>,
    /// What that one died of.
    pub last_error: Option<String>,
}

#[derive(FromRow)]
struct Row {
    kind: String,
    fingerprint: Option<String>,
    count: i64,
    first_at: DateTime<Utc>,
    last_at: DateTime<Utc>,
    example_id: Text<JobId>,
    dead_reason: Option<String>,
    last_error: Option<String>,
}

impl TryFrom<Row> for Group {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let unreadable = |error| Error::internal(format!("the row of job {} is not readable", row.example_id.0), error);
        Ok(Self {
            kind: Kind::new(row.kind).map_err(unreadable)?,
            fingerprint: row.fingerprint.and_then(|text| text.parse().ok()),
            count: row.count as u64,
            first_at: row.first_at,
            last_at: row.last_at,
            example_id: row.example_id.0,
            dead_reason: row.dead_reason.as_deref().and_then(DeadReason::from_name),
            last_error: row.last_error,
        })
    }
}

impl Service {
    /// Groups the dead jobs of a tenant by kind and error, the largest group first; at most 200 groups.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn dead_groups(&self, tenant: &TenantId) -> Result<Vec<Group>> {
        let mut tx = self.db.read().await?;
        groups(&mut tx, tenant).await
    }
}

async fn groups(tx: &mut Tx, tenant: &TenantId) -> Result<Vec<Group>> {
    // The example is the latest by id, which is the latest by the time of enqueuing.
    let sql = "SELECT g.kind, g.fingerprint, g.count, g.first_at, g.last_at, g.example_id, e.dead_reason, e.last_error \
               FROM (SELECT kind, fingerprint, count(*) AS count, min(ended_at) AS first_at, max(ended_at) AS last_at, \
                            max(id) AS example_id \
                     FROM jobs WHERE tenant_id = $1 AND state = 'dead' GROUP BY kind, fingerprint \
                     ORDER BY count(*) DESC, kind, fingerprint LIMIT $2) AS g \
               JOIN jobs AS e ON e.id = g.example_id ORDER BY g.count DESC, g.kind, g.fingerprint";
    let rows: Vec<Row> = on!(tx, |c| sqlx::query_as(sql).bind(tenant).bind(MOST).fetch_all(c).await)?;
    rows.into_iter().map(Group::try_from).collect()
}
