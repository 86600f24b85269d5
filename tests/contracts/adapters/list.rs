//! Lists: read to the end, whatever goes wrong on the way.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use deskhand::base::{Clock, Secret};
use deskhand::work_orders::adapters::{Connection, Deleted, Error, Walk};
use deskhand::work_orders::model::{Category, Remote, RowError};

use super::edit::adapter;
use crate::fakes::deeds::{Act, Deed};
use crate::fakes::desk::{Desk, all};
use crate::fakes::fault::Fault;

type Read = (Vec<Result<Remote, RowError>>, Vec<Deleted>);

async fn read_all(connection: &Connection, since: Option<DateTime<Utc>>) -> Result<Read, Error> {
    let mut walk = Walk::new(adapter(connection), connection, since);
    let (mut tickets, mut deleted) = (Vec::new(), Vec::new());
    while let Some(page) = walk.next_page().await? {
        tickets.extend(page.tickets);
        deleted.extend(page.deleted);
    }
    Ok((tickets, deleted))
}

fn ids(tickets: &[Result<Remote, RowError>]) -> BTreeSet<String> {
    tickets.iter().filter_map(|ticket| Some(ticket.as_ref().ok()?.external_id.clone())).collect()
}

fn numbered(desk: &dyn Desk, range: std::ops::RangeInclusive<u64>) -> BTreeSet<String> {
    range.map(|n| desk.id(n)).collect()
}

#[tokio::test]
async fn every_page_is_read_to_the_end() {
    for (count, page_size) in [(250, 100), (0, 100), (100, 100), (23, 5)] {
        for (name, desk) in all(count).await {
            desk.page_size(page_size);
            let (tickets, deleted) = read_all(&desk.connection(), None).await.expect("reads");
            assert_eq!(ids(&tickets), numbered(&*desk, 1..=count), "{name} {count} by {page_size}");
            assert!(deleted.is_empty(), "{name}");
            assert!(desk.lists() <= 3 * (count as usize / page_size + 1), "{name}: {} lists", desk.lists());
        }
    }
}

#[tokio::test]
async fn a_list_is_in_the_order_of_changes() {
    for (name, desk) in all(40).await {
        desk.touch(7);
        let (tickets, _) = read_all(&desk.connection(), None).await.expect("reads");
        let dates: Vec<_> = tickets.iter().map(|ticket| ticket.as_ref().expect("readable").updated_at).collect();
        assert!(dates.iter().all(Option::is_some) && dates.is_sorted(), "{name}: {dates:?}");
        assert_eq!(tickets.last().expect("some").as_ref().expect("readable").external_id, desk.id(7), "{name}");
    }
}

#[tokio::test]
async fn a_ticket_is_read_with_its_fields() {
    for (name, desk) in all(3).await {
        let (tickets, _) = read_all(&desk.connection(), None).await.expect("reads");
        let ticket = tickets.iter().flatten().find(|ticket| ticket.external_id == desk.id(1)).expect("the first");
        let mapping = &desk.connection().mapping;
        assert_eq!(ticket.title, "ticket number 1", "{name}");
        assert!(ticket.description.starts_with("text of "), "{name}");
        assert_eq!(mapping.status(&ticket.status, ticket.category_of_status).as_str(), "processing", "{name}");
        assert_ne!(ticket.category_of_status, Some(Category::Done), "{name}");
        assert_eq!(mapping.priority(&ticket.priority).as_str(), "high", "{name}");
        assert_eq!((ticket.reporter.as_deref(), ticket.assignee.as_deref()), (Some("Li Wei"), None), "{name}");
        let instant = |text| Some(DateTime::parse_from_rfc3339(text).expect("a date").to_utc());
        assert_eq!(ticket.reported_at, instant("2024-01-01T00:00:00Z"), "{name}");
        assert_eq!(ticket.due_date, instant("2026-12-01T23:59:59Z"), "{name}");
        assert!(!ticket.external_key.is_empty(), "{name}");
        let site = desk.connection().api_url.to_string();
        assert!(ticket.url.as_ref().is_some_and(|url| url.starts_with(&site)), "{name}: {:?}", ticket.url);
    }
}

