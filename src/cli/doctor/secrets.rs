//! The key of the secrets.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::finding::Finding;
use crate::app::open_vault;
use crate::config::Config;
use crate::db::Db;
use crate::secrets::check_keys;

const PART: &str = "secrets";

/// Checks that the keys are there, are keys, and that their file is nobody else's to read.
pub(super) fn check(config: &Config) -> Vec<Finding> {
    let vault = match open_vault(&config.secrets) {
        Ok(vault) => vault,
        Err(error) => return vec![Finding::failed(PART, &error)],
    };
    let mut findings = vec![Finding::ok(PART, format!("the keys are {}; the first one seals", vault.names()))];
    if config.secrets.key.is_empty() {
        let path = &config.secrets.key_file;
        if let (Ok(found), Ok(us)) = (std::fs::metadata(path), std::fs::metadata("/proc/self")) {
            let is_ours = found.uid() == us.uid();
            findings.push(judge(&path.display().to_string(), found.permissions().mode() & 0o777, is_ours));
        }
    }
    findings
}

/// Checks that the keys are those of a database of this shape.
pub(super) async fn compare(config: &Config, db: &Db) -> Option<Finding> {
    // What is wrong with the keys themselves is told by `check`.
    let vault = open_vault(&config.secrets).ok()?;
    Some(match check_keys(db, &vault).await {
        Ok(()) => Finding::ok(PART, "the keys are those of the database"),
        Err(error) => Finding::failed(PART, &error),
    })
}

/// A key that somebody else provides, as a mounted secret or a file of root, is read as a member of its group.
fn judge(path: &str, mode: u32, is_ours: bool) -> Finding {
    let too_much = mode & if is_ours { 0o077 } else { 0o037 };
    if too_much == 0 {
        return Finding::ok(PART, format!("the key is {path}, and nobody else's to read"));
    }
    Finding::warn(PART, format!("the key {path} is open to others (mode {mode:04o})"), format!("chmod 600 {path}"))
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn a_key_that_others_may_read_is_a_reason_to_act() {
        for (mode, is_ours, level) in [
            (0o600, true, Level::Ok),
            (0o400, true, Level::Ok),
            (0o640, true, Level::Warn),
            (0o440, false, Level::Ok),
            (0o604, false, Level::Warn),
            (0o644, true, Level::Warn),
        ] {
            assert_eq!(judge("/k", mode, is_ours).level, level, "{mode:o}");
        }
    }
}
