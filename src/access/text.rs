//! Checks of what people type, and refusals that several rooms share.

use std::fmt;

use crate::base::{Error, Result};

/// Checks a text of one line: 1 to `max` characters once trimmed, none of them a control character.
pub(super) fn line(pointer: &str, text: &str, max: usize) -> Result<String> {
    let text = text.trim();
    if (1..=max).contains(&text.chars().count()) && !text.chars().any(char::is_control) {
        return Ok(text.to_owned());
    }
    Err(Error::field(pointer, format!("it has to be one line of 1 to {max} characters")))
}

/// Checks a text that may be empty and have lines.
pub(super) fn note(pointer: &str, text: &str, max: usize) -> Result<String> {
    let text = text.trim();
    if text.chars().count() <= max && !text.chars().any(|c| c.is_control() && c != '\n') {
        return Ok(text.to_owned());
    }
    Err(Error::field(pointer, format!("it has to have at most {max} characters, and no control characters")))
}

/// Says that somebody else changed a thing.
pub(super) fn moved_on(what: &str, id: &impl fmt::Display) -> Error {
    Error::conflict("version", format!("{what} {id} was changed by somebody else: read it again, then change it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_trimmed_and_has_no_controls() {
        assert_eq!(line("/name", " 运维 ", 10).expect("fits"), "运维");
        for wrong in ["", "  ", "a\nb", "12345678901"] {
            assert!(line("/name", wrong, 10).is_err(), "{wrong:?}");
        }
        assert_eq!(note("/description", "", 10).expect("fits"), "");
        assert_eq!(note("/description", "a\nb", 10).expect("fits"), "a\nb");
        assert!(note("/description", "a\u{7}", 10).is_err());
    }
}
