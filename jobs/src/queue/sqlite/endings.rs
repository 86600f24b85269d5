//! Records of ended jobs, until somebody has fetched them.

use super::columns::stored;
use super::fault::Result;
use super::open::SqliteQueue;
use super::record::Stored;
use crate::queue::Ending;

impl SqliteQueue {
    /// The oldest first, so that a reader that falls behind still gets to each.
    pub(super) async fn read_endings(&self, limit: usize) -> Result<Vec<Ending>> {
        let sql = concat!(
            "SELECT ",
            stored!(),
            ", NULL AS payload FROM jobs WHERE ending = 1 ORDER BY ended_at_ms, entry LIMIT (SELECT ?1)"
        );
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let stored: Vec<Stored> = sqlx::query_as(sql).bind(limit).fetch_all(&self.readers).await?;
        stored.into_iter().map(Stored::ending).collect()
    }

    pub(super) async fn forget(&self, endings: &[Ending]) -> Result<()> {
        if endings.is_empty() {
            return Ok(());
        }
        let fetched: Vec<(String, i64)> =
            endings.iter().map(|ending| (ending.id.to_string(), ending.ended_at_ms)).collect();
        let fetched = serde_json::to_string(&fetched).expect("ids and times have a JSON form");
        let mut change = self.begin().await?;
        // `ending = 1` guards a job that was made ready again meanwhile, the time one that has also ended again.
        let sql = "DELETE FROM jobs WHERE ending = 1 AND state <> 'dead' \
                   AND (id, ended_at_ms) IN (SELECT unhex(value ->> 0, '-'), value ->> 1 FROM json_each(?1))";
        sqlx::query(sql).bind(&fetched).execute(&mut *change.tx).await?;
        let sql = "UPDATE jobs SET ending = 0 WHERE ending = 1 \
                   AND (id, ended_at_ms) IN (SELECT unhex(value ->> 0, '-'), value ->> 1 FROM json_each(?1))";
        sqlx::query(sql).bind(&fetched).execute(&mut *change.tx).await?;
        change.commit().await
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{failed, fixture, job};
    use crate::queue::{DeadReason, Endings, Queue, State, Verdict};

    #[tokio::test]
    async fn endings_wait_until_they_are_forgotten_and_the_dead_stay_dead() {
        let fixture = fixture(Endings::Keep).await;
        let worker = fixture.worker().await;
        let (good, bad) = (job(), job());
        let held = fixture.run(&worker, &good, Verdict::Succeeded).await;
        fixture.store.shift_clock(5).await.expect("shifts");
        fixture.run(&worker, &bad, failed("no")).await;

        let records = fixture.store.endings(9).await.expect("reads");
        assert_eq!([records[0].id, records[1].id], [good.id, bad.id]);
        assert_eq!(records[0].running, Some((worker.id, held.claimed_at_ms)));
        assert_eq!([records[0].dead_reason, records[1].dead_reason], [None, Some(DeadReason::Failed)]);
        assert_eq!(fixture.store.endings(1).await.expect("reads"), records[..1]);

        fixture.store.forget_endings(&records).await.expect("forgets");
        assert!(fixture.store.endings(9).await.expect("reads").is_empty());
        assert!(fixture.store.job(good.id).await.expect("reads").is_none());
        let record = fixture.read(bad.id).await;
        assert_eq!((record.state, record.payload.is_some()), (State::Dead, true));
        assert_eq!(fixture.counts().await.dead, 1);
    }
}
