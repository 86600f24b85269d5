//! The file, its connections and its version; the beginning of every transaction.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use super::columns::now_ms;
use super::disk::refuse_remote;
use super::fault::{Fault, Result, explain, is_busy};
use super::wake::Bells;
use super::writer::{Turn, Writer};
use crate::queue::{Endings, Error};

/// The layouts of the file, each a step from the one before; a change is a new step at the end.
const LAYOUTS: [&str; 9] = [
    include_str!("schema/1.sql"),
    include_str!("schema/2.sql"),
    include_str!("schema/3.sql"),
    include_str!("schema/4.sql"),
    include_str!("schema/5.sql"),
    include_str!("schema/6.sql"),
    include_str!("schema/7.sql"),
    include_str!("schema/8.sql"),
    include_str!("schema/9.sql"),
];

/// Marks the file as ours; in a hex dump it reads `DskQ`.
const APPLICATION_ID: i32 = 0x4473_6b51;

/// The layout that this program works with.
const VERSION: i32 = LAYOUTS.len() as i32;

/// How far the log grows before it is written back into the file, in pages of 4 KiB: 16 MB. A page that changes often is written
/// back once each time, so a longer log costs fewer writes, and a little more time to open the file after a crash.
const CHECKPOINT_PAGES: u32 = 4_000;

/// How long a call waits for another process that writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Reads go on beside the writer; more connections than these would only wait for the processor.
const READERS: u32 = 4;

/// A store of jobs in one `SQLite` file.
///
/// Several processes of one host may open the same file. A network file system is refused: its locks cannot be trusted.
#[derive(Debug)]
pub struct SqliteQueue {
    /// Which store, for errors.
    pub(super) store: String,
    writer: Writer,
    pub(super) readers: SqlitePool,
    pub(super) endings: Endings,
    pub(super) bells: Bells,
}

/// A transaction that nobody else's change can come between, and its instant.
pub(super) struct Change {
    pub(super) tx: Turn,
    pub(super) now_ms: i64,
    /// Whether any job has told anything, which decides whether an end has to look for it.
    pub(super) told: bool,
}

impl SqliteQueue {
    /// Opens the file, makes it and its directory if they are missing.
    ///
    /// # Errors
    /// [`Error::Refused`] if the file or its directory cannot be made or is not fit, or was written by a newer version;
    /// [`Error::Unavailable`] if another process holds it for too long.
    pub async fn open(path: &Path, endings: Endings) -> std::result::Result<Self, Error> {
        let store = format!("sqlite://{}", path.display());
        // The parent of a bare file name is the empty path.
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        if let Some(directory) = directory {
            tokio::fs::create_dir_all(directory).await.map_err(|error| Error::Refused {
                store: store.clone(),
                message: format!("cannot make the directory {}: {error}", directory.display()),
            })?;
        }
        let explain = |fault| explain(store.clone(), fault);
        refuse_remote(directory.unwrap_or(Path::new("."))).await.map_err(explain)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
            .statement_cache_capacity(256)
            .row_buffer_size(1024)
            .disable_statement_logging();
        let writer = open_writer(options.clone()).await.map_err(explain)?;
        let readers = pool(READERS).connect_lazy_with(options.pragma("query_only", "ON"));
        let queue = Self { store, writer: Writer::new(writer), readers, endings, bells: Bells::default() };
        if endings.retention().is_some() {
            queue.count_retained().await.map_err(|fault| queue.tell(fault))?;
        }
        Ok(queue)
    }

    /// Begins a change: takes the file's write lock and reads the store's clock under it.
    pub(super) async fn begin(&self) -> Result<Change> {
        let (tx, now_ms, told) = self.writer.turn().await?;
        Ok(Change { tx, now_ms, told })
    }

    /// Reads the store's clock.
    pub(super) async fn now_ms(&self) -> Result<i64> {
        Ok(sqlx::query_scalar(concat!("SELECT ", now_ms!())).fetch_one(&self.readers).await?)
    }

    /// For tests: moves this store's idea of now, for every process that uses the file.
    ///
    /// # Errors
    /// [`Error`] if the store does not answer.
    pub async fn shift_clock(&self, by_ms: i64) -> std::result::Result<(), Error> {
        let shift = async {
            let mut change = self.begin().await?;
            sqlx::query("UPDATE store SET clock_shift_ms = clock_shift_ms + ?1")
                .bind(by_ms)
                .execute(&mut *change.tx)
                .await?;
            change.commit().await
        };
        shift.await.map_err(|fault| self.tell(fault))?;
        self.bells.ring_all();
        Ok(())
    }

    /// Closes the connections and waits until they are; what was accepted is on the disk before that.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

impl Change {
    /// Waits until the change is on the disk, maybe together with others.
    pub(super) async fn commit(self) -> Result<()> {
        self.tx.commit().await
    }

