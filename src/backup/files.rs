//! Files that are on the disk when a function returns, and nobody else's to read.

use std::fmt::Write as _;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::base::{Error, Result};

/// A backup has the key of the secrets, so only its owner may read it.
const PRIVATE_DIRECTORY: u32 = 0o700;
const PRIVATE_FILE: u32 = 0o600;

/// Names what was to be done with a file, the cure and the cause.
pub(super) fn failed(what: &str, path: &Path, cure: &str, error: io::Error) -> Error {
    Error::internal(format!("cannot {what} {}: {cure}", path.display()), error)
}

/// A directory under a name of its own until it is complete; dropped before, it is gone.
pub(super) struct Draft {
    path: PathBuf,
    kept: bool,
}

impl Draft {
    /// Makes a private directory beside the place where it is to be in the end.
    pub(super) fn beside(place: &Path) -> io::Result<Self> {
        let name = place.file_name().unwrap_or_default().to_string_lossy();
        let path = place.with_file_name(format!(".{name}.{:016x}.part", rand::random::<u64>()));
        DirBuilder::new().mode(PRIVATE_DIRECTORY).create(&path)?;
        Ok(Self { path, kept: false })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Moves it to its place, durably and at once.
    pub(super) fn keep(mut self, place: &Path) -> io::Result<()> {
        sync_directory(&self.path)?;
        std::fs::rename(&self.path, place)?;
        self.kept = true;
        sync_directory(parent(place))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.kept {
            // What is left has a name that says what it is; there is nobody to tell.
            drop(std::fs::remove_dir_all(&self.path));
        }
    }
}

/// Writes a new private file; it is on the disk when this returns.
pub(super) fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(PRIVATE_FILE).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Copies into a new private file; it is on the disk when this returns.
pub(super) fn copy_new(from: &Path, to: &Path) -> io::Result<()> {
    let mut source = File::open(from)?;
    let mut copy = OpenOptions::new().write(true).create_new(true).mode(PRIVATE_FILE).open(to)?;
    io::copy(&mut source, &mut copy)?;
    copy.sync_all()
}

/// Makes what another has written private and durable.
pub(super) fn settle_file(path: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(PRIVATE_FILE))?;
    file.sync_all()
}

/// Makes names in a directory durable.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Returns the directory of a file; that of a bare name is the present one.
pub(super) fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Returns the size and the SHA-256 of a file.
pub(super) fn sum(path: &Path) -> Result<(u64, String)> {
    let told = |error| failed("read", path, "is it there, and may this user read it?", error);
    let mut file = File::open(path).map_err(told)?;
    let (mut digest, mut size_bytes, mut part) = (Sha256::new(), 0, vec![0; 1 << 16]);
    loop {
        let count = file.read(&mut part).map_err(told)?;
        if count == 0 {
            break;
        }
        digest.update(&part[..count]);
        size_bytes += count as u64;
    }
    let mut text = String::with_capacity(64);
    for byte in digest.finalize() {
        let _ = write!(text, "{byte:02x}");
    }
    Ok((size_bytes, text))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_draft_is_nothing_until_it_is_kept() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let place = directory.path().join("monday");
        let draft = Draft::beside(&place).expect("made");
        write_new(&draft.path().join("a"), b"abc").expect("written");
        drop(draft);
        assert_eq!(std::fs::read_dir(directory.path()).expect("reads").count(), 0);
        let draft = Draft::beside(&place).expect("made");
        write_new(&draft.path().join("a"), b"abc").expect("written");
        draft.keep(&place).expect("moved");
        let mode = |path: &Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!((mode(&place), mode(&place.join("a"))), (0o700, 0o600));
        let (size_bytes, sha256) = sum(&place.join("a")).expect("reads");
        assert_eq!(size_bytes, 3);
        assert_eq!(sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
