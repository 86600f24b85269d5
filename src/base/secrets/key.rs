//! Keys: 32 bytes, and a short name that gives nothing away.

use std::fmt;
use std::io::Write;
use std::path::Path;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use sha2::{Digest, Sha256};

use super::Secret;
use crate::base::{Error, Result};

/// Names a key: the beginning of a hash of it, twelve hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(String);

impl KeyId {
    const DIGITS: usize = 12;

    /// Returns the id as the database keeps it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl serde::Serialize for KeyId {
    fn serialize<S: serde::Serializer>(&self, writer: S) -> std::result::Result<S::Ok, S::Error> {
        writer.serialize_str(&self.0)
    }
}

/// A text that is no id of a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no id of a key: it has {} hexadecimal digits", KeyId::DIGITS)]
pub struct NoKeyId;

impl FromStr for KeyId {
    type Err = NoKeyId;

    fn from_str(text: &str) -> std::result::Result<Self, NoKeyId> {
        let fits = text.len() == Self::DIGITS && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if fits { Ok(Self(text.to_owned())) } else { Err(NoKeyId) }
    }
}

/// A key. It shows its name only.
#[derive(Clone, PartialEq, Eq)]
pub struct Key([u8; 32]);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.id())
    }
}

impl Key {
    /// Takes the bytes of a key.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Draws a new key.
    pub fn fresh() -> Self {
        Self(rand::random())
    }

    /// Reads a key from its base64 text.
    ///
    /// # Errors
    /// [`Error::Invalid`] unless the text is 32 bytes in base64; it does not show the text.
    pub fn from_text(text: &str) -> Result<Self> {
        let bytes = STANDARD_NO_PAD.decode(text.trim().trim_end_matches('=')).ok();
        let key: Option<[u8; 32]> = bytes.and_then(|bytes| bytes.try_into().ok());
        let wrong = || {
            let cure = "make one with `deskhand secrets new-key` or `openssl rand -base64 32`";
            Error::field("", format!("the vault key is not 32 bytes in base64: {cure}"))
        };
        key.map(Self).ok_or_else(wrong)
    }

    /// Returns the base64 text, for the one place that must print or keep it.
    pub fn to_text(&self) -> Secret {
        Secret::new(STANDARD.encode(self.0))
    }

    /// Reads a key from a file.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the file holds no key or cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Error::field("", format!("cannot read the vault key {}: {error}", path.display())))?;
        Self::from_text(&text).map_err(|error| Error::field("", format!("{}: {error}", path.display())))
    }

    /// Reads the key from a file; makes the file, readable by its owner only, if there is none.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the file is not a key, [`Error::Internal`] if it cannot be made.
    pub fn load_or_create(path: &Path) -> Result<Self> {
        if !path.exists() {
            match create(path) {
                Ok(()) => {}
                // Another process made it first: theirs counts.
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    let cure = "set data_dir or secrets.key_file to a place that this user may read and write";
                    let what = format!("cannot make the vault key {} ({cure})", path.display());
                    return Err(Error::internal(what, error));
                }
            }
        }
        Self::read(path)
    }

    /// Returns the name of the key. Whoever knows it cannot find the key: that has 256 random bits.
    pub fn id(&self) -> KeyId {
        let digest = Sha256::new().chain_update(b"deskhand vault key\0").chain_update(self.0).finalize();
        let digits = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]).take(KeyId::DIGITS);
        KeyId(digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect())
    }

    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Writes a new key beside its place and links it there: nobody ever reads half a key, and the first of two wins.
fn create(path: &Path) -> std::io::Result<()> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    let draft = path.with_extension(format!("{:016x}.new", rand::random::<u64>()));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&draft)?;
    writeln!(file, "{}", Key::fresh().to_text().expose())?;
    file.sync_all()?;
    let linked = std::fs::hard_link(&draft, path);
    std::fs::remove_file(&draft)?;
    linked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_text_and_shows_its_name_only() {
        let key = Key::from_bytes([7; 32]);
        assert_eq!(Key::from_text(key.to_text().expose()).expect("a key"), key);
        assert_eq!(Key::from_text(key.to_text().expose().trim_end_matches('=')).expect("without padding"), key);
        assert_eq!(format!("{key:?}"), format!("Key({})", key.id()));
        assert_eq!(key.id().as_str().parse(), Ok(key.id()));
        assert_ne!(key.id(), Key::from_bytes([8; 32]).id());
        for wrong in ["", "c2hvcnQ=", "not base64 at all, and much too long for a key"] {
            let error = Key::from_text(wrong).expect_err("no key").to_string();
            assert!(error.contains("new-key") && (wrong.is_empty() || !error.contains(wrong)), "{error}");
        }
    }

    #[test]
    fn the_key_file_is_made_once_and_is_private() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("deep/vault.key");
        let made = Key::load_or_create(&path).expect("made");
        assert_eq!(Key::load_or_create(&path).expect("read"), made);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        }
        std::fs::write(&path, "short").expect("written");
        assert!(Key::load_or_create(&path).expect_err("no key").to_string().contains("openssl rand"));
        assert!(Key::read(&directory.path().join("none")).expect_err("no file").to_string().contains("cannot read"));
    }
}
