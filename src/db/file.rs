//! A SQLite file as a thing: copied while others write it, or held by nobody else.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};

use super::open::is_busy;
use crate::base::{Error, Result};

/// How long a copy waits for a writer that has the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);
/// Who has a file open keeps it open, so there is little to wait for.
const HELD_TIMEOUT: Duration = Duration::from_millis(500);

/// Returns the file of `sqlite://…`; `None` if the address names a server.
pub fn file_of(url: &str) -> Option<PathBuf> {
    url.starts_with("sqlite:").then(|| SqliteConnectOptions::from_str(url).ok()).flatten().map(|options| {
        let path: &Path = options.get_filename();
        path.to_owned()
    })
}

/// Copies a file as it is at one instant into a new one, while processes read and write it.
///
/// # Errors
/// [`Error::Unavailable`] if it cannot be read or the copy cannot be written.
pub async fn copy(from: &Path, to: &Path) -> Result<()> {
    let failed = |error: sqlx::Error| {
        let cure = "is it a SQLite file that this user may read, and is there room for the copy?";
        Error::unavailable(format!("the copy of {} ({cure})", from.display()), error)
    };
    let mut connection = open(from, BUSY_TIMEOUT).await.map_err(failed)?;
    // Unlike a copy of the file it is of one instant, has what is in the journal, and leaves out free pages.
    let target = to.to_string_lossy().into_owned();
    let copied = sqlx::query("VACUUM INTO ?1").bind(target).execute(&mut connection).await;
    copied.map_err(failed)?;
    connection.close().await.map_err(failed)
}

/// Says whether another process has a file open. If none has, everything is in the file itself and nothing in its journal.
///
/// # Errors
/// [`Error::Unavailable`] if that cannot be found out.
pub async fn is_held(path: &Path) -> Result<bool> {
    let Ok(mut connection) = open(path, HELD_TIMEOUT).await else {
        // What is no SQLite file any more is nobody's database.
        return Ok(false);
    };
    // Leaving the write-ahead log takes the file alone.
    let mode: sqlx::Result<String> =
        sqlx::query_scalar("PRAGMA journal_mode = DELETE").fetch_one(&mut connection).await;
    let held = match mode {
        Ok(mode) => mode == "wal",
        Err(error) => is_busy(&error),
    };
    drop(connection.close().await);
    Ok(held)
}

async fn open(path: &Path, patience: Duration) -> sqlx::Result<SqliteConnection> {
    SqliteConnectOptions::new().filename(path).create_if_missing(false).busy_timeout(patience).connect().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::Db;
    use crate::on;

    #[test]
    fn only_an_embedded_database_is_a_file() {
        assert_eq!(file_of("sqlite://./data/deskhand.db"), Some(PathBuf::from("./data/deskhand.db")));
        assert_eq!(file_of("sqlite:///var/d.db?mode=rwc"), Some(PathBuf::from("/var/d.db")));
        assert_eq!(file_of("postgres://h/d"), None);
    }

    #[tokio::test]
    async fn a_copy_is_of_one_instant_and_whoever_has_the_file_holds_it() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let (path, to) = (directory.path().join("d.db"), directory.path().join("copy.db"));
        let db = Db::open(&format!("sqlite://{}", path.display())).await.expect("opens");
        let mut tx = db.begin().await.expect("begins");
        on!(tx, |c| sqlx::query("CREATE TABLE t (x INTEGER)").execute(c).await.map(|_| ())).expect("creates");
        tx.commit().await.expect("commits");
        // What is not committed is not in it, and does not hinder it.
        let mut tx = db.begin().await.expect("begins");
        on!(tx, |c| sqlx::query("INSERT INTO t VALUES (1)").execute(c).await.map(|_| ())).expect("writes");
        copy(&path, &to).await.expect("copies");
        assert!(is_held(&path).await.expect("answers"));
        tx.commit().await.expect("commits");
        db.close().await;
        assert!(!is_held(&path).await.expect("answers"));
        let copied = Db::open(&format!("sqlite://{}", to.display())).await.expect("opens");
        let mut tx = copied.read().await.expect("begins");
        let rows: i64 = on!(tx, |c| sqlx::query_scalar("SELECT count(*) FROM t").fetch_one(c).await).expect("reads");
        assert_eq!(rows, 0);
        assert!(copy(&directory.path().join("none.db"), &directory.path().join("x.db")).await.is_err());
    }
}
