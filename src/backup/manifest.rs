//! What a backup says of itself.

use std::path::Path;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::files::{failed, sum};
use crate::base::{Error, Result};

/// The file with the manifest; it is written last.
pub(super) const FILE: &str = "manifest.json";

/// The names of the files in a backup.
pub(super) const DATABASE: &str = "deskhand.db";
pub(super) const QUEUE: &str = "queue.db";
pub(super) const KEY: &str = "secret.key";

/// How a backup is laid out; a program refuses what it does not know.
const FORMAT: u32 = 1;

/// What a backup has, and when and by what it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// How it is laid out.
    pub format: u32,
    /// The instant of which it is: everything accepted until then is in it.
    pub made_at: DateTime<Utc>,
    /// The version of the program that made it.
    pub deskhand_version: String,
    /// The newest migration of the database.
    pub migration: i64,
    /// Its files.
    pub files: Vec<Item>,
}

/// One file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Its name within the backup.
    pub name: String,
    /// Its size.
    pub size_bytes: u64,
    /// Its checksum, in hexadecimal.
    pub sha256: String,
}

impl Manifest {
    /// Describes the files of a directory.
    pub(super) fn of(directory: &Path, names: &[&str], made_at: DateTime<Utc>, migration: i64) -> Result<Self> {
        let files = names.iter().map(|name| Item::of(directory, name)).collect::<Result<_>>()?;
        let deskhand_version = env!("CARGO_PKG_VERSION").to_owned();
        Ok(Self { format: FORMAT, made_at, deskhand_version, migration, files })
    }

    /// Reads the manifest of a backup and proves that its files are those that were written.
    pub(super) fn read(directory: &Path) -> Result<Self> {
        let path = directory.join(FILE);
        let text = std::fs::read_to_string(&path)
            .map_err(|error| failed("read", &path, "name a directory that `deskhand backup` has made", error))?;
        let manifest: Self = serde_json::from_str(&text).map_err(|error| damaged(&path, &error.to_string()))?;
        if manifest.format != FORMAT {
            let (format, version) = (manifest.format, &manifest.deskhand_version);
            return Err(refused(format!(
                "{} is laid out in form {format}, this program knows {FORMAT}: restore it with deskhand {version}",
                directory.display()
            )));
        }
        for (name, needed) in [(DATABASE, true), (QUEUE, true), (KEY, false)] {
            match manifest.item(name) {
                Some(item) if Item::of(directory, name)? == *item => {}
                Some(_) => {
                    return Err(damaged(&directory.join(name), "it is not the file that the manifest describes"));
                }
                None if needed => return Err(damaged(&path, &format!("it names no {name}"))),
                None => {}
            }
        }
        Ok(manifest)
    }

    /// Returns what it says of a file.
    pub(super) fn item(&self, name: &str) -> Option<&Item> {
        self.files.iter().find(|item| item.name == name)
    }

    /// Says whether the key of the secrets is in it.
    pub fn has_key(&self) -> bool {
        self.item(KEY).is_some()
    }
}

impl Item {
    fn of(directory: &Path, name: &str) -> Result<Self> {
        let (size_bytes, sha256) = sum(&directory.join(name))?;
        Ok(Self { name: name.to_owned(), size_bytes, sha256 })
    }
}

/// Refuses to make or to restore a backup; the text names the cure.
pub(super) fn refused(message: String) -> Error {
    Error::conflict("backup_refused", message)
}

fn damaged(path: &Path, what: &str) -> Error {
    refused(format!("{} is damaged: {what}; take another backup", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(format: u32) -> tempfile::TempDir {
        let directory = tempfile::tempdir().expect("a temporary directory");
        for name in [DATABASE, QUEUE, KEY] {
            std::fs::write(directory.path().join(name), name).expect("written");
        }
        let now = DateTime::from_timestamp_millis(0).expect("an instant");
        let mut manifest = Manifest::of(directory.path(), &[DATABASE, QUEUE, KEY], now, 9).expect("describes");
        manifest.format = format;
        std::fs::write(directory.path().join(FILE), serde_json::to_string(&manifest).expect("JSON")).expect("written");
        directory
    }

    #[test]
    fn a_backup_that_is_whole_is_read() {
        let directory = written(FORMAT);
        let manifest = Manifest::read(directory.path()).expect("whole");
        assert!(manifest.has_key() && manifest.files.len() == 3);
        assert_eq!(manifest.item(KEY).expect("there").size_bytes, 10);
    }

    /// What somebody does to a backup, and what is said of it.
    type Harm = (fn(&Path), &'static str);

    #[test]
    fn a_backup_that_is_not_whole_is_refused_with_the_cure() {
        let spoilt: [Harm; 4] = [
            (|at| std::fs::write(at.join(DATABASE), "deskhand.dB").expect("written"), "is damaged"),
            (|at| std::fs::remove_file(at.join(QUEUE)).expect("removed"), "queue.db"),
            (|at| std::fs::write(at.join(FILE), "{").expect("written"), "is damaged"),
            (|at| std::fs::remove_file(at.join(FILE)).expect("removed"), "name a directory"),
        ];
        for (spoil, expected) in spoilt {
            let directory = written(FORMAT);
            spoil(directory.path());
            let text = Manifest::read(directory.path()).expect_err("refused").to_string();
            assert!(text.contains(expected), "{text}");
        }
        let text = Manifest::read(written(2).path()).expect_err("refused").to_string();
        assert!(text.contains("form 2") && text.contains("restore it with"), "{text}");
    }
}
