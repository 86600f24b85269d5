//! What an update takes to a system, and what its ending says.

use chrono::{DateTime, Utc};
use deskhand_jobs::JobId;
use serde::{Deserialize, Serialize};

use super::{Change, Content, Edit, Field, Person, Push, PushState, WorkOrderId};

/// The arguments of the job that takes the changes of one ticket to its system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpdateExternal {
    /// The ticket.
    pub work_order: WorkOrderId,
}

/// Returns what an update says of these fields of a ticket.
pub fn change_of(content: &Content, fields: &[Field]) -> Change {
    let has = |field| fields.contains(&field);
    let person = Person {
        name: content.assignee.clone().filter(|_| has(Field::Assignee)),
        email: content.assignee_email.clone().filter(|_| has(Field::AssigneeEmail)),
    };
    let names_a_person = has(Field::Assignee) || has(Field::AssigneeEmail);
    Change {
        title: has(Field::Title).then(|| content.title.clone()),
        description: has(Field::Description).then(|| content.description.clone()),
        status: has(Field::Status).then_some(content.status),
        priority: has(Field::Priority).then_some(content.priority),
        assignee: match person {
            _ if !names_a_person => Edit::Keep,
            Person { name: None, email: None } => Edit::Clear,
            person => Edit::To(person),
        },
        due_date: match content.due_date {
            _ if !has(Field::DueDate) => Edit::Keep,
            None => Edit::Clear,
            Some(at) => Edit::To(at),
        },
        category: match &content.category {
            _ if !has(Field::Category) => Edit::Keep,
            None => Edit::Clear,
            Some(category) => Edit::To(category.clone()),
        },
        tags: has(Field::Tags).then(|| content.tags.clone()),
    }
}

impl Push {
    /// Begins an update whose job was just asked for.
    pub fn asked(job_id: JobId, fields: Vec<Field>, now: DateTime<Utc>) -> Self {
        Self { job_id, state: PushState::Waiting, fields, messages: Vec::new(), asked_at: now, at: now, again: false }
    }

    /// Notes how the update stands.
    pub fn note(&mut self, state: PushState, messages: Vec<String>, now: DateTime<Utc>) {
        (self.state, self.messages, self.at) = (state, messages, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work_orders::model::ticket::tests::content;

    #[test]
    fn an_update_names_what_changed_and_nothing_else() {
        let dana = || Some("Dana".to_owned());
        let content = Content { assignee: dana(), assignee_email: None, due_date: None, ..content() };
        let only = |fields: &[Field]| change_of(&content, fields);
        assert!(only(&[]).is_empty());
        assert_eq!(only(&[Field::Tags]).tags, Some(content.tags.clone()));
        assert_eq!(only(&[Field::Category]).category, Edit::Clear);
        assert_eq!(only(&[Field::Title]), Change { title: Some(content.title.clone()), ..Change::default() });
        assert_eq!(only(&[Field::DueDate]).due_date, Edit::Clear);
        let named = Person { name: dana(), email: None };
        assert_eq!(only(&[Field::Assignee]).assignee, Edit::To(named.clone()));
        assert_eq!(only(&[Field::Assignee, Field::AssigneeEmail]).assignee, Edit::To(named));
        assert_eq!(only(&[Field::AssigneeEmail]).assignee, Edit::Clear);
    }
}