#[tokio::test]
async fn only_what_changed_since_then_is_read_whatever_our_clock_says() {
    for days in [0, 20_000, 40_000] {
        for (name, desk) in all(90).await {
            let connection = desk.connection();
            let found = adapter(&connection).detail(&connection, &desk.id(60)).await.expect("reads").expect("there");
            let clock = Clock::manual(DateTime::UNIX_EPOCH + TimeDelta::days(days));
            let connection = Connection { clock, ..connection };
            let (tickets, _) = read_all(&connection, found.updated_at).await.expect("reads");
            assert_eq!(ids(&tickets), numbered(&*desk, 60..=90), "{name}, our clock {days} days after 1970");
        }
    }
}

#[tokio::test]
async fn each_fault_has_its_own_kind() {
    for fault in [
        Fault::RateLimited("7".into()),
        Fault::RateLimited("Thu, 01 Jan 1970 00:00:09 GMT".into()),
        Fault::Status(500),
        Fault::Status(503),
        Fault::Truncated,
        Fault::HalfJson,
        Fault::LoginPage,
        Fault::Status(401),
        Fault::Status(403),
        Fault::Status(404),
        Fault::Status(400),
    ] {
        for (name, desk) in all(3).await {
            desk.fault(1, fault.clone());
            let connection = desk.connection();
            let error = read_all(&connection, None).await.expect_err("a fault");
            let fits = match (&fault, &error) {
                (Fault::RateLimited(text), Error::RateLimited { retry_after: Some(wait), .. }) => {
                    // The fake sends today's `Date`, so a date of 1970 is "now".
                    if text == "7" { *wait == Duration::from_secs(7) } else { wait.is_zero() }
                }
                (Fault::Status(401 | 403), Error::Auth { .. })
                | (Fault::Status(400 | 404), Error::Permanent { .. })
                | (Fault::Status(500..), Error::Transient { .. })
                | (Fault::Truncated | Fault::HalfJson | Fault::LoginPage, Error::Transient { .. }) => true,
                _ => false,
            };
            assert!(fits, "{name}: {fault:?} became {error:?}");
            let text = error.to_string();
            assert!(text.contains(&connection.name) && text.contains(connection.api_url.as_str()), "{text}");
            let key = connection.api_key.as_ref().expect("fakes want a key").expose();
            assert!(!format!("{error:?}{text}").contains(key), "{text}");
        }
    }
}

#[tokio::test]
async fn a_fault_in_the_middle_stops_there_and_the_page_can_be_read_again() {
    for (name, desk) in all(30).await {
        desk.page_size(10);
        desk.fault(2, Fault::Truncated);
        let connection = desk.connection();
        let mut walk = Walk::new(adapter(&connection), &connection, None);
        let mut tickets = walk.next_page().await.expect("reads").expect("a page").tickets;
        walk.next_page().await.expect_err("the fault");
        while let Some(page) = walk.next_page().await.expect("reads") {
            tickets.extend(page.tickets);
        }
        assert_eq!(ids(&tickets), numbered(&*desk, 1..=30), "{name}");
    }
}

#[tokio::test]
async fn a_slow_answer_is_waited_for() {
    for (name, desk) in all(3).await {
        desk.fault(1, Fault::Slow(Duration::from_millis(200)));
        assert_eq!(read_all(&desk.connection(), None).await.expect("reads").0.len(), 3, "{name}");
        assert_eq!(desk.lists(), 1, "{name}: it is asked once");
    }
}

