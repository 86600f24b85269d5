//! Records of ended jobs, until somebody has fetched them.

use super::apply::id_list;
use super::fault::Result;
use super::open::SqliteQueue;
use super::record::{Stored, stored};
use crate::id::JobId;
use crate::queue::Ending;

impl SqliteQueue {
    /// The oldest first, so that a reader that falls behind still gets to each.
    pub(super) async fn read_endings(&self, limit: usize) -> Result<Vec<Ending>> {
        let sql = concat!(
            "SELECT ",
            stored!(),
            ", NULL AS payload FROM jobs WHERE ending = 1 ORDER BY ended_at_ms, entry LIMIT ?1"
        );
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let stored: Vec<Stored> = sqlx::query_as(sql).bind(limit).fetch_all(&self.readers).await?;
        stored.into_iter().map(Stored::ending).collect()
    }

    pub(super) async fn forget(&self, ids: &[JobId]) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        let ids = id_list(ids.iter().copied());
        let mut change = self.begin().await?;
        // `ending = 1` also guards a job that was made ready again meanwhile.
        let sql = "DELETE FROM jobs WHERE ending = 1 AND state <> 'dead' \
                   AND id IN (SELECT unhex(value, '-') FROM json_each(?1))";
        sqlx::query(sql).bind(&ids).execute(&mut *change.tx).await?;
        let sql = "UPDATE jobs SET ending = 0 WHERE ending = 1 \
                   AND id IN (SELECT unhex(value, '-') FROM json_each(?1))";
        sqlx::query(sql).bind(&ids).execute(&mut *change.tx).await?;
        change.commit().await
    }
}
