//! What a doctor asks a database beside whether it answers.

use chrono::{DateTime, TimeDelta, Utc};

use super::open::{Db, Pools};
use crate::base::{Clock, Result};

impl Db {
    /// Says why the database takes no writes, if it does not.
    ///
    /// # Errors
    /// [`Error`](crate::base::Error) if it does not answer, or a file cannot be locked for writing.
    pub async fn refuses_writing(&self) -> Result<Option<String>> {
        match &self.pools {
            // The lock of the writer is what a file without permission would refuse.
            Pools::Sqlite { .. } => {
                self.begin().await?.rollback().await?;
                Ok(None)
            }
            Pools::Postgres(pool) => {
                let sql = "SELECT current_setting('transaction_read_only') = 'on', pg_is_in_recovery()";
                let (read_only, is_standby): (bool, bool) = sqlx::query_as(sql).fetch_one(pool).await?;
                let why = if is_standby { "the server is a standby" } else { "the server is set to read only" };
                Ok(read_only.then(|| why.to_owned()))
            }
        }
    }

    /// Returns how far the clock of a server is ahead of ours; `None` for a file, which has no clock.
    ///
    /// # Errors
    /// [`Error`](crate::base::Error) if it does not answer.
    pub async fn ahead_of_us(&self) -> Result<Option<TimeDelta>> {
        let Pools::Postgres(pool) = &self.pools else { return Ok(None) };
        let ours = Clock::system();
        // The second question finds the connection open, so the answer is as old as half its way.
        for _ in 0..2 {
            let asked = ours.now();
            let theirs: DateTime<Utc> = sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(pool).await?;
            let way = (ours.now() - asked) / 2;
            if way < TimeDelta::milliseconds(500) {
                return Ok(Some(theirs - asked - way));
            }
        }
        Ok(None)
    }
}
