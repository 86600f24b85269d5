//! Secrets: never shown, and sealed at rest. They are written, and never read back through a door.
//!
//! A [`Vault`] seals under one [`Key`] and opens with that and older ones. A sealed text names its key, so that a change of keys can go
//! on while processes with either work.

mod key;
mod secret;
mod vault;

pub use key::{Key, KeyId};
pub use secret::Secret;
pub use vault::{Vault, key_of};
