//! Backup and restore of the embedded storage: both SQLite files and the key of the secrets, in one directory.
//!
//! **The queue is copied first, then the database.** The database says what is true, so its copy has to know at least as much as
//! that of the queue:
//!
//! - What a job in the copied queue did, and every row that it needs, is in the copied database, because that is younger.
//! - What was accepted between the two is in the database only, as a row that the queue seems to have. `settle` finds it and lets
//!   it wait in the database again, from where it is sent.
//! - What ended between the two would run once more. `settle` takes it out of the copied queue before anybody sees the copy.
//!
//! The other way round the queue would remember ends of jobs whose effects are not in the database, and those would be lost.

mod files;
mod make;
mod manifest;
mod restore;
mod settle;

use std::path::PathBuf;

pub use make::make;
pub use manifest::{Item, Manifest};
pub use restore::{Restored, restore};

/// Where an installation keeps what a backup has.
#[derive(Debug, Clone)]
pub struct Places {
    /// The file of the database.
    pub database: PathBuf,
    /// The file of the queue.
    pub queue: PathBuf,
    /// The key of the secrets.
    pub key_file: PathBuf,
}
