//! The key of the secrets.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

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
    let (Ok(found), Ok(us)) = (std::fs::metadata(path), std::fs::metadata("/proc/self")) else { return Vec::new() };
    let is_ours = found.uid() == us.uid();
    vec![judge(&path.display().to_string(), found.permissions().mode() & 0o777, is_ours)]
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