    /// Reserves places at the end of the order of arrival; returns the number before the first.
    pub(super) async fn places(&mut self, count: i64) -> Result<i64> {
        let last: i64 = sqlx::query_scalar("UPDATE store SET places = places + ?1 RETURNING places")
            .bind(count)
            .fetch_one(&mut *self.tx)
            .await?;
        Ok(last - count)
    }
}

fn pool(connections: u32) -> SqlitePoolOptions {
    // A connection to a file does not go stale, so it is neither tested nor replaced.
    SqlitePoolOptions::new()
        .max_connections(connections)
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
}

async fn open_writer(options: SqliteConnectOptions) -> Result<SqliteConnection> {
    // In memory, else SQLite keeps what a statement may have to take back in a file that it makes for each, beyond 64 KiB.
    let options = options
        .pragma("cache_size", "-32000")
        .pragma("temp_store", "MEMORY")
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES.to_string());
    let deadline = tokio::time::Instant::now() + BUSY_TIMEOUT;
    let mut writer = loop {
        match options.connect().await.map_err(Fault::from) {
            Ok(writer) => break writer,
            // The change to WAL does not obey the busy time-out, and two processes may start at once on a new file.
            Err(fault) if is_busy(&fault) && tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(fault) => return Err(fault),
        }
    };
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut writer).await?;
    if mode != "wal" {
        return Err(Fault::Unfit(format!("journal mode is {mode}, not wal: put the file on a local disk")));
    }
    install(&mut writer).await?;
    Ok(writer)
}

