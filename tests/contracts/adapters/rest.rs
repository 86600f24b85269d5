//! What the adapter of settings alone does.

use std::collections::BTreeMap;

use deskhand::base::{Clock, Secret};
use deskhand::work_orders::adapters::{Adapter, Connection, Error, Window, find};
use deskhand::work_orders::model::{Change, Edit, Mapping, Person, Priority, Status, end_of_day};

use crate::fakes::desk::Desk;
use crate::fakes::rest::{Paging, start};
use crate::fixtures::outbound::http;

fn adapter() -> &'static dyn Adapter {
    find("rest").expect("the rack has it")
}

/// The connection with some settings changed; an empty text takes one away.
fn with(connection: &Connection, changes: &[(&str, &str)]) -> Connection {
    let mut settings: BTreeMap<_, _> = connection.settings.clone();
    for (key, value) in changes {
        settings.insert((*key).to_owned(), (*value).to_owned());
        settings.retain(|_, value| !value.is_empty());
    }
    Connection { settings, ..connection.clone() }
}

fn wrong(connection: &Connection) -> Vec<(String, String)> {
    let mut wrong = adapter().about().check(connection);
    wrong.extend(adapter().check(connection));
    wrong.into_iter().map(|field| (field.pointer, field.message)).collect()
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_with_place_and_cure() {
    let desk = start(0, Paging::Page).await;
    let right = desk.connection();
    assert_eq!(wrong(&right), []);
    for (changes, pointer, cure) in [
        (&[("auth", "magic")][..], "/auth", "none, basic, bearer, header"),
        (&[("auth", "basic")], "/username", "username"),
        (&[("auth", "header")], "/auth_header", "X-Api-Key"),
        (&[("auth", "header"), ("auth_header", "not a header")], "/auth_header", "X-Api-Key"),
        (&[("list_url", "https://evil.example.com/tickets?page={page}")], "/list_url", "below api_url"),
        (&[("list_url", "../admin?page={page}")], "/list_url", "write the address out"),
        (&[("list_url", "tickets?page={page}&x={cursor}")], "/list_url", "{since}, {until}, {limit}, {page}"),
        (&[("list_url", "tickets?from={since}")], "/list_url", "put {page} where"),
        (&[("list_url", "")], "/list_url", "such as tickets"),
        (&[("detail_url", "tickets")], "/detail_url", "put {id} where"),
        (&[("update_url", "tickets/{number}")], "/update_url", "{id}"),
        (&[("paging", "cursor"), ("list_url", "tickets?c={cursor}")], "/cursor_path", "/meta/next"),
        (&[("paging", "dice"), ("list_url", "tickets?from={since}")], "/paging", "cursor, link"),
        (&[("page_size", "0")], "/page_size", "from 1 to 1000"),
        (&[("first_page", "one")], "/first_page", "from 0 to 1"),
        (&[("items_path", "data.items")], "/items_path", "write it as /data"),
        (&[("status_path", "/status/")], "/status_path", "write it as /data"),
        (&[("updated_path", "")], "/updated_path", "when it last changed"),
        (&[("update_method", "DELETE")], "/update_method", "PUT, PATCH, POST"),
        (&[("colour", "red")], "/colour", "no such field"),
    ] {
        let found = wrong(&with(&right, changes));
        assert!(found.len() == 1 && found[0].0 == pointer && found[0].1.contains(cure), "{changes:?}: {found:?}");
    }
    let no_key = Connection { api_key: None, ..right };
    assert_eq!(wrong(&no_key)[0].0, "/api_key");
}

#[tokio::test]
async fn wrong_places_are_told_not_taken_for_an_empty_system() {
    let desk = start(3, Paging::Page).await;
    let connection = desk.connection();
    for (changes, cure) in [
        (&[("items_path", "/rows")][..], "items_path"),
        (&[("account_url", ""), ("items_path", "/data/0")], "items_path"),
    ] {
        let connection = with(&connection, changes);
        let error = adapter().list_since(&connection, Window::default(), None).await.expect_err("no list there");
        assert!(matches!(error, Error::Permanent { .. }) && error.to_string().contains(cure), "{error}");
        if changes.len() > 1 {
            let error = adapter().authenticate(&connection).await.expect_err("a list is the proof");
            assert!(error.to_string().contains(cure), "{error}");
        }
    }
    let error = adapter().detail(&with(&connection, &[("detail_path", "/row")]), &desk.id(1)).await.expect_err("none");
    assert!(error.to_string().contains("detail_path"), "{error}");
}

#[tokio::test]
async fn a_list_that_begins_with_the_latest_is_refused() {
    let desk = start(9, Paging::Page).await;
    // As if it sorted the other way round: what changed first is shown as what changed last.
    for ticket in &mut desk.server.world().tickets {
        ticket.updated_s = 1_800_000_000 - ticket.id as i64;
    }
    let connection = desk.connection();
    let sorted = adapter().list_since(&connection, Window::default(), None).await.expect("the fake sorts");
    assert_eq!(sorted.tickets.len(), 9);
    let by_age = with(&connection, &[("updated_path", "/age")]);
    assert!(adapter().list_since(&by_age, Window::default(), None).await.expect("no dates at all").tickets[0].is_ok());
    let backwards = with(&connection, &[("updated_path", "/id")]);
    let error = adapter().list_since(&backwards, Window::default(), None).await.expect_err("the ids go down");
    assert!(matches!(error, Error::Permanent { .. }) && error.to_string().contains("list_url"), "{error}");
}

#[tokio::test]
async fn credentials_do_not_follow_a_link_to_another_host() {
    let desk = start(9, Paging::Link).await;
    desk.page_size(2);
    let connection = desk.connection();
    let page = adapter().list_since(&connection, Window::default(), None).await.expect("reads");
    let moved = Connection { api_url: "http://127.0.0.1:9/desk".parse().expect("a url"), ..connection };
    let error = adapter().list_since(&moved, Window::default(), page.next.as_ref()).await.expect_err("another host");
    assert!(matches!(error, Error::Permanent { .. }) && error.to_string().contains("another host"), "{error}");
}

#[tokio::test]
async fn what_the_settings_leave_out_cannot_be_changed() {
    let desk = start(3, Paging::Page).await;
    let connection = desk.connection();
    let person = Person { name: Some("Li Wei".into()), email: None };
    let title = || Change { title: Some("x".into()), ..Change::default() };
    for (without, change, says) in [
        (&["update_url"][..], title(), "update_url"),
        (&["description_path"], Change { description: Some("x".into()), ..title() }, "description_path"),
        (&["due_path"], Change { due_date: Edit::To(end_of_day("2027-01-01").expect("a day")), ..title() }, "due_path"),
        (&["assignee_path", "assignee_email_path"], Change { assignee: Edit::To(person), ..title() }, "assignee_path"),
        (&["status_values"], Change { status: Some(Status::Resolved), ..title() }, "status_values"),
        (&["priority_values"], Change { priority: Some(Priority::Urgent), ..title() }, "priority_values"),
    ] {
        let gone: Vec<_> = without.iter().map(|key| (*key, "")).collect();
        let connection = with(&connection, &gone);
        assert_eq!(wrong(&connection), [], "it is a system to read from");
        let error = adapter().update(&connection, &desk.id(3), &change, None).await.expect_err("refused");
        assert!(matches!(error, Error::Refused { .. }) && error.to_string().contains(says), "{error}");
        let is = adapter().detail(&connection, &desk.id(3)).await.expect("reads").expect("there");
        assert_eq!(is.title, "ticket number 3", "nothing of the change is done");
    }
}

#[tokio::test]
async fn without_an_account_address_the_list_is_the_proof() {
    let desk = start(3, Paging::Offset).await;
    let connection = with(&desk.connection(), &[("account_url", "")]);
    assert_eq!(adapter().authenticate(&connection).await.expect("reads").name, "the owner of the credentials");
    let wrong = Connection { api_key: Some(Secret::new("not-the-one")), ..connection };
    assert!(matches!(adapter().authenticate(&wrong).await, Err(Error::Auth { .. })));
}

#[test]
fn the_example_of_the_documentation_is_right() {
    let page = include_str!("../../../docs/work-orders.md");
    let block = page.split("```json").find(|block| block.contains(r#""system_type": "rest""#)).expect("an example");
    let example: serde_json::Value =
        serde_json::from_str(block.split("```").next().expect("the block")).expect("the example is JSON");
    let settings = example["settings"].as_object().expect("it has settings").iter();
    let connection = Connection {
        name: "help desk".into(),
        api_url: example["api_url"].as_str().and_then(|url| url.parse().ok()).expect("an address"),
        username: None,
        api_key: example["api_key"].as_str().map(Secret::new),
        password: None,
        settings: settings.map(|(key, value)| (key.clone(), value.as_str().expect("texts").to_owned())).collect(),
        mapping: Mapping::default(),
        http: http(),
        clock: Clock::system(),
    };
    assert_eq!(wrong(&connection), []);
    for field in adapter().about().fields {
        assert!(page.contains(&format!("`{}`", field.key)), "docs/work-orders.md does not tell of {}", field.key);
    }
}
