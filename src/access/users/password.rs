//! Passwords as argon2id: slow on purpose, so never on a thread that serves requests, and only a few at once.

use std::sync::Arc;

use argon2::password_hash::PasswordHasher;
use argon2::password_hash::PasswordVerifier;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

use crate::base::{Error, Result, Secret};

/// What came of looking at a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is another one, or there is none.
    Wrong,
    /// It is the one.
    Right,
    /// It is the one, kept with less effort than is asked for today: keep it anew.
    Outdated,
}

/// Turns passwords into what is kept of them, and knows them again; clones take turns with each other.
#[derive(Clone)]
pub struct Passwords {
    argon2: Argon2<'static>,
    turns: Arc<Semaphore>,
    nobody: Arc<str>,
}

impl Passwords {
    /// Takes the memory and the passes that one look at a password costs.
    ///
    /// # Errors
    /// [`Error::Invalid`] if argon2 does not know such numbers.
    pub fn new(memory_kib: u32, passes: u32) -> Result<Self> {
        let params = Params::new(memory_kib, passes, 1, None)
            .map_err(|error| Error::field("/access/password_memory_kib", format!("argon2 refuses it: {error}")))?;
        // Each takes its memory, and a core: more at once would only make all of them slower.
        let at_once = std::thread::available_parallelism().map_or(1, usize::from).clamp(1, 4);
        // Of the same cost as a real one, and no password fits it: 32 bytes of nothing.
        let nobody = format!(
            "$argon2id$v=19$m={memory_kib},t={passes},p=1$bm9ib2R5bm9ib2R5$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        );
        Ok(Self {
            argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
            turns: Arc::new(Semaphore::new(at_once)),
            nobody: nobody.into(),
        })
    }

    /// Returns what is kept of a password, with a salt and the effort in it.
    ///
    /// # Errors
    /// [`Error::Internal`] if the system gives no randomness.
    pub async fn keep(&self, password: &Secret) -> Result<String> {
        let (argon2, password) = (self.argon2.clone(), password.clone());
        self.slowly(move || {
            let kept: PasswordHash = argon2
                .hash_password(password.expose().as_bytes())
                .map_err(|error| Error::internal("cannot hash a password", error.to_string()))?;
            Ok(kept.to_string())
        })
        .await
    }

    /// Says whether a password is the one that was kept. If none was, it takes as long and is wrong.
    ///
    /// # Errors
    /// [`Error::Internal`] if what was kept cannot be read.
    pub async fn judge(&self, password: &Secret, kept: Option<&str>) -> Result<Verdict> {
        let (this, password) = (self.argon2.clone(), password.clone());
        let kept = kept.unwrap_or(&self.nobody).to_owned();
        self.slowly(move || {
            let unreadable =
                |error: &dyn std::fmt::Display| Error::internal("cannot read a kept password", error.to_string());
            let kept = PasswordHash::new(&kept).map_err(|error| unreadable(&error))?;
            let effort = Params::try_from(&kept).map_err(|error| unreadable(&error))?;
            if this.verify_password(password.expose().as_bytes(), &kept).is_err() {
                return Ok(Verdict::Wrong);
            }
            let asked = this.params();
            let enough = effort.m_cost() >= asked.m_cost() && effort.t_cost() >= asked.t_cost();
            Ok(if enough { Verdict::Right } else { Verdict::Outdated })
        })
        .await
    }

    async fn slowly<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        // Nobody closes the semaphore; without a permit the work would only be less bounded.
        let permit = Arc::clone(&self.turns).acquire_owned().await.ok();
        let done = tokio::task::spawn_blocking(move || {
            let _turn = permit;
            work()
        });
        done.await.map_err(|error| Error::internal("a look at a password broke off", error))?
    }
}

impl std::fmt::Debug for Passwords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passwords(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_kept_password_is_known_again_and_says_its_effort() {
        let (weak, strong) = (Passwords::new(8, 1).expect("fits"), Passwords::new(16, 1).expect("fits"));
        let password = Secret::new("correct horse");
        let kept = weak.keep(&password).await.expect("kept");
        assert!(kept.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{kept}");
        assert_ne!(kept, weak.keep(&password).await.expect("kept"), "each has a salt of its own");
        for (passwords, given, expected) in [
            (&weak, "correct horse", Verdict::Right),
            (&weak, "correct horsf", Verdict::Wrong),
            (&strong, "correct horse", Verdict::Outdated),
            (&strong, "correct horsf", Verdict::Wrong),
        ] {
            assert_eq!(passwords.judge(&Secret::new(given), Some(&kept)).await.expect("judges"), expected, "{given}");
        }
        assert_eq!(weak.judge(&password, None).await.expect("judges"), Verdict::Wrong);
        assert!(weak.judge(&password, Some("plain")).await.is_err());
        assert!(Passwords::new(1, 1).is_err());
    }
}