async fn install(writer: &mut SqliteConnection) -> Result<()> {
    let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
    let version: i32 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *tx).await?;
    let application: i32 = sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut *tx).await?;
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_master").fetch_one(&mut *tx).await?;
    let has = match (application, version) {
        (APPLICATION_ID, VERSION) => return Ok(()),
        (APPLICATION_ID, newer) if newer > VERSION => {
            return Err(Fault::Unfit(format!(
                "the file has layout {newer}, this program knows {VERSION}: start the newer version of the program"
            )));
        }
        (APPLICATION_ID, older) => older.max(0) as usize,
        (0, 0) if tables == 0 => 0,
        _ => return Err(Fault::Unfit("the file belongs to another program: give the queue a file of its own".into())),
    };
    for layout in &LAYOUTS[has..] {
        sqlx::raw_sql(*layout).execute(&mut *tx).await?;
    }
    // Pragmas take no parameters.
    let mark = format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION};");
    sqlx::raw_sql(sqlx::AssertSqlSafe(mark)).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{fixture, job, settlement};
    use super::*;
    use crate::queue::{Queue, Verdict};

    #[tokio::test]
    async fn a_restart_keeps_everything() {
        let before = fixture(Endings::Keep).await;
        let worker = before.worker().await;
        before.run(&worker, &job(), Verdict::Succeeded).await;
        let ids = before.fill(3).await;
        let held = before.claim(&worker, 1).await;
        before.store.cancel(ids[2]).await.expect("cancels");
        let counts = before.counts().await;

        let after = before.restart().await;
        assert_eq!(after.counts().await, counts);
        assert_eq!(after.store.workers().await.expect("reads"), std::slice::from_ref(&worker));
        assert_eq!(after.store.endings(9).await.expect("reads").len(), 2);
        assert_eq!(after.settle(&held[0], Verdict::Succeeded).await, crate::queue::Settled::Applied);
        assert_eq!(after.claim(&worker, 9).await[0].id, ids[1]);
    }

    #[tokio::test]
    async fn what_a_killed_process_leaves_is_complete() {
        let fixture = fixture(Endings::Drop).await;
        let ids = fixture.fill(3).await;
        // Nobody closes anything: the copies are what the disk holds at this instant.
        let left = tempfile::tempdir().expect("a directory for the test");
        for name in ["queue.db", "queue.db-wal"] {
            std::fs::copy(fixture.path().with_file_name(name), left.path().join(name)).expect("copies");
        }
        let store = SqliteQueue::open(&left.path().join("queue.db"), Endings::Drop).await.expect("opens");
        assert_eq!(store.known(&ids).await.expect("reads"), ids);
    }

    #[tokio::test]
    async fn the_directory_is_made_and_several_may_open_a_new_file_at_once() {
        let directory = tempfile::tempdir().expect("a directory for the test");
        let path = directory.path().join("deep/down/queue.db");
        let opened = (0..6).map(|_| SqliteQueue::open(&path, Endings::Drop));
        for store in futures_util::future::join_all(opened).await {
            store.expect("opens").push(&[job()]).await.expect("pushes");
        }
    }

    #[tokio::test]
    async fn a_file_that_is_not_ours_is_refused_with_the_cure() {
        let directory = tempfile::tempdir().expect("a directory for the test");
        let path = directory.path().join("other.db");
        let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
        let other = SqlitePool::connect_with(options).await.expect("opens");
        sqlx::query("CREATE TABLE t (x)").execute(&other).await.expect("creates");
        other.close().await;
        let error = SqliteQueue::open(&path, Endings::Drop).await.expect_err("refused");
        assert!(error.to_string().contains("give the queue a file of its own"), "{error}");

        std::fs::write(&path, "not a database, but long enough to be taken for the header of one".repeat(9))
            .expect("writes");
        let error = SqliteQueue::open(&path, Endings::Drop).await.expect_err("refused");
        assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");

        let error = SqliteQueue::open(&path.join("below/a/file.db"), Endings::Drop).await.expect_err("refused");
        assert!(error.to_string().contains("cannot make the directory"), "{error}");
    }

    #[tokio::test]
    async fn a_file_of_an_older_layout_is_brought_up_with_its_jobs() {
        let directory = tempfile::tempdir().expect("a directory for the test");
        let path = directory.path().join("queue.db");
        let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
        let old = SqlitePool::connect_with(options.journal_mode(SqliteJournalMode::Wal)).await.expect("opens");
        sqlx::raw_sql(LAYOUTS[0]).execute(&old).await.expect("makes the first layout");
        let mark = format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 1;");
        sqlx::raw_sql(sqlx::AssertSqlSafe(mark)).execute(&old).await.expect("marks");
        sqlx::query("INSERT INTO queues (name) VALUES ('default')").execute(&old).await.expect("writes");
        let (sql, waiting) = (
            "INSERT INTO jobs (id, queue, state, priority, place, payload) VALUES (?1, 'default', 'ready', 2, 1, ?2)",
            job(),
        );
        sqlx::query(sql)
            .bind(waiting.id.as_bytes().to_vec())
            .bind(waiting.encode())
            .execute(&old)
            .await
            .expect("writes");
        let (sql, dead) = (
            "INSERT INTO jobs (id, queue, state, priority, place, dead_reason, last_error, ended_at_ms, payload) \
             VALUES (?1, 'default', 'dead', 2, 2, 'failed', 'no', 5, ?2)",
            job(),
        );
        sqlx::query(sql).bind(dead.id.as_bytes().to_vec()).bind(dead.encode()).execute(&old).await.expect("writes");
        old.close().await;

        let store = SqliteQueue::open(&path, Endings::Drop).await.expect("opens");
        let worker = super::super::fixture::worker();
        store.beat(&worker, true).await.expect("registers");
        let claimed = store.claim(worker.id, &worker.queues, 9).await.expect("claims").jobs;
        assert_eq!(claimed.iter().map(|job| job.id).collect::<Vec<_>>(), [waiting.id]);
        let group = store.dead_groups(&worker.queues[0]).await.expect("reads").pop().expect("one");
        assert_eq!((group.kind, group.fingerprint, group.count, group.example), (None, None, 1, dead.id));
        let all = crate::queue::DeadFilter::all(worker.queues[0].clone());
        assert_eq!(store.redrive_all(all, crate::queue::Pace::NOW).await.expect("redrives"), 1);
        let claimed = store.claim(worker.id, &worker.queues, 9).await.expect("claims").jobs;
        assert_eq!((claimed[0].id, claimed[0].history.generation), (dead.id, 1));
    }

    #[tokio::test]
    async fn a_newer_layout_is_refused_with_the_cure() {
        let fixture = fixture(Endings::Drop).await;
        fixture.write("PRAGMA user_version = 99").await;
        let error = SqliteQueue::open(&fixture.path(), Endings::Drop).await.expect_err("refused");
        assert!(error.to_string().contains("start the newer version"), "{error}");
    }

    #[tokio::test]
    async fn a_change_that_is_dropped_half_way_leaves_nothing() {
        let fixture = fixture(Endings::Drop).await;
        let mut change = fixture.store.begin().await.expect("begins");
        change.name_queues(&[crate::QueueName::default()]).await.expect("writes");
        drop(change);
        assert!(fixture.store.queues().await.expect("reads").is_empty());
        fixture.fill(1).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn calls_that_are_given_up_anywhere_leave_the_store_whole() {
        let fixture = fixture(Endings::Keep).await;
        let worker = fixture.worker().await;
        let store = &fixture.store;
        for n in 0..400 {
            let patience = Duration::from_micros(n * 10);
            let jobs = [job(), job()];
            let _ = tokio::time::timeout(patience, store.push(&jobs)).await;
            let claim = store.claim(worker.id, &worker.queues, 3);
            let Ok(Ok(claim)) = tokio::time::timeout(patience, claim).await else { continue };
            let ends: Vec<_> = claim.jobs.iter().map(|job| settlement(job, Verdict::Succeeded)).collect();
            let _ = tokio::time::timeout(patience, store.settle(&ends)).await;
        }
        store.leave(worker.id, &worker.queues).await.expect("leaves");
        let counts = fixture.counts().await;
        let worker = fixture.worker().await;
        let rest = store.claim(worker.id, &worker.queues, 1_000).await.expect("claims").jobs;
        assert!(counts.running == 0 && counts.ready > 0 && counts.succeeded_total > 0, "{counts:?}");
        assert_eq!(rest.len() as u64, counts.ready.min(1_000));
        assert_eq!(counts.pushed_total, counts.succeeded_total + counts.ready, "no job is half here");
    }
}
