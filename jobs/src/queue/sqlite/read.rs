//! Reads jobs, queues and workers; beside the writer, never behind it.

use super::apply::id_list;
use super::fault::{Fault, Result};
use super::open::{SqliteQueue, now_ms};
use super::record::{Stored, job_id, queue_name, stored};
use crate::id::{JobId, QueueName};
use crate::queue::{JobRecord, Page, QueueInfo, State, WorkerInfo};

/// Lists of one state: `state = '…'` stands in the text, else the partial index would not be used.
macro_rules! listed {
    ($state:literal, $order:literal) => {
        concat!(
            "SELECT ",
            stored!(),
            ", payload FROM jobs WHERE queue = ?1 AND state = '",
            $state,
            "' ORDER BY ",
            $order,
            " LIMIT ?2 OFFSET ?3"
        )
    };
}

/// The same for states of ended jobs, latest first.
macro_rules! ended {
    ($state:literal) => {
        concat!(
            "SELECT ",
            stored!(),
            ", payload FROM jobs WHERE queue = ?1 AND state = '",
            $state,
            "' AND ended_at_ms IS NOT NULL ORDER BY ended_at_ms DESC, entry DESC LIMIT ?2 OFFSET ?3"
        )
    };
}

impl SqliteQueue {
    pub(super) async fn read_job(&self, id: JobId) -> Result<Option<JobRecord>> {
        let sql = concat!("SELECT ", stored!(), ", payload FROM jobs WHERE id = ?1");
        let stored: Option<Stored> =
            sqlx::query_as(sql).bind(id.as_bytes().as_slice()).fetch_optional(&self.readers).await?;
        stored.map(Stored::record).transpose()
    }

    pub(super) async fn read_list(&self, queue: &QueueName, state: State, page: Page) -> Result<Vec<JobRecord>> {
        let sql = match state {
            State::Ready => listed!("ready", "priority, place"),
            State::Scheduled => listed!("scheduled", "run_at_ms, place"),
            State::Running => listed!("running", "claimed_at_ms, entry"),
            State::Succeeded => ended!("succeeded"),
            State::Dead => ended!("dead"),
            State::Cancelled => ended!("cancelled"),
        };
        let stored: Vec<Stored> = sqlx::query_as(sql)
            .bind(queue.as_str())
            .bind(i64::try_from(page.size).unwrap_or(i64::MAX))
            .bind(i64::try_from(page.offset).unwrap_or(i64::MAX))
            .fetch_all(&self.readers)
            .await?;
        stored.into_iter().map(Stored::record).collect()
    }

    pub(super) async fn read_known(&self, ids: &[JobId]) -> Result<Vec<JobId>> {
        let sql = "SELECT jobs.id FROM json_each(?1) AS asked CROSS JOIN jobs ON jobs.id = unhex(asked.value, '-')";
        let known: Vec<Vec<u8>> =
            sqlx::query_scalar(sql).bind(id_list(ids.iter().copied())).fetch_all(&self.readers).await?;
        known.iter().map(|id| job_id(id)).collect()
    }

    pub(super) async fn read_queues(&self) -> Result<Vec<QueueInfo>> {
        let counted: Vec<Counted> = sqlx::query_as("SELECT * FROM queues ORDER BY name").fetch_all(&self.readers).await?;
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
    ready: i64,
    scheduled: i64,
    running: i64,
    dead: i64,
    pushed_total: i64,
    succeeded_total: i64,
    failed_total: i64,
    recovered_total: i64,
}

impl Counted {
    fn info(self) -> Result<QueueInfo> {
        Ok(QueueInfo {
            name: queue_name(&self.name)?,
            paused: self.paused,
            ready: self.ready as u64,
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
