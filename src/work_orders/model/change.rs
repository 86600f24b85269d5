//! What is to change in a ticket of a system, and which of its words say what we mean.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::mapping::key;
use super::{Category, Mapping, Priority, Status};

/// What is to become of a field that may be empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Edit<T> {
    /// It stays as it is.
    #[default]
    Keep,
    /// It becomes empty.
    Clear,
    /// It becomes this.
    To(T),
}

/// Somebody, as far as we know them: a system knows its people by ids, so an adapter looks for the one who fits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The name that the system shows, or the name of the account.
    pub name: Option<String>,
    /// The address, which decides if it is known: names come twice.
    pub email: Option<String>,
}

/// What is to change in a ticket; whatever is left out stays as it is.
///
/// Status and priority are in our words. Which of its own words a system allows at this moment only its adapter can ask; it takes
/// the one that the mapping of the system reads as ours, so that what comes back is what was meant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Change {
    /// The title.
    pub title: Option<String>,
    /// The text.
    pub description: Option<String>,
    /// How far it is.
    pub status: Option<Status>,
    /// How urgent it is.
    pub priority: Option<Priority>,
    /// Who works on it.
    pub assignee: Edit<Person>,
    /// When it is due.
    pub due_date: Edit<DateTime<Utc>>,
    /// What it is about.
    pub category: Edit<String>,
    /// Its labels, all of them.
    pub tags: Option<Vec<String>>,
}

impl Change {
    /// Says whether nothing is to change.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Words that say a status so plainly that they are taken before others that the mapping reads the same; the plainest first.
fn plain_status(status: Status) -> &'static [&'static str] {
    match status {
        Status::Pending => &["new", "open", "to do", "pending", "backlog", "reopened"],
        Status::Processing => &["in progress", "processing", "open", "assigned", "in review"],
        Status::Resolved => &["resolved", "solved", "done", "fixed"],
        Status::Closed => &["closed"],
        Status::Cancelled => &["cancelled", "canceled", "rejected", "won't do", "won't fix", "declined"],
    }
}

fn plain_priority(priority: Priority) -> &'static [&'static str] {
    match priority {
        Priority::Low => &["low", "minor", "lowest", "trivial"],
        Priority::Medium => &["medium", "normal"],
        Priority::High => &["high", "major"],
        Priority::Urgent => &["urgent", "critical", "highest", "immediate", "blocker"],
    }
}

impl Mapping {
    /// Picks among what a system offers the one whose word this mapping reads as the wanted status: the system's own words
    /// first, then the plainest. `word` tells word and category of an offer.
    pub fn pick_status<'a, T>(
        &self,
        wanted: Status,
        offers: &'a [T],
        word: impl for<'b> Fn(&'b T) -> (&'b str, Option<Category>),
    ) -> Option<&'a T> {
        let fitting = offers.iter().filter(|offer| {
            let (word, category) = word(offer);
            self.status(word, category) == wanted
        });
        fitting.min_by_key(|offer| {
            let word = key(word(offer).0);
            rank(self.status.contains_key(&word), &word, plain_status(wanted))
        })
    }

    /// Picks among what a system offers the one whose word this mapping reads as the wanted priority, in the same order.
    pub fn pick_priority<'a, T>(
        &self,
        wanted: Priority,
        offers: &'a [T],
        word: impl for<'b> Fn(&'b T) -> &'b str,
    ) -> Option<&'a T> {
        let fitting = offers.iter().filter(|offer| self.priority(word(offer)) == wanted);
        fitting.min_by_key(|offer| {
            let word = key(word(offer));
            rank(self.priority.contains_key(&word), &word, plain_priority(wanted))
        })
    }
}

/// Of equal ranks the first offer wins.
fn rank(own: bool, word: &str, plain: &[&str]) -> usize {
    if own { 0 } else { 1 + plain.iter().position(|known| *known == word).unwrap_or(plain.len()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(mapping: &Mapping, wanted: Status, offers: &[(&'static str, Option<Category>)]) -> Option<&'static str> {
        mapping.pick_status(wanted, offers, |(word, category)| (word, *category)).map(|(word, _)| *word)
    }

    #[test]
    fn the_word_that_reads_back_as_meant_is_picked() {
        use Category::{Done, InProgress, ToDo};
        let jira = [
            ("Backlog", Some(ToDo)),
            ("Waiting", Some(InProgress)),
            ("In Progress", Some(InProgress)),
            ("Closed", Some(Done)),
            ("Done", Some(Done)),
        ];
        let default = Mapping::default();
        for (wanted, expected) in [
            (Status::Pending, Some("Backlog")),
            (Status::Processing, Some("In Progress")),
            (Status::Resolved, Some("Done")),
            (Status::Closed, Some("Closed")),
            (Status::Cancelled, None),
        ] {
            assert_eq!(status(&default, wanted, &jira), expected, "{wanted}");
        }
        let own = Mapping { status: [("waiting".to_owned(), Status::Cancelled)].into(), ..Mapping::default() };
        assert_eq!(status(&own, Status::Cancelled, &jira), Some("Waiting"));
        let own = Mapping { status: [("waiting".to_owned(), Status::Processing)].into(), ..Mapping::default() };
        assert_eq!(status(&own, Status::Processing, &jira), Some("Waiting"), "own words come first");
        let redmine = [("Feedback", None), ("New", None)];
        assert_eq!(status(&default, Status::Pending, &redmine), Some("New"), "a plain word before one nobody knows");
    }

    #[test]
    fn priorities_are_picked_the_same_way() {
        let offers = ["Lowest", "Low", "Normal", "High", "Immediate", "Urgent"];
        let pick = |mapping: &Mapping, wanted| mapping.pick_priority(wanted, &offers, |word| word).copied();
        let default = Mapping::default();
        for (wanted, expected) in [
            (Priority::Low, "Low"),
            (Priority::Medium, "Normal"),
            (Priority::High, "High"),
            (Priority::Urgent, "Urgent"),
        ] {
            assert_eq!(pick(&default, wanted), Some(expected), "{wanted}");
        }
        let own = Mapping { priority: [("immediate".to_owned(), Priority::Urgent)].into(), ..Mapping::default() };
        assert_eq!(pick(&own, Priority::Urgent), Some("Immediate"));
        assert_eq!(default.pick_priority(Priority::Low, &["High"], |word| word), None);
    }
}
