//! Where a page begins in a list that counts by offset and is sorted by the last change.
//!
//! A ticket that changes while we read moves to the end, all behind it move up by one, and an offset would pass over the one at
//! the border, unseen for ever. So each page asks anew from the last change that is certain, and uses an offset only within
//! tickets that the system cannot tell apart by their change.

use chrono::{DateTime, Utc};

use super::{Connection, Error, Page, PageToken};
use crate::work_orders::model::{Remote, RowError, page_mark};

/// Where a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Anchor {
    /// The change from which on is asked, in milliseconds since 1970.
    pub(super) from_ms: i64,
    /// How many of those are passed over.
    pub(super) offset: usize,
}

impl Anchor {
    /// Begins a list; "everything" begins in 1970, for some systems refuse a search without bounds.
    pub(super) fn first(since: Option<DateTime<Utc>>) -> Self {
        Self { from_ms: since.map_or(0, |since| since.timestamp_millis().max(0)), offset: 0 }
    }

    /// Begins a list, or goes on after the page that gave the token.
    ///
    /// # Errors
    /// [`Error`] if the token is one of another list.
    pub(super) fn of(
        connection: &Connection,
        since: Option<DateTime<Utc>>,
        page: Option<&PageToken>,
    ) -> Result<Self, Error> {
        page.map_or(Ok(Self::first(since)), |token| {
            Self::read(token).ok_or_else(|| Error::permanent(connection, "a page token of another list"))
        })
    }

    /// Makes the page that begins here, of a list that has `total` tickets from the change on that was asked for.
    pub(super) fn page(self, tickets: Vec<Result<Remote, RowError>>, total: usize) -> Page {
        let mark = page_mark(tickets.iter().filter_map(|ticket| ticket.as_ref().ok()?.updated_at));
        let next = self.next(tickets.len(), total, mark).map(Self::token);
        let ahead = Some(total.saturating_sub(self.offset + tickets.len()) as u64);
        Page { tickets, deleted: Vec::new(), next, ahead }
    }

    /// Returns the place at an offset of a list.
    pub(super) fn at(since: Option<DateTime<Utc>>, offset: usize) -> Self {
        Self { offset, ..Self::first(since) }
    }

    /// Reads a token; `None` if it is one of another list.
    fn read(token: &PageToken) -> Option<Self> {
        let (from_ms, offset) = token.0.split_once('+')?;
        Some(Self { from_ms: from_ms.parse().ok()?, offset: offset.parse().ok()? })
    }

    /// Writes the token.
    pub(super) fn token(self) -> PageToken {
        PageToken(format!("{}+{}", self.from_ms, self.offset))
    }

    /// Returns where the next page begins, after one with `got` of `total` tickets that reaches up to `mark`.
    fn next(self, got: usize, total: usize, mark: Option<DateTime<Utc>>) -> Option<Self> {
        if got == 0 || self.offset + got >= total {
            return None;
        }
        Some(self.beyond(got, mark.map(|mark| mark.timestamp_millis())))
    }

    /// Returns where a page begins that follows one with `got` tickets.
    pub(super) fn beyond(self, got: usize, mark_ms: Option<i64>) -> Self {
        let moved = mark_ms.filter(|mark| *mark > self.from_ms).map(|from_ms| Self { from_ms, offset: 0 });
        moved.unwrap_or(Self { offset: self.offset + got, ..self })
    }

    /// Returns the change from which on is asked.
    pub(super) fn from(self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.from_ms).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_asks_from_the_last_certain_change() {
        let at = Anchor { from_ms: 100, offset: 0 };
        for (at, got, total, mark_ms, expected) in [
            (at, 200, 500, Some(150), Some(Anchor { from_ms: 150, offset: 0 })),
            (at, 200, 500, Some(100), Some(Anchor { from_ms: 100, offset: 200 })),
            (at, 200, 500, None, Some(Anchor { from_ms: 100, offset: 200 })),
            (Anchor { offset: 200, ..at }, 200, 500, Some(100), Some(Anchor { from_ms: 100, offset: 400 })),
            (Anchor { offset: 400, ..at }, 100, 500, Some(120), None),
            (at, 0, 500, None, None),
        ] {
            let mark = mark_ms.and_then(DateTime::from_timestamp_millis);
            assert_eq!(at.next(got, total, mark), expected, "{at:?} {got} of {total}, mark {mark_ms:?}");
        }
        assert_eq!(Anchor::read(&Anchor { from_ms: 150, offset: 7 }.token()), Some(Anchor { from_ms: 150, offset: 7 }));
        assert_eq!(Anchor::read(&PageToken("x".into())), None);
    }

    #[test]
    fn a_list_begins_in_1970_at_the_earliest() {
        assert_eq!(Anchor::first(None).from_ms, 0);
        assert_eq!(Anchor::first(DateTime::from_timestamp(-5, 0)).from_ms, 0);
    }
}
