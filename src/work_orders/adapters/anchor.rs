//! Where a page begins in a list that counts by offset and is sorted by the last change.
//!
//! A ticket that changes while we read moves to the end, all behind it move up by one, and an offset would pass over the one at
//! the border, unseen for ever. So each page asks anew from the last change that is certain, and uses an offset only within
//! tickets that the system cannot tell apart by their change. There each page begins with the last ticket of the page before: if it
//! is another one, the list has moved, and those of that change are read once more.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Connection, Error, Page, PageToken};
use crate::work_orders::model::{Remote, RowError, page_mark};

/// How often the tickets of one change are read anew. A list that still moves then has no order of its own.
const MAX_ROUNDS: u32 = 4;

/// Where a page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Anchor {
    /// The change from which on is asked, in milliseconds since 1970.
    pub(super) from_ms: i64,
    /// How many of those were given: tickets, or pages of them.
    pub(super) offset: usize,
    /// The last of them, by which a list that has moved is found out.
    last: Option<String>,
    /// How often those of this change were begun anew.
    round: u32,
}

/// The ends of a page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ends {
    /// The first ticket.
    pub(super) first: Option<String>,
    /// The last.
    pub(super) last: Option<String>,
}

impl Anchor {
    /// Begins a list; "everything" begins in 1970, for some systems refuse a search without bounds.
    pub(super) fn first(since: Option<DateTime<Utc>>) -> Self {
        Self::begin(since.map_or(0, |since| since.timestamp_millis().max(0)))
    }

    fn begin(from_ms: i64) -> Self {
        Self { from_ms, offset: 0, last: None, round: 0 }
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
        let id = |ticket: &Result<Remote, RowError>| match ticket {
            Ok(remote) => remote.external_id.clone(),
            Err(error) => error.external_id.clone(),
        };
        let ends = Ends { first: tickets.first().map(id), last: tickets.last().map(id) };
        let mark = page_mark(tickets.iter().filter_map(|ticket| ticket.as_ref().ok()?.updated_at));
        // A page of older changes than were asked for is another page: counted as this one, it would stand for others.
        let is_another = self.round < MAX_ROUNDS && self.goes_back(mark, TimeDelta::zero());
        if is_another || self.has_moved(ends.first.as_deref(), mark, TimeDelta::zero()) {
            return self.anew();
        }
        let ahead = Some(total.saturating_sub(self.skip() + tickets.len()) as u64);
        let next = self.next(tickets.len(), total, mark, ends.last).map(Self::token);
        Page { tickets, deleted: Vec::new(), next, ahead }
    }

    /// Returns the place at an offset of a list.
    pub(super) fn at(since: Option<DateTime<Utc>>, offset: usize) -> Self {
        Self { offset, ..Self::first(since) }
    }

    /// Says whether what stands at the border, where the last ticket of the page before stood, is another one. A page that reaches
    /// up to a change before the one asked for, by more than `slack`, says nothing: its system does not count as we do.
    pub(super) fn has_moved(&self, border: Option<&str>, mark: Option<DateTime<Utc>>, slack: TimeDelta) -> bool {
        let is_other = self.last.is_some() && self.last.as_deref() != border;
        self.round < MAX_ROUNDS && !self.goes_back(mark, slack) && is_other
    }

    fn goes_back(&self, mark: Option<DateTime<Utc>>, slack: TimeDelta) -> bool {
        mark.is_some_and(|mark| mark < self.from() - slack)
    }

    /// Begins those of this change anew. What the page that found it out has is left: how far it reaches would not be true.
    pub(super) fn anew(self) -> Page {
        let next = Self { round: self.round + 1, ..Self::begin(self.from_ms) };
        Page { tickets: Vec::new(), deleted: Vec::new(), next: Some(next.token()), ahead: None }
    }

    /// Returns how many tickets are passed over, so that the last of the page before comes again.
    pub(super) fn skip(&self) -> usize {
        self.offset - usize::from(self.last.is_some())
    }

    /// Returns where the page before began, where pages are counted.
    pub(super) fn before(&self) -> Option<Self> {
        self.last.as_ref()?;
        Some(Self { offset: self.offset.checked_sub(1)?, last: None, ..self.clone() })
    }

    /// Reads a token; `None` if it is one of another list.
    fn read(token: &PageToken) -> Option<Self> {
        let mut parts = token.0.splitn(4, '+');
        let mut number = || parts.next()?.parse().ok();
        let (from_ms, offset, round) = (number()?, number()?, number()?);
        let last = parts.next().map(str::to_owned);
        Some(Self {
            from_ms,
            offset: usize::try_from(offset).ok()?,
            round: u32::try_from(round).ok()?,
            last: last.filter(|_| offset > 0),
        })
    }

