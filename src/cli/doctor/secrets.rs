//! The key of the secrets.

use std::os::unix::fs::PermissionsExt;

use super::finding::Finding;
use crate::base::Vault;
use crate::config::Config;

const PART: &str = "secrets";

/// Checks that the key is there, is a key and is nobody else's to read. Whether every process has the same one is a question for
/// the database, and belongs beside this.
pub(super) fn check(config: &Config) -> Vec<Finding> {
    let path = &config.secrets.key_file;
    if let Err(error) = Vault::load_or_create(path) {
        return vec![Finding::failed(PART, &error)];
    }
    let mode = std::fs::metadata(path).map_or(0, |found| found.permissions().mode() & 0o777);
    vec![judge(&path.display().to_string(), mode)]
}

fn judge(path: &str, mode: u32) -> Finding {
    let of_others = mode & 0o077;
    if of_others == 0 {
        return Finding::ok(PART, format!("the key is {path}, for its owner only"));
    }
    Finding::warn(PART, format!("the key {path} is open to others (mode {mode:04o})"), format!("chmod 600 {path}"))
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn a_key_that_others_may_read_is_a_reason_to_act() {
        for (mode, level) in [(0o600, Level::Ok), (0o400, Level::Ok), (0o640, Level::Warn), (0o604, Level::Warn)] {
            assert_eq!(judge("/k", mode).level, level, "{mode:o}");
        }
    }
}
