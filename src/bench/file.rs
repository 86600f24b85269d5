//! A queue in a file of its own, beside the one that was named.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use deskhand_jobs::queue::Endings;
use deskhand_jobs::queue::sqlite::SqliteQueue;
use sqlx::SqlitePool;
use sqlx::sqlite::SqliteConnectOptions;

use super::stage::refused;
use crate::base::{Error, Result};

pub(super) struct File {
    path: PathBuf,
    queue: Arc<SqliteQueue>,
}

impl File {
    /// Opens a new file in the directory of the one that is named, which is not touched.
    pub(super) async fn open(named: &str, name: &str) -> Result<(Self, Arc<SqliteQueue>)> {
        let named = Path::new(named);
        let directory = named.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !directory.is_dir() {
            let directory = directory.display();
            return Err(Error::field(
                "",
                format!("--queue-url: {directory} is no directory; name a file in one that is"),
            ));
        }
        let path = directory.join(format!("{name}.db"));
        let queue = Arc::new(SqliteQueue::open(&path, Endings::Drop).await.map_err(refused)?);
        Ok((Self { path, queue: Arc::clone(&queue) }, queue))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the bytes of the pages in use.
    pub(super) async fn data_bytes(&self) -> Result<f64> {
        let pool = SqlitePool::connect_with(SqliteConnectOptions::new().filename(&self.path).read_only(true)).await?;
        let sql = "SELECT (p.page_count - f.freelist_count) * s.page_size \
                   FROM pragma_page_count() p, pragma_freelist_count() f, pragma_page_size() s";
        let bytes: i64 = sqlx::query_scalar(sql).fetch_one(&pool).await?;
        pool.close().await;
        Ok(bytes as f64)
    }

    /// Returns how long it takes to write a page into a file beside it and have it on the disk, in seconds.
    pub(super) async fn page_on_disk_s(&self, times: usize) -> Result<f64> {
        let path = self.path.with_extension("page");
        let failed = |error| Error::unavailable("the disk", error);
        let written = tokio::task::spawn_blocking(move || {
            use std::io::{Seek, Write};
            let mut file = std::fs::File::create(&path)?;
            let page = [7_u8; 4096];
            // The first time makes the file as large as it stays: what follows is only data, as in a log that is used again.
            file.write_all(&page)?;
            file.sync_all()?;
            let start = Instant::now();
            for _ in 0..times {
                file.rewind()?;
                file.write_all(&page)?;
                file.sync_data()?;
            }
            let spent = start.elapsed();
            std::fs::remove_file(&path)?;
            std::io::Result::Ok(spent.as_secs_f64() / times as f64)
        });
        written.await.map_err(|error| Error::internal("the measure of the disk broke", error))?.map_err(failed)
    }

    /// Closes and removes the file and what SQLite keeps beside it.
    pub(super) async fn remove(self) -> Result<()> {
        self.queue.close().await;
        for ending in ["db", "db-wal", "db-shm", "page"] {
            let path = self.path.with_extension(ending);
            match tokio::fs::remove_file(&path).await {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::unavailable(
                        format!("the file {}, which is to be removed by hand:", path.display()),
                        error,
                    ));
                }
                _ => {}
            }
        }
        Ok(())
    }
}
