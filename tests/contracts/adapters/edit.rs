//! One ticket: read, changed, refused, in conflict, gone.

use std::time::Duration;

use deskhand::work_orders::adapters::{Adapter, Connection, Error, Walk, find};
use deskhand::work_orders::model::{Change, Edit, Field, Mapping, Person, Priority, Remote, Status, end_of_day};

use crate::fakes::desk::{Desk, all};
use crate::fakes::fault::Fault;

pub(super) fn adapter(connection: &Connection) -> &'static dyn Adapter {
    let id = connection.name.split_whitespace().last().expect("fakes are called after their adapter");
    find(id).expect("the rack has it")
}

async fn detail(desk: &dyn Desk, n: u64) -> Remote {
    let connection = desk.connection();
    let found = adapter(&connection).detail(&connection, &desk.id(n)).await.expect("reads");
    found.expect("it is there")
}

async fn update(desk: &dyn Desk, change: &Change) -> Result<Remote, Error> {
    let connection = desk.connection();
    let seen = detail(desk, 3).await.updated_at;
    adapter(&connection).update(&connection, &desk.id(3), change, seen).await
}

fn titled(title: &str) -> Change {
    Change { title: Some(title.to_owned()), ..Change::default() }
}

fn to(name: &str, email: Option<&str>) -> Change {
    let person = Person { name: Some(name.to_owned()), email: email.map(str::to_owned) };
    Change { assignee: Edit::To(person), ..Change::default() }
}

#[tokio::test]
async fn one_ticket_reads_as_in_the_list() {
    for (name, desk) in all(3).await {
        let connection = desk.connection();
        let page = Walk::new(adapter(&connection), &connection, None).next_page().await.expect("reads");
        let listed: Vec<_> =
            page.expect("a page").tickets.into_iter().map(|ticket| ticket.expect("readable")).collect();
        assert_eq!(listed.len(), 3, "{name}");
        for ticket in listed {
            let found = adapter(&connection).detail(&connection, &ticket.external_id).await.expect("reads");
            assert_eq!(found.as_ref(), Some(&ticket), "{name}");
        }
    }
}

#[tokio::test]
async fn a_ticket_that_is_gone_is_neither_read_nor_changed() {
    for (name, desk) in all(3).await {
        let connection = desk.connection();
        let seen = detail(&*desk, 3).await.updated_at;
        desk.remove(3);
        assert_eq!(adapter(&connection).detail(&connection, &desk.id(3)).await.expect("answers"), None, "{name}");
        let error = adapter(&connection).update(&connection, &desk.id(3), &titled("x"), seen).await.expect_err("gone");
        assert!(matches!(error, Error::Gone { .. }), "{name}: {error:?}");
    }
}

#[tokio::test]
async fn every_field_is_changed_and_nothing_else() {
    for (name, desk) in all(3).await {
        let before = detail(&*desk, 3).await;
        let due = end_of_day("2027-01-31");
        let change = Change {
            title: Some("printer is cold".into()),
            description: desk.takes_text().then(|| "what is *bold* stays so".into()),
            status: Some(Status::Processing),
            priority: Some(Priority::High),
            assignee: Edit::To(Person { name: Some("li wei".into()), email: Some("Li.Wei@example.com".into()) }),
            due_date: Edit::To(due.expect("a day")),
            ..Change::default()
        };
        let after = update(&*desk, &change).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(detail(&*desk, 3).await, after, "{name}: the answer is the state afterwards");
        assert!(after.updated_at > before.updated_at, "{name}");
        let mapping = Mapping::default();
        assert_eq!(mapping.status(&after.status, after.category_of_status), Status::Processing, "{name}");
        assert_eq!(mapping.priority(&after.priority), Priority::High, "{name}");
        assert_eq!(after.assignee.as_deref(), Some("Li Wei"), "{name}");
        let expected = Remote {
            title: "printer is cold".into(),
            description: change.description.unwrap_or_else(|| before.description.clone()),
            due_date: due,
            status: after.status.clone(),
            category_of_status: after.category_of_status,
            priority: after.priority.clone(),
            assignee: after.assignee.clone(),
            assignee_email: after.assignee_email.clone(),
            updated_at: after.updated_at,
            ..before
        };
        assert_eq!(after, expected, "{name}");

        let clear = Change { assignee: Edit::Clear, due_date: Edit::Clear, ..Change::default() };
        let cleared = update(&*desk, &clear).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((&cleared.assignee, cleared.due_date), (&None, None), "{name}");
        assert_eq!(cleared.title, "printer is cold", "{name}");

        let connection = desk.connection();
        let lacking = adapter(&connection).lacks(&connection.settings);
        let sorted = Change {
            category: Edit::To("incident".into()),
            tags: (!lacking.contains(&Field::Tags)).then(|| vec!["cold".into(), "second-floor".into()]),
            ..Change::default()
        };
        let after = update(&*desk, &sorted).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        let expected = Remote {
            category: Some("incident".into()),
            tags: sorted.tags.unwrap_or_else(|| cleared.tags.clone()),
            updated_at: after.updated_at,
            ..cleared
        };
        assert_eq!(after, expected, "{name}");
        let clear = Change { category: Edit::Clear, ..Change::default() };
        let cleared = update(&*desk, &clear).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_ne!(cleared.category, after.category, "{name}");
    }
}

