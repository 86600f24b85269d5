//! Room on the disks, the files of the embedded storage, and who may read what.

use std::collections::BTreeSet;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::finding::Finding;
use crate::config::Config;
use crate::db::file;

const MIB: u64 = 1024 * 1024;

/// With less than this a backup or a busy hour may fill the disk.
const LITTLE_BYTES: u64 = 1024 * MIB;
/// With less than this the next commit may fail.
const NONE_BYTES: u64 = 64 * MIB;
/// A journal is folded into its file at 4 MiB, unless a reader that does not end is in the way.
const LONG_JOURNAL_BYTES: u64 = 256 * MIB;

pub(super) fn check(config: &Config, settings: Option<&Path>) -> Vec<Finding> {
    let queue = config.queue.url.strip_prefix("sqlite://").map(PathBuf::from);
    let stores: Vec<PathBuf> = file::file_of(&config.database.url).into_iter().chain(queue).collect();
    let mut findings = Vec::new();
    let mut directories = BTreeSet::from([config.data_dir.clone()]);
    directories.extend(stores.iter().filter_map(|path| path.parent().map(Path::to_path_buf)));
    for directory in directories {
        // What nothing has been put into yet has no room of its own.
        if let Ok(room) = rustix::fs::statvfs(&directory) {
            findings.push(judge_room(&directory, room.f_bavail.saturating_mul(room.f_frsize)));
        }
    }
    for store in &stores {
        let mut journal = store.clone().into_os_string();
        journal.push("-wal");
        let size_bytes = std::fs::metadata(&journal).map_or(0, |found| found.len());
        findings.extend(judge_journal(store, size_bytes));
    }
    if let (Ok(directory), Ok(us)) = (std::fs::metadata(&config.data_dir), std::fs::metadata("/proc/self")) {
        findings.extend(judge_directory(&config.data_dir, directory.permissions().mode(), directory.uid(), us.uid()));
    }
    if let Some(path) = settings {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let mode = std::fs::metadata(path).map_or(0, |found| found.permissions().mode());
        findings.extend(judge_settings(path, mode, &text));
    }
    findings
}

fn judge_room(directory: &Path, free_bytes: u64) -> Finding {
    let told = format!("{} MiB are free at {}", free_bytes / MIB, directory.display());
    match free_bytes {
        ..NONE_BYTES => Finding::bad("disk", told, "free some room now: without it nothing can be accepted"),
        NONE_BYTES..LITTLE_BYTES => Finding::warn("disk", told, "free some room, or shorten jobs_days of ledger.clean"),
        _ => Finding::ok("disk", told),
    }
}

fn judge_journal(store: &Path, size_bytes: u64) -> Option<Finding> {
    (size_bytes > LONG_JOURNAL_BYTES).then(|| {
        let detail = format!("the journal of {} has {} MiB", store.display(), size_bytes / MIB);
        Finding::warn(
            "disk",
            detail,
            "a reader does not end: stop other programs that have the file open, then restart",
        )
    })
}

fn judge_directory(path: &Path, mode: u32, owner: u32, us: u32) -> Option<Finding> {
    let path = path.display();
    if mode & 0o002 != 0 {
        let detail = format!("everybody may write to {path} (mode {:04o})", mode & 0o777);
        return Some(Finding::warn("permissions", detail, format!("chmod 700 {path}")));
    }
    (owner != us).then(|| {
        let detail = format!("{path} belongs to user {owner}, and this is user {us}");
        Finding::warn("permissions", detail, "run deskhand as the user to whom its data belong")
    })
}

/// A file of settings may be read by everybody as long as there is no secret in it.
fn judge_settings(path: &Path, mode: u32, text: &str) -> Option<Finding> {
    (mode & 0o004 != 0 && has_secret(text)).then(|| {
        let path = path.display();
        let detail = format!("{path} holds a secret, and everybody may read it (mode {:04o})", mode & 0o777);
        Finding::warn("permissions", detail, format!("chmod 640 {path}, or give the secret in the environment"))
    })
}

/// Looks for a token, a password or a URL with one.
fn has_secret(text: &str) -> bool {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once('=')).any(|(key, value)| {
        let (key, value) = (key.trim(), value.trim().trim_matches(['"', '\'']));
        let named = ["token", "password", "secret"].iter().any(|word| key.ends_with(word)) && !value.is_empty();
        let in_url = value.split_once("://").and_then(|(_, rest)| rest.split_once('@'));
        named || in_url.is_some_and(|(who, _)| who.contains(':'))
    })
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn a_disk_without_room_is_bad_before_it_is_full() {
        let path = Path::new("/data");
        for (free_bytes, level) in [(0, Level::Bad), (100 * MIB, Level::Warn), (10_000 * MIB, Level::Ok)] {
            let found = judge_room(path, free_bytes);
            assert_eq!((found.level, found.cure.is_some()), (level, level != Level::Ok), "{free_bytes}");
        }
        assert_eq!(judge_journal(path, 4 * MIB), None);
        assert_eq!(judge_journal(path, 300 * MIB).expect("found").level, Level::Warn);
    }

    #[test]
    fn a_directory_belongs_to_who_uses_it() {
        let path = Path::new("/data");
        assert_eq!(judge_directory(path, 0o40_700, 7, 7), None);
        assert!(judge_directory(path, 0o40_777, 7, 7).expect("found").detail.contains("0777"));
        assert!(judge_directory(path, 0o40_755, 0, 7).expect("found").detail.contains("belongs to user 0"));
    }

    #[test]
    fn only_settings_with_a_secret_have_to_be_private() {
        for (text, mode, warned) in [
            ("admin_token = \"abcdefghijklmnop\"", 0o644, true),
            ("admin_token = \"abcdefghijklmnop\"", 0o640, false),
            ("admin_token = \"\"", 0o644, false),
            ("# admin_token = \"x\"", 0o644, false),
            ("[database]\nurl = \"postgres://dan:pw@h/d\"", 0o644, true),
            ("[database]\nurl = \"postgres://dan@h/d\"", 0o644, false),
            ("[worker]\nconcurrency = 4", 0o644, false),
        ] {
            assert_eq!(judge_settings(Path::new("/c"), mode, text).is_some(), warned, "{text}");
        }
    }
}
