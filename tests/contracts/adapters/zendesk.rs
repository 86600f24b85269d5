//! What Zendesk alone does.

use std::sync::Arc;

use deskhand::base::Secret;
use deskhand::work_orders::adapters::{Connection, Error, find};
use deskhand::work_orders::model::{Change, Edit, Status, end_of_day};

use crate::fakes::desk::Desk;
use crate::fakes::zendesk::{OAUTH, start};

#[tokio::test]
async fn an_oauth_token_goes_without_a_name() {
    let desk = start(1).await;
    let connection = Connection { username: None, api_key: Some(Secret::new(OAUTH)), ..desk.connection() };
    let adapter = find("zendesk").expect("the rack has it");
    assert!(adapter.check(&connection).is_empty());
    assert_eq!(adapter.authenticate(&connection).await.expect("known").time_zone.as_deref(), Some("Asia/Shanghai"));
}

#[tokio::test]
async fn settings_of_other_times_are_refused_with_the_cure() {
    let desk = start(0).await;
    let adapter = find("zendesk").expect("the rack has it");
    for (connection, pointer, cure) in [
        (Connection { password: Some(Secret::new("p")), ..desk.connection() }, "/password", "api_key"),
        (Connection { username: Some("agent".into()), ..desk.connection() }, "/username", "e-mail address"),
    ] {
        let wrong = adapter.check(&connection);
        assert_eq!(wrong.len(), 1);
        assert!(wrong[0].pointer == pointer && wrong[0].message.contains(cure), "{wrong:?}");
    }
}

#[tokio::test]
async fn the_system_itself_compares_the_state_that_was_seen() {
    let desk = Arc::new(start(3).await);
    let adapter = find("zendesk").expect("the rack has it");
    let connection = desk.connection();
    let seen = adapter.detail(&connection, &desk.id(3)).await.expect("reads").expect("there").updated_at;
    // Between our look and our change.
    desk.server.touch_before_next_change(3);
    let change = Change { title: Some("mine".into()), ..Change::default() };
    let error = adapter.update(&connection, &desk.id(3), &change, seen).await.expect_err("older");
    assert!(matches!(error, Error::Conflict { .. }) && error.to_string().contains("Safe Update"), "{error}");
}

#[tokio::test]
async fn what_zendesk_would_forget_or_never_does_is_refused() {
    let desk = start(3).await;
    let adapter = find("zendesk").expect("the rack has it");
    let connection = desk.connection();
    desk.server.world().tickets[2].kind = Some("incident".to_owned());
    for (change, says) in [
        (Change { description: Some("other".into()), ..Change::default() }, "first comment"),
        (Change { due_date: Edit::To(end_of_day("2027-01-01").expect("a day")), ..Change::default() }, "type task"),
        (Change { status: Some(Status::Cancelled), ..Change::default() }, "means cancelled"),
    ] {
        let error = adapter.update(&connection, &desk.id(3), &change, None).await.expect_err("refused");
        assert!(matches!(error, Error::Refused { .. }) && error.to_string().contains(says), "{error}");
    }
    // Back to new no ticket goes, and that says Zendesk.
    let change = Change { status: Some(Status::Pending), ..Change::default() };
    let error = adapter.update(&connection, &desk.id(1), &change, None).await.expect_err("refused");
    assert!(error.to_string().contains("status: "), "{error}");
}
