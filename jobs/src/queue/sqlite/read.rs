//! Reads jobs, queues and workers; beside the writer, never behind it.

use super::apply::id_list;
use super::columns::{now_ms, stored};
use super::fault::{Fault, Result};
use super::open::SqliteQueue;
use super::record::{Stored, job_id, queue_name};
use crate::id::{JobId, QueueName};
use crate::queue::{Cursor, JobRecord, Listing, Page, QueueInfo, State, WorkerInfo};

/// A list of one state, behind the row that `?2` and `?3` name: `state = '…'` stands in the text, else the partial index would not be
/// used.
macro_rules! listed {
    ($state:literal, $rank:literal, $tie:literal) => {
        concat!(
            "SELECT ",
            stored!(),
            ", payload, ",
            $rank,
            " AS list_rank, ",
            $tie,
            " AS list_tie FROM jobs \
             WHERE queue = ?1 AND state = '",
            $state,
            "' AND (",
            $rank,
            ", ",
            $tie,
            ") > (?2, ?3) \
             ORDER BY ",
            $rank,
            ", ",
            $tie,
            " LIMIT ?4"
        )
    };
}

/// The ready jobs: those in line and the limited ones, merged by their places from two indexes.
const READY: &str = concat!(
    "SELECT ",
    stored!(),
    ", payload, list_rank, list_tie FROM jobs JOIN (SELECT * FROM ( \
       SELECT entry AS nth, priority AS list_rank, place AS list_tie FROM jobs \
       WHERE queue = ?1 AND state = 'ready' AND limited = 0 AND (priority, place) > (?2, ?3) \
       UNION ALL SELECT entry, priority, place FROM jobs \
       WHERE queue = ?1 AND limited = 1 AND (priority, place) > (?2, ?3)) \
     ORDER BY list_rank, list_tie LIMIT ?4) AS line ON entry = line.nth ORDER BY list_rank, list_tie"
);

/// The same for states of ended jobs, latest first.
macro_rules! ended {
    ($state:literal) => {
        concat!(
            "SELECT ",
            stored!(),
            ", payload, ended_at_ms AS list_rank, entry AS list_tie FROM jobs \
             WHERE queue = ?1 AND state = '",
            $state,
            "' AND ended_at_ms IS NOT NULL AND (ended_at_ms, entry) < (?2, ?3) \
             ORDER BY ended_at_ms DESC, entry DESC LIMIT ?4"
        )
    };
}

/// A row of a list and its place there.
#[derive(sqlx::FromRow)]
pub(super) struct Ranked {
    #[sqlx(flatten)]
    stored: Stored,
    list_rank: i64,
    list_tie: i64,
}

/// Makes a page of rows, of which there is one more than asked for if there are more.
pub(super) fn listing(mut rows: Vec<Ranked>, size: usize) -> Result<Listing> {
    let more = rows.len() > size;
    rows.truncate(size);
    let next = rows.last().filter(|_| more).map(|last| Cursor::of(last.list_rank, last.list_tie));
    let jobs = rows.into_iter().map(|row| row.stored.record()).collect::<Result<_>>()?;
    Ok(Listing { jobs, next })
}

/// The counts of all queues, each with the ready jobs that come next, of each priority one that may start and one that is limited.
const QUEUES: &str = "SELECT *, (SELECT json_group_array(json_array(hex(head.id), head.ready_since_ms)) \
    FROM (VALUES (0), (1), (2), (3)) AS ranks JOIN jobs AS head ON head.entry IN ( \
        (SELECT entry FROM jobs WHERE state = 'ready' AND limited = 0 AND queue = queues.name AND priority = ranks.column1 \
         ORDER BY place LIMIT 1), \
        (SELECT entry FROM jobs WHERE limited = 1 AND queue = queues.name AND priority = ranks.column1 ORDER BY place LIMIT 1)) \
    WHERE queues.ready > 0) AS heads FROM queues ORDER BY name";

impl SqliteQueue {
    pub(super) async fn read_job(&self, id: JobId) -> Result<Option<JobRecord>> {
        let sql = concat!("SELECT ", stored!(), ", payload FROM jobs WHERE id = ?1");
        let stored: Option<Stored> =
            sqlx::query_as(sql).bind(id.as_bytes().as_slice()).fetch_optional(&self.readers).await?;
        stored.map(Stored::record).transpose()
    }

