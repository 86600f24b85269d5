//! Secrets: never shown, and sealed at rest. They are written, and never read back through a door.

use std::fmt;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use serde::Deserialize;

use super::{Error, Result};

/// A text that does not show itself: no `Display`, no `Serialize`, a blank `Debug`.
#[derive(Clone, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, format = Password)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the text, for the one place that must send or print it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// The version in front of a sealed text, so that another cipher can follow.
const V1: &str = "v1:";
const NONCE_BYTES: usize = 24;

/// Seals and opens secrets with XChaCha20-Poly1305 under one key.
///
/// The place (`table:id:field`) is bound into the seal, so that a sealed text copied to another row does not open there.
#[derive(Clone)]
pub struct Vault(Arc<XChaCha20Poly1305>);

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault(***)")
    }
}

impl Vault {
    /// Makes a vault from its key.
    pub fn from_key(key: &[u8; 32]) -> Self {
        Self(Arc::new(XChaCha20Poly1305::new(key.into())))
    }

    /// Makes a vault from the base64 text of its key, as configuration holds it.
    ///
    /// # Errors
    /// [`Error::Invalid`] unless the text is 32 bytes in base64.
    pub fn from_text(text: &str) -> Result<Self> {
        let bytes = BASE64.decode(text.trim().trim_end_matches('=')).ok();
        let key: Option<[u8; 32]> = bytes.and_then(|bytes| bytes.try_into().ok());
        let wrong =
            || Error::field("", "the vault key is not 32 bytes in base64: make one with `openssl rand -base64 32`");
        key.map(|key| Self::from_key(&key)).ok_or_else(wrong)
    }

    /// Reads the key from a file; makes the file, readable by its owner only, if there is none.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the file is not a key, [`Error::Internal`] if it cannot be read or made.
    pub fn load_or_create(path: &Path) -> Result<Self> {
        let named = |source: std::io::Error| {
            let cure = "set data_dir or secrets.key_file to a place that this user may read and write";
            Error::internal(format!("cannot read or make the vault key {} ({cure})", path.display()), source)
        };
        match std::fs::read_to_string(path) {
            Ok(text) => {
                return Self::from_text(&text)
                    .map_err(|error| Error::field("", format!("{}: {error}", path.display())));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(named(error)),
        }
        match create_key(path) {
            // Another process made it first: theirs counts.
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(named(error)),
            _ => Self::from_text(&std::fs::read_to_string(path).map_err(named)?),
        }
    }

    /// Seals a secret for one place.
    ///
    /// # Panics
    /// Never: the cipher refuses only texts of many gigabytes.
    pub fn seal(&self, secret: &Secret, place: &str) -> String {
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let payload = Payload { msg: secret.expose().as_bytes(), aad: place.as_bytes() };
        let sealed = self.0.encrypt(&XNonce::from(nonce), payload).expect("a secret is short");
        format!("{V1}{}", BASE64.encode([&nonce[..], &sealed].concat()))
    }

    /// Opens what [`Vault::seal`] made for the same place.
    ///
    /// # Errors
    /// [`Error::Internal`] if the text was made with another key, for another place, or was changed.
    pub fn open(&self, sealed: &str, place: &str) -> Result<Secret> {
        let wrong = || Error::Internal {
            what: format!("cannot open the secret at {place}: the vault key has changed or the row was altered"),
            source: None,
        };
        let bytes = sealed.strip_prefix(V1).and_then(|text| BASE64.decode(text).ok()).ok_or_else(wrong)?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_BYTES>().ok_or_else(wrong)?;
        let payload = Payload { msg: sealed, aad: place.as_bytes() };
        let plain = self.0.decrypt(&XNonce::from(*nonce), payload).map_err(|_| wrong())?;
        String::from_utf8(plain).map(Secret).map_err(|_| wrong())
    }
}

/// Writes a new key beside its place and links it there: nobody ever reads half a key, and the first of two wins.
fn create_key(path: &Path) -> std::io::Result<()> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    let key: [u8; 32] = rand::random();
    let draft = path.with_extension(format!("{:016x}.new", rand::random::<u64>()));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&draft)?;
    writeln!(file, "{}", BASE64.encode(key))?;
    file.sync_all()?;
    let linked = std::fs::hard_link(&draft, path);
    std::fs::remove_file(&draft)?;
    linked
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_secret_does_not_show_itself() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "Secret(***)");
    }

    #[test]
    fn a_sealed_secret_opens_only_at_its_place_with_its_key() {
        let vault = Vault::from_key(&[7; 32]);
        let sealed = vault.seal(&Secret::new("hunter2"), "systems:1:password");
        assert_eq!(vault.open(&sealed, "systems:1:password").expect("opens").expose(), "hunter2");
        assert!(vault.open(&sealed, "systems:2:password").is_err());
        assert!(Vault::from_key(&[8; 32]).open(&sealed, "systems:1:password").is_err());
        assert!(vault.open("v1:", "systems:1:password").is_err());
    }

    #[test]
    fn the_key_file_is_made_once_and_is_private() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("deep/vault.key");
        let sealed = Vault::load_or_create(&path).expect("made").seal(&Secret::new("x"), "p");
        assert_eq!(Vault::load_or_create(&path).expect("read").open(&sealed, "p").expect("same key").expose(), "x");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        }
        std::fs::write(&path, "short").expect("written");
        assert!(Vault::load_or_create(&path).expect_err("no key").to_string().contains("openssl rand"));
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens(text in ".{0,200}", place in "[a-z:0-9]{1,30}") {
            let vault = Vault::from_key(&[1; 32]);
            let opened = vault.open(&vault.seal(&Secret::new(text.clone()), &place), &place).expect("opens");
            prop_assert_eq!(opened.expose(), text);
        }
    }
}
