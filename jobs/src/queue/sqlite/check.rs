//! Proves that the file is fit for use.

use super::fault::{Fault, Result};
use super::open::SqliteQueue;
use crate::queue::Health;

impl SqliteQueue {
    pub(super) async fn examine(&self) -> Result<Health> {
        let version: String = sqlx::query_scalar("SELECT sqlite_version()").fetch_one(&self.readers).await?;
        // The write lock is what a file without permission or a stuck process would refuse.
        let mut change = self.begin().await?;
        let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut *change.tx).await?;
        let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous").fetch_one(&mut *change.tx).await?;
        drop(change);
        if mode != "wal" || synchronous != FULL {
            return Err(Fault::Unfit(format!(
                "journal mode is {mode} and synchronous is {synchronous}, not wal and {FULL}: restart this process"
            )));
        }
        Ok(Health { version: format!("SQLite {version}"), durability: "wal, synchronous=FULL".to_owned() })
    }
}

/// What `PRAGMA synchronous` calls "every commit is on the disk before it returns".
const FULL: i64 = 2;

#[cfg(test)]
mod tests {
    use super::super::fixture::fixture;
    use crate::queue::{Endings, Error, Queue};

    #[tokio::test]
    async fn a_healthy_file_tells_its_version_and_durability() {
        let fixture = fixture(Endings::Drop).await;
        let health = fixture.store.check().await.expect("healthy");
        assert!(health.version.starts_with("SQLite 3."), "{health:?}");
        assert_eq!(health.durability, "wal, synchronous=FULL");
    }

    #[tokio::test]
    async fn a_value_that_nobody_here_wrote_is_corrupt_not_unavailable() {
        let fixture = fixture(Endings::Drop).await;
        let id = fixture.fill(1).await[0];
        fixture.write("UPDATE jobs SET state = 'weird'").await;
        let error = fixture.store.job(id).await.expect_err("unreadable");
        assert!(matches!(&error, Error::Corrupt { message, .. } if message.contains("weird")), "{error:?}");
    }
}