#[tokio::test]
async fn a_wrong_credential_is_found_out() {
    for (name, desk) in all(3).await {
        let right = desk.connection();
        let account = adapter(&right).authenticate(&right).await.expect("known");
        assert_eq!(account.name, "Sync Robot", "{name}");
        assert!(adapter(&right).about().check(&right).is_empty() && adapter(&right).check(&right).is_empty(), "{name}");
        for wrong in [
            Connection { api_key: Some(Secret::new("not-the-one")), ..desk.connection() },
            Connection { api_key: None, username: None, ..desk.connection() },
        ] {
            let error = adapter(&wrong).authenticate(&wrong).await.expect_err("unknown");
            assert!(matches!(error, Error::Auth { .. }), "{name}: {error:?}");
            let text = error.to_string();
            assert!(text.contains(&wrong.name) && text.contains("api_key"), "{text}");
            assert!(!text.contains("not-the-one"), "{text}");
        }
        desk.fault_next(Fault::Status(403));
        let error = adapter(&right).authenticate(&right).await.expect_err("not allowed");
        assert!(matches!(error, Error::Auth { .. }), "{name}: {error:?}");
    }
}

#[tokio::test]
async fn an_unreadable_ticket_harms_no_other() {
    for (name, desk) in all(5).await {
        desk.fault(1, Fault::BrokenIssue);
        let (tickets, _) = read_all(&desk.connection(), None).await.expect("reads");
        let broken: Vec<_> = tickets.iter().filter_map(|ticket| ticket.as_ref().err()).collect();
        assert_eq!((tickets.len(), broken.len()), (5, 1), "{name}");
        assert!(!broken[0].external_id.is_empty() && broken[0].message.contains("id"), "{name}: {:?}", broken[0]);
    }
}

#[tokio::test]
async fn pages_that_go_back_do_not_go_on_for_ever() {
    for (name, desk) in all(30).await {
        desk.page_size(10);
        for list in 2..200 {
            desk.fault(list, Fault::SameToken);
        }
        read_all(&desk.connection(), None).await.expect("ends");
        assert!(desk.lists() < 20, "{name}: {} lists", desk.lists());
    }
}

#[tokio::test]
async fn tickets_that_change_while_one_pages_hide_no_other() {
    for (name, desk) in all(100).await {
        desk.page_size(10);
        desk.touch_while_paging();
        let (tickets, _) = read_all(&desk.connection(), None).await.expect("reads");
        assert_eq!(ids(&tickets), numbered(&*desk, 1..=100), "{name}");
    }
}

#[tokio::test]
async fn what_was_deleted_is_told_or_just_not_there() {
    for (name, desk) in all(6).await {
        desk.remove(4);
        let (tickets, deleted) = read_all(&desk.connection(), None).await.expect("reads");
        assert_eq!(ids(&tickets), &numbered(&*desk, 1..=6) - &numbered(&*desk, 4..=4), "{name}");
        let told: BTreeSet<_> = deleted.iter().map(|gone| gone.external_id.clone()).collect();
        let expected = if desk.tells_deletions() { numbered(&*desk, 4..=4) } else { BTreeSet::new() };
        assert_eq!(told, expected, "{name}");
        assert!(deleted.iter().all(|gone| gone.at.is_some()), "{name}");
    }
}

#[tokio::test]
async fn a_ticket_without_a_body_is_named_and_can_be_asked_for_later() {
    for (name, desk) in all(6).await {
        let ticket = |deed| Act { n: 1, deed, after_s: 0 };
        desk.act(&ticket(Deed::Spoil));
        let connection = desk.connection();
        let (tickets, _) = read_all(&connection, None).await.expect("reads");
        let broken: Vec<_> = tickets.iter().filter_map(|ticket| ticket.as_ref().err()).collect();
        assert_eq!((tickets.len(), broken.len()), (6, 1), "{name}");
        let id = &broken[0].external_id;
        assert!(broken[0].can_be_asked_for && *id == desk.id(2), "{name}: {:?}", broken[0]);
        let error = adapter(&connection).detail(&connection, id).await.expect_err("it cannot be read");
        assert!(matches!(error, Error::Transient { .. } | Error::Permanent { .. }), "{name}: {error:?}");
        desk.act(&ticket(Deed::Mend));
        let found = adapter(&connection).detail(&connection, id).await.expect("reads").expect("it is there");
        assert_eq!(found.title, "ticket number 2", "{name}");
    }
}
