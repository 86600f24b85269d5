//! What running jobs tell.

use super::apply::{id_list, list};
use super::fault::Result;
use super::open::{Change, SqliteQueue};
use crate::queue::{LogLine, Report, Settled, append};

/// What a job has told so far.
#[derive(Default, sqlx::FromRow)]
struct Told {
    lease: String,
    done: Option<i64>,
    total: Option<i64>,
    known: i64,
    log: String,
}

impl SqliteQueue {
    pub(super) async fn keep_reports(&self, reports: &[Report]) -> Result<Vec<Settled>> {
        let mut answers = vec![Settled::Stale; reports.len()];
        if reports.is_empty() {
            return Ok(answers);
        }
        let mut change = self.begin().await?;
        for held in change.held(&id_list(reports.iter().map(|report| report.id))).await? {
            let at = held.at as usize;
            // Only a running job has a lease.
            if held.lease.as_deref() == Some(&*reports[at].lease.0) && held.queue == reports[at].queue.as_str() {
                change.tell(held.entry, &reports[at]).await?;
                answers[at] = Settled::Applied;
            }
        }
        change.commit().await?;
        Ok(answers)
    }
}

impl Change {
    async fn tell(&mut self, entry: i64, report: &Report) -> Result<()> {
        let sql = "SELECT lease, done, total, known, log FROM told WHERE entry = ?1";
        let told: Option<Told> = sqlx::query_as(sql).bind(entry).fetch_optional(&mut *self.tx).await?;
        let mut told = told.unwrap_or_default();
        if told.lease != *report.lease.0 {
            told = Told { lease: report.lease.0.to_string(), log: told.log, ..Told::default() };
        }
        if let Some(progress) = report.progress {
            (told.done, told.total) = (Some(progress.done as i64), progress.total.map(|total| total as i64));
        }
        let mut log = read_log(&told.log);
        append(&mut log, report.fresh(told.known as u64));
        let sql = "INSERT INTO told (entry, lease, done, total, known, log) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
                   ON CONFLICT (entry) DO UPDATE SET lease = excluded.lease, done = excluded.done, \
                   total = excluded.total, known = excluded.known, log = excluded.log";
        sqlx::query(sql)
            .bind(entry)
            .bind(told.lease)
            .bind(told.done)
            .bind(told.total)
            .bind(report.known_after(told.known as u64) as i64)
            .bind(list(&log))
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }

    /// Forgets how far attempts before the last one were; `ended` are entries and leases, none if nobody ran the job.
    pub(super) async fn forget_older_progress(&mut self, ended: &[(i64, Option<String>)]) -> Result<()> {
        if !self.told || ended.is_empty() {
            return Ok(());
        }
        let sql = "UPDATE told SET done = NULL, total = NULL \
                   FROM (SELECT value ->> 0 AS entry, value ->> 1 AS lease FROM json_each(?1)) AS over \
                   WHERE told.entry = over.entry AND told.lease IS NOT over.lease";
        sqlx::query(sql).bind(list(ended)).execute(&mut *self.tx).await?;
        Ok(())
    }
}

/// Reads a log; one that cannot be read is empty.
pub(super) fn read_log(text: &str) -> Vec<LogLine> {
    serde_json::from_str(text).unwrap_or_default()
}
