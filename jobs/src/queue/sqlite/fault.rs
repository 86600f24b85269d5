//! Errors inside this store are [`Fault`]s; [`SqliteQueue::tell`] turns them into errors of the port at its boundary.

use super::SqliteQueue;
use crate::queue::Error;

/// What went wrong inside the store.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// The library or the file.
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
    /// The same, of a commit that several calls share.
    #[error(transparent)]
    Shared(std::sync::Arc<sqlx::Error>),
    /// A value in the file that this program does not write.
    #[error("{0}")]
    Corrupt(String),
    /// A file that is not fit for use; the text names the cure.
    #[error("{0}")]
    Unfit(String),
    /// A cursor of another list.
    #[error("{0}")]
    Cursor(String),
}

/// Shorthand for results inside the store.
pub(super) type Result<T> = std::result::Result<T, Fault>;

impl SqliteQueue {
    /// Turns a fault into an error of the port.
    pub(super) fn tell(&self, fault: Fault) -> Error {
        explain(self.store.clone(), fault)
    }
}

/// Turns a fault into an error of the port: what may pass by itself is unavailable, what needs a person names the cure.
pub(super) fn explain(store: String, fault: Fault) -> Error {
    let source: std::sync::Arc<sqlx::Error> = match fault {
        Fault::Corrupt(message) => return Error::Corrupt { store, message },
        Fault::Unfit(message) => return Error::Refused { store, message },
        Fault::Cursor(message) => return Error::Cursor(message),
        Fault::Sql(source) => source.into(),
        Fault::Shared(source) => source,
    };
    let cure = match primary_code(&source) {
        Some(READONLY) => "the file is read-only: give this process write permission on it and its directory",
        Some(FULL) => "the disk is full: free some space",
        Some(CANTOPEN) => "the file cannot be opened: check the path and the permissions of its directory",
        Some(CORRUPT | NOTADB) => {
            let message = format!("{source}: restore queue.db from a backup or move it away");
            return Error::Corrupt { store, message };
        }
        _ if is_decode(&source) => return Error::Corrupt { store, message: source.to_string() },
        _ => return Error::Unavailable { store, source: Box::new(source) },
    };
    Error::Refused { store, message: format!("{cure} ({source})") }
}

const BUSY: i32 = 5;
const READONLY: i32 = 8;
const CORRUPT: i32 = 11;
const FULL: i32 = 13;
const CANTOPEN: i32 = 14;
const NOTADB: i32 = 26;

/// Says whether another process held the file for too long.
pub(super) fn is_busy(fault: &Fault) -> bool {
    matches!(fault, Fault::Sql(source) if primary_code(source) == Some(BUSY))
}

/// `SQLite` puts details into the upper bits of a code.
fn primary_code(error: &sqlx::Error) -> Option<i32> {
    let code: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(code & 0xff)
}

fn is_decode(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_))
}