    pub(super) async fn read_list(&self, queue: &QueueName, state: State, page: Page) -> Result<Listing> {
        if page.size == 0 {
            return Ok(Listing::default());
        }
        let (sql, before_all) = match state {
            State::Ready => (READY, i64::MIN),
            State::Scheduled => (listed!("scheduled", "run_at_ms", "place"), i64::MIN),
            State::Running => (listed!("running", "claimed_at_ms", "entry"), i64::MIN),
            State::Succeeded => (ended!("succeeded"), i64::MAX),
            State::Dead => (ended!("dead"), i64::MAX),
            State::Cancelled => (ended!("cancelled"), i64::MAX),
        };
        let after = page.after.as_ref().map(Cursor::parts::<i64, i64>).transpose().map_err(Fault::Cursor)?;
        let (rank, tie) = after.unwrap_or((before_all, before_all));
        let rows: Vec<Ranked> = sqlx::query_as(sql)
            .bind(queue.as_str())
            .bind(rank)
            .bind(tie)
            .bind(i64::try_from(page.size.saturating_add(1)).unwrap_or(i64::MAX))
            .fetch_all(&self.readers)
            .await?;
        listing(rows, page.size)
    }

    pub(super) async fn read_known(&self, ids: &[JobId]) -> Result<Vec<JobId>> {
        let sql = "SELECT jobs.id FROM json_each(?1) AS asked CROSS JOIN jobs ON jobs.id = unhex(asked.value, '-')";
        let known: Vec<Vec<u8>> =
            sqlx::query_scalar(sql).bind(id_list(ids.iter().copied())).fetch_all(&self.readers).await?;
        known.iter().map(|id| job_id(id)).collect()
    }

    pub(super) async fn read_queues(&self) -> Result<Vec<QueueInfo>> {
        let counted: Vec<Counted> = sqlx::query_as(QUEUES).fetch_all(&self.readers).await?;
        counted.into_iter().map(Counted::info).collect()
    }

    pub(super) async fn read_workers(&self) -> Result<Vec<WorkerInfo>> {
        let sql = concat!("SELECT info FROM workers WHERE expires_ms > ", now_ms!(), " ORDER BY id");
        let workers: Vec<String> = sqlx::query_scalar(sql).fetch_all(&self.readers).await?;
        let read = |info: &String| {
            serde_json::from_str(info).map_err(|error| Fault::Corrupt(format!("a worker's description: {error}")))
        };
        workers.iter().map(read).collect()
    }
}

#[derive(sqlx::FromRow)]
struct Counted {
    name: String,
    paused: bool,
    concurrency: Option<u32>,
    ready: i64,
    scheduled: i64,
    running: i64,
    dead: i64,
    pushed_total: i64,
    succeeded_total: i64,
    failed_total: i64,
    recovered_total: i64,
    /// Id and since when it is ready, if not since its push.
    #[sqlx(json)]
    heads: Vec<(String, Option<i64>)>,
}