    /// Writes the token.
    pub(super) fn token(self) -> PageToken {
        let begin = format!("{}+{}+{}", self.from_ms, self.offset, self.round);
        PageToken(self.last.map_or_else(|| begin.clone(), |last| format!("{begin}+{last}")))
    }

    /// Returns where the next page begins, after one with `got` of `total` tickets that reaches up to `mark` and ends with `last`.
    fn next(self, got: usize, total: usize, mark: Option<DateTime<Utc>>, last: Option<String>) -> Option<Self> {
        if got == 0 || self.skip() + got >= total {
            return None;
        }
        let offset = self.skip() + got;
        // A page of one ticket that is the last of the page before: the one behind it has to come.
        let last = last.filter(|_| offset > self.offset);
        let offset = offset.max(self.offset);
        Some(self.beyond(offset, mark.map(|mark| mark.timestamp_millis()), last))
    }

    /// Returns where a page begins that follows one up to `offset`, of which `last` is the last ticket.
    pub(super) fn beyond(self, offset: usize, mark_ms: Option<i64>, last: Option<String>) -> Self {
        match mark_ms.filter(|mark| *mark > self.from_ms) {
            Some(from_ms) => Self::begin(from_ms),
            None => Self { offset, last, ..self },
        }
    }

    /// Returns the change from which on is asked.
    pub(super) fn from(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.from_ms).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(from_ms: i64, offset: usize, last: Option<&str>) -> Anchor {
        Anchor { from_ms, offset, last: last.map(str::to_owned), round: 0 }
    }

    #[test]
    fn a_page_asks_from_the_last_certain_change() {
        for (anchor, got, total, mark_ms, expected) in [
            (at(100, 0, None), 200, 500, Some(150), Some(at(150, 0, None))),
            (at(100, 0, None), 200, 500, Some(100), Some(at(100, 200, Some("z")))),
            (at(100, 0, None), 200, 500, None, Some(at(100, 200, Some("z")))),
            (at(100, 200, Some("y")), 200, 500, Some(100), Some(at(100, 399, Some("z")))),
            (at(100, 400, Some("y")), 101, 500, Some(120), None),
            (at(100, 5, Some("y")), 1, 9, Some(100), Some(at(100, 5, None))),
            (at(100, 0, None), 0, 500, None, None),
        ] {
            let mark = mark_ms.and_then(DateTime::from_timestamp_millis);
            let next = anchor.clone().next(got, total, mark, Some("z".to_owned()));
            assert_eq!(next, expected, "{anchor:?} {got} of {total}, mark {mark_ms:?}");
        }
        for anchor in [at(150, 7, Some("a+b")), at(150, 0, None), at(150, 7, None)] {
            assert_eq!(Anchor::read(&anchor.clone().token()), Some(anchor));
        }
        assert_eq!(Anchor::read(&PageToken("x".into())), None);
    }

    #[test]
    fn a_list_that_has_moved_is_read_anew_and_not_for_ever() {
        let mut anchor = at(100, 200, Some("z"));
        assert_eq!(anchor.skip(), 199);
        let moved = |anchor: &Anchor, border| anchor.has_moved(border, None, TimeDelta::zero());
        assert!(!moved(&anchor, Some("z")) && moved(&anchor, Some("y")) && moved(&anchor, None));
        assert!(!anchor.has_moved(Some("y"), DateTime::from_timestamp_millis(99), TimeDelta::zero()), "an older page");
        let next = anchor.clone().anew().next.expect("a page");
        assert_eq!(Anchor::read(&next), Some(Anchor { round: 1, ..at(100, 0, None) }));
        let old = Remote { updated_at: DateTime::from_timestamp_millis(99), ..Remote::default() };
        let next = at(100, 0, None).page(vec![Ok(old)], 3).next.expect("a page");
        assert_eq!(Anchor::read(&next), Some(Anchor { round: 1, ..at(100, 0, None) }), "another page came");
        anchor.round = MAX_ROUNDS;
        assert!(!moved(&anchor, Some("y")), "it has no order");
    }

    #[test]
    fn a_list_begins_in_1970_at_the_earliest() {
        assert_eq!(Anchor::first(None).from_ms, 0);
        assert_eq!(Anchor::first(DateTime::from_timestamp(-5, 0)).from_ms, 0);
    }
}
