//! Their words for status and priority, turned into ours. Nothing is ever refused: what no rule knows keeps its raw word
//! beside the default.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Remote;
use super::words::words;

words!(
    /// How far a work order is.
    #[schema(as = TicketStatus)]
    Status, "status" {
        /// Nobody works on it yet; also where a word goes that no rule knows.
        Pending = "pending",
        /// Somebody works on it.
        Processing = "processing",
        /// The cause is gone.
        Resolved = "resolved",
        /// Nothing more will happen.
        Closed = "closed",
        /// It was not wanted.
        Cancelled = "cancelled",
    }
);

words!(
    /// How urgent a work order is.
    #[schema(as = TicketPriority)]
    Priority, "priority" {
        /// Can wait.
        Low = "low",
        /// The default.
        Medium = "medium",
        /// Soon.
        High = "high",
        /// Now.
        Urgent = "urgent",
    }
);

/// What a system says a status means, where it says so beside the word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// Not begun.
    ToDo,
    /// Begun.
    InProgress,
    /// Ended, one way or another.
    Done,
}

/// The words of one system that mean something else than by default; the keys are in lower case.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct Mapping {
    /// Their word for a status → ours.
    pub status: BTreeMap<String, Status>,
    /// Their word for a priority → ours.
    pub priority: BTreeMap<String, Priority>,
}

impl Mapping {
    /// Puts the keys into the form in which they are looked up.
    #[must_use]
    pub fn normalised(self) -> Self {
        Self {
            status: self.status.into_iter().map(|(word, value)| (key(&word), value)).collect(),
            priority: self.priority.into_iter().map(|(word, value)| (key(&word), value)).collect(),
        }
    }

    /// Returns our status for theirs: by the system's own words, then by well-known words, then by category.
    pub fn status(&self, word: &str, category: Option<Category>) -> Status {
        self.known_status(word, category).unwrap_or(Status::Pending)
    }

    /// Counts the words of a ticket that no rule knows: its status, its priority. No word at all is none of them.
    pub fn unknown_words(&self, remote: &Remote) -> i64 {
        let status = self.known_status(&remote.status, remote.category_of_status).is_none();
        let priority = self.known_priority(&remote.priority).is_none();
        i64::from(status && !remote.status.trim().is_empty())
            + i64::from(priority && !remote.priority.trim().is_empty())
    }

    fn known_status(&self, word: &str, category: Option<Category>) -> Option<Status> {
        let word = key(word);
        if let Some(status) = self.status.get(&word) {
            return Some(*status);
        }
        Some(match (category, word.as_str()) {
            (None | Some(Category::Done), "closed") => Status::Closed,
            (
                None | Some(Category::Done),
                "cancelled" | "canceled" | "rejected" | "declined" | "won't do" | "won't fix",
            ) => Status::Cancelled,
            (Some(Category::Done), _) | (None, "done" | "resolved" | "solved" | "fixed") => Status::Resolved,
            (Some(Category::InProgress), _) | (None, "in progress" | "in review" | "processing" | "hold") => {
                Status::Processing
            }
            (Some(Category::ToDo), _)
            | (None, "new" | "open" | "to do" | "todo" | "pending" | "backlog" | "reopened") => Status::Pending,
            (None, _) => return None,
        })
    }

    /// Returns our priority for theirs.
    pub fn priority(&self, word: &str) -> Priority {
        self.known_priority(word).unwrap_or(Priority::Medium)
    }

    fn known_priority(&self, word: &str) -> Option<Priority> {
        let word = key(word);
        if let Some(priority) = self.priority.get(&word) {
            return Some(*priority);
        }
        Some(match word.as_str() {
            "highest" | "blocker" | "critical" | "urgent" | "immediate" | "p1" => Priority::Urgent,
            "high" | "major" | "p2" => Priority::High,
            "low" | "lowest" | "minor" | "trivial" | "p4" | "p5" => Priority::Low,
            "medium" | "normal" | "p3" => Priority::Medium,
            _ => return None,
        })
    }
}

pub(super) fn key(word: &str) -> String {
    word.trim().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_follow_the_word_and_the_category() {
        use Category::{Done, InProgress, ToDo};
        let own =
            Mapping { status: [("Waiting for parts".to_owned(), Status::Processing)].into(), ..Mapping::default() };
        let own = own.normalised();
        for (word, category, expected) in [
            ("To Do", Some(ToDo), Status::Pending),
            ("Closed", Some(ToDo), Status::Pending),
            ("In Progress", Some(InProgress), Status::Processing),
            ("进行中", Some(InProgress), Status::Processing),
            ("Done", Some(Done), Status::Resolved),
            ("Closed", Some(Done), Status::Closed),
            ("Canceled", Some(Done), Status::Cancelled),
            ("solved", None, Status::Resolved),
            ("Never heard of", None, Status::Pending),
            ("waiting for PARTS ", Some(ToDo), Status::Processing),
        ] {
            assert_eq!(own.status(word, category), expected, "{word} {category:?}");
        }
    }

    #[test]
    fn priorities_follow_the_word() {
        let own = Mapping { priority: [("fire".to_owned(), Priority::Urgent)].into(), ..Mapping::default() };
        for (word, expected) in [
            ("Highest", Priority::Urgent),
            ("critical", Priority::Urgent),
            ("Major", Priority::High),
            ("Medium", Priority::Medium),
            ("Trivial", Priority::Low),
            ("FIRE", Priority::Urgent),
            ("", Priority::Medium),
        ] {
            assert_eq!(own.priority(word), expected, "{word}");
        }
    }

    #[test]
    fn words_that_no_rule_knows_are_counted() {
        let own = Mapping { status: [("parked".to_owned(), Status::Pending)].into(), ..Mapping::default() };
        for (status, category, priority, unknown) in [
            ("Parked", None, "Medium", 0),
            ("Open", None, "", 0),
            ("Waiting for parts", Some(Category::InProgress), "P3", 0),
            ("Waiting for parts", None, "P3", 1),
            ("Waiting for parts", None, "whenever", 2),
        ] {
            let remote = Remote {
                status: status.into(),
                category_of_status: category,
                priority: priority.into(),
                ..Remote::default()
            };
            assert_eq!(own.unknown_words(&remote), unknown, "{status} {category:?} {priority}");
        }
    }

    #[test]
    fn words_read_back_and_wrong_ones_name_the_choice() {
        for status in Status::ALL {
            assert_eq!(status.as_str().parse::<Status>().as_ref(), Ok(status));
        }
        let wrong = "open".parse::<Status>().expect_err("no such status");
        assert!(wrong.to_string().ends_with("one of: pending processing resolved closed cancelled"), "{wrong}");
    }
}