impl Counted {
    fn info(self) -> Result<QueueInfo> {
        let mut oldest_ready_at_ms: Option<i64> = None;
        for (id, since_ms) in &self.heads {
            let id: JobId = id.parse().map_err(|error: crate::id::Invalid| Fault::Corrupt(error.to_string()))?;
            let since_ms = since_ms.unwrap_or_else(|| id.created_at_ms());
            oldest_ready_at_ms = Some(oldest_ready_at_ms.map_or(since_ms, |oldest_ms| oldest_ms.min(since_ms)));
        }
        Ok(QueueInfo {
            name: queue_name(&self.name)?,
            paused: self.paused,
            concurrency: self.concurrency,
            ready: self.ready as u64,
            oldest_ready_at_ms,
            scheduled: self.scheduled as u64,
            running: self.running as u64,
            dead: self.dead as u64,
            pushed_total: self.pushed_total as u64,
            succeeded_total: self.succeeded_total as u64,
            failed_total: self.failed_total as u64,
            recovered_total: self.recovered_total as u64,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::fixture::{failed, fixture, job, later};
    use super::*;
    use crate::queue::{Endings, Queue, Verdict};

    #[tokio::test]
    async fn lists_have_the_order_of_their_state() {
        let fixture = fixture(Endings::Keep).await;
        let worker = fixture.worker().await;
        let mut ended = Vec::new();
        for verdict in [failed("a"), Verdict::Succeeded, failed("b"), failed("c")] {
            let job = job();
            fixture.run(&worker, &job, verdict.clone()).await;
            fixture.store.shift_clock(10).await.expect("shifts");
            if verdict != Verdict::Succeeded {
                ended.insert(0, job.id);
            }
        }
        let scheduled = [later(Duration::from_secs(90)), later(Duration::from_mins(1))];
        fixture.store.push(&scheduled).await.expect("pushes");
        let running = fixture.fill(1).await;
        fixture.claim(&worker, 1).await;
        let ready = fixture.fill(3).await;

        let list = async |state, passed, size| {
            let jobs =
                fixture.store.list(&worker.queues[0], state, Page::first(passed + size)).await.expect("reads").jobs;
            let jobs: Vec<_> = jobs.into_iter().skip(passed).collect();
            assert!(jobs.iter().all(|job| job.state == state));
            jobs.iter().map(|job| job.id).collect::<Vec<_>>()
        };
        assert_eq!(list(State::Dead, 0, 9).await, ended);
        assert_eq!(list(State::Dead, 1, 1).await, ended[1..2]);
        assert_eq!(list(State::Succeeded, 0, 9).await.len(), 1);
        assert_eq!(list(State::Cancelled, 0, 9).await, []);
        assert_eq!(list(State::Scheduled, 0, 9).await, [scheduled[1].id, scheduled[0].id]);
        assert_eq!(list(State::Running, 0, 9).await, running);
        assert_eq!(list(State::Ready, 1, 9).await, ready[1..]);
    }

    #[tokio::test]
    async fn a_running_job_names_who_has_it() {
        let fixture = fixture(Endings::Drop).await;
        let worker = fixture.worker().await;
        let id = fixture.fill(1).await[0];
        let held = fixture.claim(&worker, 1).await;
        assert_eq!(fixture.read(id).await.running, Some((worker.id, held[0].claimed_at_ms)));
    }

    #[tokio::test]
    async fn known_ids_are_told_from_strangers() {
        let fixture = fixture(Endings::Drop).await;
        let ids = fixture.fill(2).await;
        let asked = [ids[1], JobId::new(), ids[0]];
        assert_eq!(fixture.store.known(&asked).await.expect("reads"), [ids[1], ids[0]]);
        assert_eq!(fixture.store.known(&[]).await.expect("reads"), []);
        assert!(fixture.store.job(JobId::new()).await.expect("reads").is_none());
    }

    #[tokio::test]
    async fn hot_questions_use_their_index() {
        let fixture = fixture(Endings::Drop).await;
        let plans = [(listed!("scheduled", "run_at_ms", "place"), "jobs_scheduled"), (ended!("dead"), "jobs_ended")];
        for (sql, index) in plans {
            let sql = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
            let plan: Vec<(i64, i64, i64, String)> = sqlx::query_as(sql)
                .bind("default")
                .bind(9)
                .bind(0)
                .bind(20)
                .fetch_all(&fixture.store.readers)
                .await
                .expect("explains");
            // One look-up that begins behind the row, and no sorting.
            // Beside it only what each job has told, looked up by its number.
            let told = plan[1..].iter().all(|step| step.3.contains("SUBQUERY") || step.3.contains("SEARCH told"));
            assert!(told && plan[0].3.contains(index), "{plan:?}");
            assert!(plan[0].3.contains('>') || plan[0].3.contains('<'), "{plan:?}");
        }
        let plan: Vec<(i64, i64, i64, String)> =
            sqlx::query_as(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {READY}")))
                .bind("default")
                .bind(9)
                .bind(0)
                .fetch_all(&fixture.store.readers)
                .await
                .expect("explains");
        for index in ["jobs_ready", "jobs_limited"] {
            assert!(plan.iter().any(|step| step.3.contains(index)), "{plan:?}");
        }
    }
}
