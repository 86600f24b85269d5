//! What a request wants to change of a ticket, and whether that makes sense.

use chrono::{DateTime, Datelike, Utc};

use super::{Content, Field, Priority, Status};
use crate::base::FieldError;
use crate::base::clock::cut;

const MAX_TITLE_CHARS: usize = 200;
const MAX_DESCRIPTION_CHARS: usize = 32_767;
const MAX_NAME_CHARS: usize = 200;
const MAX_CATEGORY_CHARS: usize = 100;
const MAX_TAGS: usize = 50;
const MAX_TAG_CHARS: usize = 100;
/// What both databases can write.
const YEARS: std::ops::RangeInclusive<i32> = 1970..=9999;

/// Changes of a ticket; what is `None` stays as it is, what is `Some(None)` is emptied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edits {
    /// The title.
    pub title: Option<String>,
    /// The text.
    pub description: Option<String>,
    /// How far it is.
    pub status: Option<Status>,
    /// How urgent it is.
    pub priority: Option<Priority>,
    /// Who works on it.
    pub assignee: Option<Option<String>>,
    /// Where to reach them.
    pub assignee_email: Option<Option<String>>,
    /// When it is due.
    pub due_date: Option<Option<DateTime<Utc>>>,
    /// What it is about.
    pub category: Option<Option<String>>,
    /// Its labels.
    pub tags: Option<Vec<String>>,
}

impl Edits {
    /// Puts the changes over a ticket; answers which fields they name and all that is wrong with them.
    pub fn apply(&self, content: &mut Content) -> (Vec<Field>, Vec<FieldError>) {
        let (mut named, mut wrong) = (Vec::new(), Vec::new());
        let mut refuse =
            |field: Field, message: String| wrong.push(FieldError { pointer: format!("/{field}"), message });
        if let Some(title) = &self.title {
            title.trim().clone_into(&mut content.title);
            let chars = content.title.chars().count();
            if !(1..=MAX_TITLE_CHARS).contains(&chars) {
                refuse(Field::Title, format!("a title has 1 to {MAX_TITLE_CHARS} characters, this has {chars}"));
            }
            named.push(Field::Title);
        }
        if let Some(description) = &self.description {
            content.description.clone_from(description);
            let chars = description.chars().count();
            if chars > MAX_DESCRIPTION_CHARS {
                refuse(Field::Description, format!("a text has up to {MAX_DESCRIPTION_CHARS} characters, not {chars}"));
            }
            named.push(Field::Description);
        }
        if let Some(status) = self.status {
            content.status = status;
            named.push(Field::Status);
        }
        if let Some(priority) = self.priority {
            content.priority = priority;
            named.push(Field::Priority);
        }
        let texts = [
            (Field::Assignee, &self.assignee, MAX_NAME_CHARS),
            (Field::AssigneeEmail, &self.assignee_email, MAX_NAME_CHARS),
            (Field::Category, &self.category, MAX_CATEGORY_CHARS),
        ];
        let before = content.assignee.clone();
        for (field, given, most) in texts {
            let Some(given) = given else { continue };
            let text = given.as_ref().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
            let chars = text.as_ref().map_or(0, |text| text.chars().count());
            if chars > most {
                refuse(field, format!("it has up to {most} characters, not {chars}"));
            }
            if field == Field::AssigneeEmail && text.as_ref().is_some_and(|text| !is_address(text)) {
                refuse(field, "it is no e-mail address: write one such as li.wei@example.com".to_owned());
            }
            match field {
                Field::Assignee => content.assignee = text,
                Field::AssigneeEmail => content.assignee_email = text,
                _ => content.category = text,
            }
            named.push(field);
        }
        if content.assignee != before && self.assignee_email.is_none() {
            // It is the address of whoever was named before.
            content.assignee_email = None;
            named.push(Field::AssigneeEmail);
        }
        if let Some(due_date) = self.due_date {
            if due_date.is_some_and(|at| !YEARS.contains(&at.year())) {
                refuse(Field::DueDate, "a date lies between the years 1970 and 9999".to_owned());
            }
            content.due_date = due_date.map(cut);
            named.push(Field::DueDate);
        }
        if let Some(tags) = &self.tags {
            content.tags = tags.iter().map(|tag| tag.trim().to_owned()).collect();
            if tags.len() > MAX_TAGS {
                refuse(Field::Tags, format!("a ticket has up to {MAX_TAGS} tags, not {}", tags.len()));
            }
            if content.tags.iter().any(|tag| !(1..=MAX_TAG_CHARS).contains(&tag.chars().count())) {
                refuse(Field::Tags, format!("a tag has 1 to {MAX_TAG_CHARS} characters"));
            }
            named.push(Field::Tags);
        }
        (named, wrong)
    }
}

fn is_address(text: &str) -> bool {
    let parts = text.split_once('@');
    parts.is_some_and(|(name, host)| !name.is_empty() && !host.is_empty() && !host.contains('@'))
        && !text.contains(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work_orders::model::ticket::tests::content;

    #[test]
    fn edits_are_checked_each_with_its_place() {
        let text = |chars: usize| "x".repeat(chars);
        for (edits, pointer) in [
            (Edits { title: Some(" ".into()), ..Edits::default() }, "/title"),
            (Edits { title: Some(text(201)), ..Edits::default() }, "/title"),
            (Edits { description: Some(text(32_768)), ..Edits::default() }, "/description"),
            (Edits { assignee: Some(Some(text(201))), ..Edits::default() }, "/assignee"),
            (Edits { assignee_email: Some(Some("li wei@example.com".into())), ..Edits::default() }, "/assignee_email"),
            (Edits { assignee_email: Some(Some("@example.com".into())), ..Edits::default() }, "/assignee_email"),
            (Edits { category: Some(Some(text(101))), ..Edits::default() }, "/category"),
            (Edits { due_date: Some(Some(DateTime::<Utc>::MAX_UTC)), ..Edits::default() }, "/due_date"),
            (Edits { tags: Some(vec!["a".into(), " ".into()]), ..Edits::default() }, "/tags"),
            (Edits { tags: Some(vec!["a".into(); 51]), ..Edits::default() }, "/tags"),
        ] {
            let (_, wrong) = edits.apply(&mut content());
            assert_eq!(wrong.iter().map(|field| field.pointer.as_str()).collect::<Vec<_>>(), [pointer]);
        }
    }

    #[test]
    fn edits_change_what_they_name_and_nothing_else() {
        let mut changed = content();
        let edits = Edits {
            title: Some(" new ".into()),
            assignee: Some(Some("  ".into())),
            tags: Some(vec![" a ".into()]),
            ..Edits::default()
        };
        let (named, wrong) = edits.apply(&mut changed);
        assert!(wrong.is_empty(), "{wrong:?}");
        assert_eq!(named, [Field::Title, Field::Assignee, Field::Tags]);
        let expected = Content { title: "new".into(), tags: vec!["a".into()], ..content() };
        assert_eq!(changed, expected);
        let named = Edits { assignee: Some(Some("Dana".into())), ..Edits::default() };
        let mut other = Content { assignee_email: Some("li@example.com".into()), ..content() };
        assert_eq!(named.apply(&mut other).0, [Field::Assignee, Field::AssigneeEmail]);
        assert_eq!(
            (other.assignee.as_deref(), other.assignee_email),
            (Some("Dana"), None),
            "that was another's address"
        );
    }
}
