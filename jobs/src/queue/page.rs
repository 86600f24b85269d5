//! Pages of lists: each begins behind the last job of the one before, so that what comes or goes in between makes none of the others
//! appear twice or never.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::types::{Error, JobRecord};

/// A slice of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Where the page before ended; `None` is the beginning.
    pub after: Option<Cursor>,
    /// How many to return at most.
    pub size: usize,
}

impl Page {
    /// Asks for the beginning of a list.
    pub fn first(size: usize) -> Self {
        Self { after: None, size }
    }

    /// Asks for what comes behind a page.
    pub fn after(cursor: Cursor, size: usize) -> Self {
        Self { after: Some(cursor), size }
    }
}

/// A page of a list.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// The jobs; a job that moved on while it was read is left out, so there may be fewer than asked for before the end.
    pub jobs: Vec<JobRecord>,
    /// Where to go on; `None` at the end of the list.
    pub next: Option<Cursor>,
}

/// A place in a list, made by a store for itself: of no use for another list or another store.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cursor(String);

/// A text that is no cursor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no cursor: take `next` of the page before, or begin without one")]
pub struct NoCursor(String);

impl Cursor {
    /// Makes a cursor of what a list is ordered by, and what decides between equals.
    pub(crate) fn of(rank: impl fmt::Display, tie: impl fmt::Display) -> Self {
        Self(format!("{rank}.{tie}"))
    }

    /// Reads what [`Cursor::of`] wrote; the error says what is wrong and what to do.
    pub(crate) fn parts<R: FromStr, T: FromStr>(&self) -> Result<(R, T), String> {
        let parts = self.0.split_once('.').and_then(|(rank, tie)| Some((rank.parse().ok()?, tie.parse().ok()?)));
        parts.ok_or_else(|| format!("the cursor {:?} belongs to another list: begin without one", self.0))
    }

    /// The same for stores that need no error of their own.
    pub(crate) fn place<R: FromStr, T: FromStr>(&self) -> Result<(R, T), Error> {
        self.parts().map_err(Error::Cursor)
    }
}

impl FromStr for Cursor {
    type Err = NoCursor;

    fn from_str(text: &str) -> Result<Self, NoCursor> {
        let fits = (1..=100).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b));
        if fits { Ok(Self(text.to_owned())) } else { Err(NoCursor(text.chars().take(100).collect())) }
    }
}

impl TryFrom<String> for Cursor {
    type Error = NoCursor;

    fn try_from(text: String) -> Result<Self, NoCursor> {
        text.parse()
    }
}

impl From<Cursor> for String {
    fn from(cursor: Cursor) -> Self {
        cursor.0
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::id::JobId;

    proptest! {
        #[test]
        fn cursors_survive_their_text(rank in any::<i64>(), tie in any::<i64>()) {
            for cursor in [Cursor::of(rank, tie), Cursor::of(rank, JobId::new())] {
                prop_assert_eq!(cursor.to_string().parse::<Cursor>(), Ok(cursor.clone()));
            }
            let cursor = Cursor::of(rank, tie);
            prop_assert_eq!(cursor.parts::<i64, i64>().expect("reads"), (rank, tie));
        }

        #[test]
        fn no_text_is_too_strange_to_be_refused(text in ".{0,120}") {
            if let Ok(cursor) = text.parse::<Cursor>() {
                prop_assert_eq!(cursor.to_string(), text);
            }
        }
    }

    #[test]
    fn a_cursor_of_another_list_is_refused_with_the_cure() {
        let error = Cursor::of(7, JobId::new()).parts::<i64, i64>().expect_err("refused");
        assert!(error.contains("begin without one"), "{error}");
        assert!("A B".parse::<Cursor>().expect_err("refused").to_string().contains("begin without one"));
    }
}
