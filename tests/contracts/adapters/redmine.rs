//! What Redmine alone does.

use deskhand::base::Secret;
use deskhand::work_orders::adapters::{Connection, Error, find};
use deskhand::work_orders::model::{Change, Priority, Status};

use crate::fakes::desk::Desk;
use crate::fakes::redmine::start;

#[tokio::test]
async fn a_step_that_redmine_passes_over_in_silence_is_told() {
    let desk = start(3, true).await;
    let adapter = find("redmine").expect("the rack has it");
    let connection = desk.connection();
    // It answers 204, and that it knows the word does not help.
    let change = Change { status: Some(Status::Resolved), priority: Some(Priority::High), ..Change::default() };
    let error = adapter.update(&connection, &desk.id(3), &change, None).await.expect_err("refused");
    let Error::Refused { messages, .. } = &error else { panic!("{error:?}") };
    assert!(messages.len() == 1 && messages[0].starts_with("status_id: "), "{messages:?}");
    let is = adapter.detail(&connection, &desk.id(3)).await.expect("reads").expect("there");
    assert_eq!((is.status.as_str(), is.priority.as_str()), ("New", "High"), "the rest was taken");
    let change = Change { status: Some(Status::Processing), ..Change::default() };
    assert_eq!(adapter.update(&connection, &desk.id(3), &change, None).await.expect("a step").status, "In Progress");
}

#[tokio::test]
async fn a_key_that_is_no_key_is_refused_before_it_is_sent() {
    let desk = start(0, false).await;
    let adapter = find("redmine").expect("the rack has it");
    let connection = Connection { api_key: Some(Secret::new("two\nlines")), ..desk.connection() };
    let wrong = adapter.check(&connection);
    assert!(wrong.len() == 1 && wrong[0].pointer == "/api_key", "{wrong:?}");
}