#[tokio::test]
async fn a_change_of_an_older_state_is_a_conflict_and_does_nothing() {
    for (name, desk) in all(3).await {
        let connection = desk.connection();
        let seen = detail(&*desk, 3).await.updated_at;
        desk.touch(3);
        let change = Change { status: Some(Status::Processing), ..titled("mine") };
        let error = adapter(&connection).update(&connection, &desk.id(3), &change, seen).await.expect_err("older");
        assert!(matches!(error, Error::Conflict { .. }), "{name}: {error:?}");
        let is = detail(&*desk, 3).await;
        assert_eq!(is.title, "touched 3", "{name}");
        let done = adapter(&connection).update(&connection, &desk.id(3), &change, is.updated_at).await;
        assert_eq!(done.expect("of the present state").title, "mine", "{name}");
        let blind = adapter(&connection).update(&connection, &desk.id(3), &titled("blind"), None).await;
        assert_eq!(blind.expect("compares nothing").title, "blind", "{name}");
    }
}

#[tokio::test]
async fn what_the_system_refuses_is_said_in_its_words_and_does_nothing() {
    for (name, desk) in all(3).await {
        let before = detail(&*desk, 3).await;
        let (refused, says) = desk.refused();
        for (change, says) in [
            (Change { title: Some("mine".into()), ..refused }, says),
            (titled(""), ""),
            (Change { title: Some("mine".into()), ..to("Nobody Known", None) }, "Nobody Known"),
            (Change { title: Some("mine".into()), ..to("Ana Sol", None) }, "2 people"),
        ] {
            let error = update(&*desk, &change).await.expect_err("refused");
            let Error::Refused { messages, .. } = &error else { panic!("{name}: {change:?} became {error:?}") };
            let text = error.to_string();
            assert!(!messages.is_empty() && text.contains(says), "{name}: {text}");
            assert!(text.contains(desk.connection().name.as_str()), "{name}: {text}");
            assert_eq!(detail(&*desk, 3).await, before, "{name}: {change:?}");
        }
    }
}

#[tokio::test]
async fn faults_of_a_change_have_their_kinds() {
    for (name, desk) in all(3).await {
        for fault in [Fault::Status(401), Fault::RateLimited("7".into()), Fault::Status(500), Fault::LoginPage] {
            // A client of its own, for one that was asked to wait does so.
            let connection = desk.connection();
            desk.fault_next(fault.clone());
            let done = adapter(&connection).update(&connection, &desk.id(3), &titled("x"), None).await;
            let error = done.expect_err("a fault");
            let fits = match (&fault, &error) {
                (Fault::Status(401), Error::Auth { .. })
                | (Fault::Status(500) | Fault::LoginPage, Error::Transient { .. }) => true,
                (Fault::RateLimited(_), Error::RateLimited { retry_after, .. }) => {
                    *retry_after == Some(Duration::from_secs(7))
                }
                _ => false,
            };
            assert!(fits, "{name}: {fault:?} became {error:?}");
            let key = connection.api_key.as_ref().expect("fakes want a key");
            assert!(!format!("{error:?}{error}").contains(key.expose()), "{name}");
        }
    }
}
