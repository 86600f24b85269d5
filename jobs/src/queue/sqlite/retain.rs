//! Keeps finished jobs for a while, and not longer.

use super::fault::Result;
use super::open::{Change, SqliteQueue};
use crate::queue::{REMOVED_PER_BEAT, Retention, WorkerInfo};

/// The oldest finished jobs of a queue that may not stay. Each state is read in the order of its index, so this looks at twice as
/// many rows as it may find, however many there are.
macro_rules! oldest {
    () => {
        "SELECT entry FROM (SELECT entry, ended_at_ms, row_number() OVER (ORDER BY ended_at_ms, id) AS nth FROM ( \
             SELECT * FROM (SELECT entry, id, ended_at_ms FROM jobs WHERE queue = ?1 AND state = 'succeeded' \
                            AND ended_at_ms IS NOT NULL ORDER BY ended_at_ms, id LIMIT (SELECT ?2)) \
             UNION ALL \
             SELECT * FROM (SELECT entry, id, ended_at_ms FROM jobs WHERE queue = ?1 AND state = 'cancelled' \
                            AND ended_at_ms IS NOT NULL ORDER BY ended_at_ms, id LIMIT (SELECT ?2)))) \
         WHERE nth <= ?2 AND (nth <= (SELECT retained FROM queues WHERE name = ?1) - ?3 OR ended_at_ms < ?4)"
    };
}
impl Change {
    /// Notes that so many more jobs of a queue are finished and stay.
    pub(super) async fn retained(&mut self, queue: &str, jobs: i64) -> Result<()> {
        if jobs != 0 {
            let sql = "UPDATE queues SET retained = retained + ?2 WHERE name = ?1";
            sqlx::query(sql).bind(queue).bind(jobs).execute(&mut *self.tx).await?;
        }
        Ok(())
    }

    /// Removes up to so many finished jobs of a queue that are too many or too old, the oldest first.
    pub(super) async fn tidy(&mut self, queue: &str, retention: Retention, limit: i64) -> Result<()> {
        if limit == 0 {
            return Ok(());
        }
        let sql = concat!("DELETE FROM jobs WHERE entry IN (", oldest!(), ")");
        let gone = sqlx::query(sql)
            .bind(queue)
            .bind(limit)
            .bind(i64::try_from(retention.max_count).unwrap_or(i64::MAX))
            .bind(self.now_ms.saturating_sub_unsigned(retention.max_age_ms))
            .execute(&mut *self.tx)
            .await?;
        self.retained(queue, -(gone.rows_affected() as i64)).await
    }
}

impl SqliteQueue {
    /// Removes what may not stay of the queues of a worker that beats.
    pub(super) async fn tidy_queues(&self, change: &mut Change, worker: &WorkerInfo) -> Result<()> {
        let Some(retention) = self.endings.retention() else { return Ok(()) };
        for queue in &worker.queues {
            change.tidy(queue.as_str(), retention, REMOVED_PER_BEAT as i64).await?;
        }
        Ok(())
    }

    /// Counts what is retained: the counts are kept only by stores that retain.
    pub(super) async fn count_retained(&self) -> Result<()> {
        let sql = "UPDATE queues SET retained = \
                   (SELECT count(*) FROM jobs WHERE queue = name AND state IN ('succeeded', 'cancelled') \
                    AND ended_at_ms IS NOT NULL)";
        let mut change = self.begin().await?;
        sqlx::query(sql).execute(&mut *change.tx).await?;
        change.commit().await
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{fixture, job};
    use super::*;
    use crate::queue::{Endings, Queue, State, Verdict};

    fn few(max_count: u64) -> Endings {
        Endings::Retain(Retention { max_count, max_age_ms: 60_000 })
    }

    #[tokio::test]
    async fn the_oldest_are_found_by_their_index() {
        let fixture = fixture(few(9)).await;
        let sql = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {}", oldest!()));
        let plan: Vec<(i64, i64, i64, String)> = sqlx::query_as(sql)
            .bind("default")
            .bind(9)
            .bind(9)
            .bind(0)
            .fetch_all(&fixture.store.readers)
            .await
            .expect("explains");
        let tables = plan.iter().filter(|step| step.3.contains("SEARCH jobs")).collect::<Vec<_>>();
        assert!(tables.len() == 2 && tables.iter().all(|step| step.3.contains("jobs_ended")), "{plan:?}");
        assert!(plan.iter().all(|step| !step.3.contains("SCAN jobs")), "{plan:?}");
    }

    #[tokio::test]
    async fn a_store_that_begins_to_retain_counts_what_is_there() {
        let kept = fixture(few(100)).await;
        let worker = kept.worker().await;
        for _ in 0..5 {
            kept.run(&worker, &job(), Verdict::Succeeded).await;
        }
        let strict = SqliteQueue::open(&kept.path(), few(2)).await.expect("opens again");
        strict.beat(&worker, false).await.expect("beats");
        let page = crate::queue::Page::first(9);
        assert_eq!(strict.list(&worker.queues[0], State::Succeeded, page).await.expect("reads").jobs.len(), 2);
    }
}
