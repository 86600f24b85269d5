//! What the browser keeps, and the proof that a page of ours sent a request with it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::base::Secret;

/// The name of the cookie.
pub const COOKIE: &str = "deskhand_session";

/// Draws what a new session is known by: 256 bits of randomness.
pub(super) fn draw() -> Secret {
    Secret::new(URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()))
}

/// Returns what a page has to send in `X-CSRF-Token` with each request that changes something. It follows from the cookie, which a
/// page of another site can make the browser send, but cannot read.
pub fn csrf(secret: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(format!("csrf:{secret}")))
}

/// Finds a cookie in the header `Cookie`.
pub fn of_cookies<'a>(header: &'a str, name: &str) -> Option<&'a str> {
    header
        .split(';')
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let header = "a=1; xdeskhand_session=2; deskhand_session=3; b=4";
        assert_eq!(of_cookies(header, COOKIE), Some("3"));
        assert_eq!(of_cookies("a=1", COOKIE), None);
        assert_eq!(of_cookies("", COOKIE), None);
    }

    #[test]
    fn the_proof_follows_from_the_cookie_and_does_not_tell_it() {
        let secret = draw();
        assert_eq!(secret.expose().len(), 43);
        assert_eq!(csrf(secret.expose()), csrf(secret.expose()));
        assert_ne!(csrf(secret.expose()), csrf(draw().expose()));
        assert_ne!(csrf(secret.expose()), secret.expose());
    }
}
