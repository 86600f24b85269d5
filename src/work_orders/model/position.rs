//! How far a run has come: the latest change seen *in the data*, never a reading of our own clock.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// How far a run, and every further attempt of it, reaches back before the mark: searches lag behind writes, and clocks differ.
pub const OVERLAP: TimeDelta = TimeDelta::minutes(5);

/// The most tickets remembered beside the mark. Beyond it a resumed run sees some twice, which the content hash absorbs.
const MAX_SEEN: usize = 2_000;

/// A place in the list of tickets ordered by their last change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Everything that changed before this instant has been seen; `None` before the first ticket.
    pub mark: Option<DateTime<Utc>>,
    /// The tickets seen that changed shortly before the mark or later: asking again brings them again.
    #[serde(default)]
    pub seen: Vec<(String, DateTime<Utc>)>,
}

impl Position {
    /// Returns where a new run begins: behind the mark of the last one, or at `first` if there is none.
    pub fn start(mark: Option<DateTime<Utc>>, first: Option<DateTime<Utc>>) -> Self {
        Self { mark: mark.map_or(first, |mark| Some(mark - OVERLAP)), seen: Vec::new() }
    }

    /// Returns from where an attempt asks. One that goes on reaches back as a new run does: the run may have waited for an hour, and
    /// what the search did not show yet when it began to wait would lie too far back for the next run.
    pub fn from(&self) -> Option<DateTime<Utc>> {
        if self.seen.is_empty() { self.mark } else { self.mark.map(|mark| mark - OVERLAP) }
    }

    /// Says whether this run has had exactly this state of the ticket.
    pub fn covers(&self, external_id: &str, updated_at: Option<DateTime<Utc>>) -> bool {
        self.seen.iter().any(|(id, at)| id == external_id && Some(*at) == updated_at)
    }

    /// Takes note of a page, in its order; `last` says that nothing follows. The mark never goes back.
    pub fn advance(&mut self, page: &[(String, Option<DateTime<Utc>>)], last: bool) {
        let dates = page.iter().filter_map(|(_, at)| *at);
        let reached = if last { dates.clone().max() } else { page_mark(dates.clone()) };
        self.mark = self.mark.max(reached);
        self.seen.extend(page.iter().filter_map(|(id, at)| Some((id.clone(), (*at)?))));
        let mark = self.mark.map(|mark| mark - OVERLAP);
        self.seen.retain(|(_, at)| Some(*at) >= mark);
        let surplus = self.seen.len().saturating_sub(MAX_SEEN);
        self.seen.drain(..surplus);
    }
}

/// Returns up to where a page that others follow has seen everything: the earlier of its last two dates.
///
/// A search may sort by an older date than the one it shows, when a ticket changed in between. Such a ticket is too new for its
/// place; if it is the last of a page, trusting it would skip all that lies between.
pub fn page_mark(dates: impl Iterator<Item = DateTime<Utc>>) -> Option<DateTime<Utc>> {
    let (before, last) = dates.fold((None, None), |(_, last), at| (last, Some(at)));
    match (before, last) {
        (Some(before), Some(last)) => Some(last.min(before)),
        (_, last) => last,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).expect("in range")
    }

    fn rows(page: &[(usize, i64)]) -> Vec<(String, Option<DateTime<Utc>>)> {
        page.iter().map(|(id, seconds)| (id.to_string(), Some(at(*seconds)))).collect()
    }

    #[test]
    fn a_run_begins_before_the_mark_of_the_last() {
        assert_eq!(Position::start(None, None).mark, None);
        assert_eq!(Position::start(None, Some(at(5))).mark, Some(at(5)));
        assert_eq!(Position::start(Some(at(1_000)), Some(at(5))).mark, Some(at(700)));
    }

    #[test]
    fn an_attempt_that_goes_on_looks_back_and_has_the_same_only_once() {
        let mut position = Position::start(Some(at(5_000)), None);
        assert_eq!(position.from(), Some(at(4_700)), "a new run looks back once");
        position.advance(&rows(&[(1, 5_100), (2, 5_300), (3, 5_500), (4, 5_600)]), true);
        assert_eq!(position.from(), Some(at(5_300)));
        assert!(!position.covers("1", Some(at(5_100))) && position.covers("2", Some(at(5_300))));
    }

    #[test]
    fn tickets_at_the_mark_are_told_apart() {
        let mut position = Position::default();
        position.advance(&rows(&[(1, 10), (2, 20), (3, 20)]), false);
        assert_eq!(position.mark, Some(at(20)));
        assert!(position.covers("2", Some(at(20))) && position.covers("3", Some(at(20))));
        assert!(!position.covers("4", Some(at(20))), "another ticket of that instant");
        assert!(!position.covers("2", Some(at(21))), "the ticket has changed again");
        assert!(!position.covers("3", None));
    }

    #[test]
    fn a_ticket_too_new_for_its_place_does_not_move_the_mark() {
        for (page, last, mark) in [
            (&[(1, 10), (2, 900), (3, 20), (4, 30)][..], false, 20),
            (&[(1, 10), (2, 20), (3, 900)], false, 20),
            (&[(1, 10), (2, 20), (3, 900)], true, 900),
            (&[(1, 10)], false, 10),
        ] {
            let mut position = Position::default();
            position.advance(&rows(page), last);
            assert_eq!(position.mark, Some(at(mark)), "{page:?}");
        }
        let mut position = Position { mark: Some(at(50)), seen: Vec::new() };
        position.advance(&[("1".to_owned(), None)], false);
        position.advance(&rows(&[(2, 10)]), true);
        assert_eq!(position.mark, Some(at(50)), "a mark never goes back");
    }

    proptest! {
        /// Whatever the pages, asking again from the mark and dropping what is covered brings each ticket once.
        #[test]
        fn every_ticket_comes_once(mut seconds in proptest::collection::vec(0i64..30, 0..60), size in 1usize..9) {
            seconds.sort_unstable();
            let all: Vec<_> = rows(&seconds.into_iter().enumerate().collect::<Vec<_>>());
            let (mut position, mut got) = (Position::default(), Vec::new());
            let (mut anchor, mut offset) = (None, 0);
            loop {
                let found: Vec<_> = all.iter().filter(|(_, at)| *at >= anchor).collect();
                let page: Vec<_> = found.iter().skip(offset).take(size).map(|row| (*row).clone()).collect();
                let last = offset + page.len() >= found.len();
                got.extend(page.iter().filter(|(id, at)| !position.covers(id, *at)).map(|(id, _)| id.clone()));
                position.advance(&page, last);
                if last { break }
                if position.mark > anchor { (anchor, offset) = (position.mark, 0) } else { offset += page.len() }
            }
            prop_assert_eq!(got, all.into_iter().map(|(id, _)| id).collect::<Vec<_>>());
        }
    }
}
