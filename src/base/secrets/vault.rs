//! Sealing and opening.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};

use super::{Key, KeyId, Secret};
use crate::base::{Error, Result};

/// In front of a sealed text that does not name its key.
const V1: &str = "v1:";
/// In front of a sealed text that does: `v2:KEY:SEALED`.
const V2: &str = "v2:";
const NONCE_BYTES: usize = 24;

/// Seals secrets with XChaCha20-Poly1305 under one key, and opens what was sealed under that or an older one.
///
/// The place (`table:id:field`) is bound into the seal, so that a sealed text copied to another row does not open there.
#[derive(Clone)]
pub struct Vault(Arc<Keys>);

struct Keys {
    current: Held,
    older: Vec<Held>,
}

struct Held {
    id: KeyId,
    cipher: XChaCha20Poly1305,
}

impl Held {
    fn new(key: &Key) -> Self {
        Self { id: key.id(), cipher: XChaCha20Poly1305::new(key.bytes().into()) }
    }

    fn open(&self, text: &str, place: &str) -> Option<Secret> {
        let bytes = BASE64.decode(text).ok()?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_BYTES>()?;
        let payload = Payload { msg: sealed, aad: place.as_bytes() };
        let plain = self.cipher.decrypt(&XNonce::from(*nonce), payload).ok()?;
        String::from_utf8(plain).ok().map(Secret::new)
    }
}

/// Shows which keys it has, by name.
impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vault({})", self.names())
    }
}

/// Returns the key that a sealed text names; `None` for one of the first version, which names none.
pub fn key_of(sealed: &str) -> Option<KeyId> {
    sealed.strip_prefix(V2)?.split_once(':')?.0.parse().ok()
}

impl Vault {
    /// Makes a vault that seals under one key, and also opens with others.
    pub fn new(current: &Key, older: &[Key]) -> Self {
        let older = older.iter().filter(|key| *key != current).map(Held::new).collect();
        Self(Arc::new(Keys { current: Held::new(current), older }))
    }

    /// Makes a vault of one key.
    pub fn from_key(key: &[u8; 32]) -> Self {
        Self::new(&Key::from_bytes(*key), &[])
    }

    /// Returns the name of the key under which it seals.
    pub fn key_id(&self) -> &KeyId {
        &self.0.current.id
    }

    /// Says whether it opens what was sealed under a key.
    pub fn has(&self, key: &KeyId) -> bool {
        self.held().any(|held| held.id == *key)
    }

    /// Returns the names of its keys as a sentence needs them: the first seals.
    pub fn names(&self) -> String {
        self.held().map(|held| held.id.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// Seals a secret for one place.
    ///
    /// # Panics
    /// Never: the cipher refuses only texts of many gigabytes.
    pub fn seal(&self, secret: &Secret, place: &str) -> String {
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let payload = Payload { msg: secret.expose().as_bytes(), aad: place.as_bytes() };
        let current = &self.0.current;
        let sealed = current.cipher.encrypt(&XNonce::from(nonce), payload).expect("a secret is short");
        format!("{V2}{}:{}", current.id, BASE64.encode([&nonce[..], &sealed].concat()))
    }

    /// Opens what [`Vault::seal`] made for the same place.
    ///
    /// # Errors
    /// [`Error::Internal`] if it was sealed under a key that is not here, for another place, or was changed.
    pub fn open(&self, sealed: &str, place: &str) -> Result<Secret> {
        let opened = match (sealed.strip_prefix(V1), key_of(sealed)) {
            (Some(text), _) => self.held().find_map(|held| held.open(text, place)),
            (None, Some(id)) => {
                let Some(held) = self.held().find(|held| held.id == id) else {
                    let ours = self.names();
                    let cure = "add that key to secrets.previous_keys";
                    let what =
                        format!("cannot open the secret at {place}: it needs the key {id}, here are {ours}; {cure}");
                    return Err(Error::Internal { what, source: None });
                };
                sealed.rsplit(':').next().and_then(|text| held.open(text, place))
            }
            (None, None) => None,
        };
        opened.ok_or_else(|| Error::Internal {
            what: format!("cannot open the secret at {place}: the vault key has changed or the row was altered"),
            source: None,
        })
    }

    /// Seals under the present key what was sealed under another; `None` if it is under the present one.
    ///
    /// # Errors
    /// As [`Vault::open`].
    pub fn reseal(&self, sealed: &str, place: &str) -> Result<Option<String>> {
        if key_of(sealed).as_ref() == Some(self.key_id()) {
            return Ok(None);
        }
        Ok(Some(self.seal(&self.open(sealed, place)?, place)))
    }

    /// Returns what stands in front of every text that is sealed under the present key.
    pub fn prefix(&self) -> String {
        format!("{V2}{}:", self.key_id())
    }

    fn held(&self) -> impl Iterator<Item = &Held> {
        std::iter::once(&self.0.current).chain(&self.0.older)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PLACE: &str = "systems:1:password";

    #[test]
    fn a_sealed_secret_opens_only_at_its_place_with_its_key() {
        let vault = Vault::from_key(&[7; 32]);
        let sealed = vault.seal(&Secret::new("hunter2"), PLACE);
        assert!(sealed.starts_with(&vault.prefix()));
        assert_eq!(vault.open(&sealed, PLACE).expect("opens").expose(), "hunter2");
        assert!(vault.open(&sealed, "systems:2:password").is_err());
        let error = Vault::from_key(&[8; 32]).open(&sealed, PLACE).expect_err("another key").to_string();
        assert!(error.contains(vault.key_id().as_str()) && error.contains("previous_keys"), "{error}");
        for broken in ["", "v1:", "v2:", "v2:x:y", &sealed[..sealed.len() - 2], &format!("{}:AAAA", &sealed[..15])] {
            assert!(vault.open(broken, PLACE).is_err(), "{broken}");
        }
    }

    /// A text as the first version wrote it: the same seal, without the name of the key.
    fn first_version(vault: &Vault) -> String {
        let sealed = vault.seal(&Secret::new("hunter2"), PLACE);
        format!("{V1}{}", sealed.rsplit(':').next().expect("a text"))
    }

    #[test]
    fn older_keys_open_and_never_seal() {
        let (old, new) = (Key::from_bytes([7; 32]), Key::from_bytes([9; 32]));
        let (before, between) = (Vault::new(&old, &[]), Vault::new(&new, &[old.clone(), new.clone()]));
        for sealed in [before.seal(&Secret::new("hunter2"), PLACE), first_version(&before)] {
            assert_eq!(between.open(&sealed, PLACE).expect("opens").expose(), "hunter2");
            let resealed = between.reseal(&sealed, PLACE).expect("opens").expect("it was under the old key");
            assert_eq!(key_of(&resealed), Some(new.id()));
            assert_eq!(between.reseal(&resealed, PLACE).expect("opens"), None);
            assert_eq!(Vault::new(&new, &[]).open(&resealed, PLACE).expect("opens").expose(), "hunter2");
            assert!(between.reseal(&sealed, "systems:2:password").is_err());
        }
        assert_eq!(between.names(), format!("{}, {}", new.id(), old.id()));
        assert!(between.has(&old.id()) && !before.has(&new.id()));
        assert_eq!(key_of(&first_version(&before)), None);
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
