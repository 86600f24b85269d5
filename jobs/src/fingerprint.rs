//! Which errors are the same error: what changes from job to job is taken out, and the rest is hashed. Pure.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The most characters of an error that count; what comes later is detail.
const MAX_CHARS: usize = 300;

/// From this length on, a word of hexadecimal digits with at least one digit is an id and not a word.
const HEX_WORD: usize = 8;

/// Identifies a group of errors: 16 hexadecimal digits, the same in every version and on every machine.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(value_type = String, example = "0123456789abcdef"))]
pub struct Fingerprint(String);

impl Fingerprint {
    /// Tells the group of an error.
    pub fn of(error: &str) -> Self {
        let bytes: [u8; 32] = Sha256::digest(shape(error)).into();
        let first = bytes.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        Self(format!("{first:016x}"))
    }

    /// Returns the digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text that is no fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no fingerprint: it is 16 hexadecimal digits, as the groups of the dead letters show it")]
pub struct NoFingerprint(String);

impl FromStr for Fingerprint {
    type Err = NoFingerprint;

    fn from_str(text: &str) -> Result<Self, NoFingerprint> {
        let valid = text.len() == 16 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if valid { Ok(Self(text.to_owned())) } else { Err(NoFingerprint(text.to_owned())) }
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = NoFingerprint;

    fn try_from(text: String) -> Result<Self, NoFingerprint> {
        text.parse()
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns an error without what differs between two jobs that failed alike: numbers and ids become `#`.
pub fn shape(error: &str) -> String {
    let mut shape = String::new();
    let mut word = String::new();
    for character in error.chars().take(MAX_CHARS).chain([' ']) {
        if character.is_alphanumeric() {
            word.push(character);
            continue;
        }
        flush(&mut shape, &word);
        word.clear();
        // The groups of a UUID, the parts of an address: one thing, one sign.
        if shape.ends_with('#') && matches!(character, '-' | '.' | ':') {
            continue;
        }
        shape.push(character);
    }
    shape.truncate(shape.trim_end().len());
    shape
}

fn flush(shape: &mut String, word: &str) {
    let has_digit = word.bytes().any(|b| b.is_ascii_digit());
    let is_hex = word.bytes().all(|b| b.is_ascii_hexdigit());
    // A short word of such digits is an id if it goes on from one: the middle of a UUID.
    let is_id = is_hex && (has_digit && word.len() >= HEX_WORD || shape.ends_with('#'));
    let variable = is_id || word.bytes().all(|b| b.is_ascii_digit());
    if !variable || word.is_empty() {
        shape.push_str(word);
    } else if !shape.ends_with('#') {
        shape.push('#');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_between_jobs_is_taken_out() {
        for (error, expected) in [
            ("timed out after 30000 ms", "timed out after # ms"),
            ("order 17 not found", "order # not found"),
            ("job 019aa8c2-7c1e-7000-8000-00000000abcd is gone", "job # is gone"),
            ("cannot reach http://127.0.0.1:8080/jira", "cannot reach http://#/jira"),
            ("HTTP 503", "HTTP #"),
            ("feedface is a word, decade too", "feedface is a word, decade too"),
            ("utf8 and http2 stay", "utf8 and http2 stay"),
            ("", ""),
        ] {
            assert_eq!(shape(error), expected, "{error:?}");
        }
    }

    #[test]
    fn errors_of_one_shape_are_one_group() {
        assert_eq!(Fingerprint::of("order 1 not found"), Fingerprint::of("order 22 not found"));
        assert_ne!(Fingerprint::of("order 1 not found"), Fingerprint::of("order 1 found"));
    }

    #[test]
    fn a_fingerprint_is_stable_and_survives_its_text() {
        let fingerprint = Fingerprint::of("mailbox 7 is full");
        assert_eq!(fingerprint.as_str(), "fe13615b44d620bb");
        assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
        assert!("xyz".parse::<Fingerprint>().is_err());
    }
}
