//! What every adapter must do, on every kind of system it speaks with.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use chrono::DateTime;
use deskhand::base::{Clock, Secret};
use deskhand::work_orders::adapters::{Adapter, Connection, Error, Walk, find};
use deskhand::work_orders::model::{Category, Remote, RowError};

use crate::fakes::jira::{Deployment, Fault, Issue, Jira, PASSWORD, TOKEN, USER};
use crate::fixtures::outbound::http;

const BOTH: [Deployment; 2] = [Deployment::Cloud, Deployment::Server];

fn adapter() -> &'static dyn Adapter {
    find("jira").expect("the rack has it")
}

fn connection(jira: &Jira, deployment: Deployment) -> Connection {
    let deployment = if deployment == Deployment::Cloud { "cloud" } else { "server" };
    Connection {
        name: "ops jira".into(),
        api_url: jira.url.clone(),
        username: Some(USER.into()),
        api_key: Some(Secret::new(PASSWORD)),
        password: None,
        settings: [("deployment".to_owned(), deployment.to_owned())].into(),
        http: http(),
        clock: Clock::manual(DateTime::UNIX_EPOCH),
    }
}

async fn read_all(connection: &Connection, since_ms: Option<i64>) -> Result<Vec<Result<Remote, RowError>>, Error> {
    let since = since_ms.map(|ms| DateTime::from_timestamp_millis(ms).expect("in range"));
    let mut walk = Walk::new(adapter(), connection, since);
    let mut tickets = Vec::new();
    while let Some(page) = walk.next_page().await? {
        tickets.extend(page.tickets);
    }
    Ok(tickets)
}

fn ids(tickets: &[Result<Remote, RowError>]) -> BTreeSet<String> {
    tickets.iter().filter_map(|ticket| Some(ticket.as_ref().ok()?.external_id.clone())).collect()
}

fn numbered(range: std::ops::RangeInclusive<u64>) -> BTreeSet<String> {
    range.map(|n| Issue::numbered(n).id.to_string()).collect()
}

#[tokio::test]
async fn every_page_is_read_to_the_end() {
    for deployment in BOTH {
        for (count, max_results, pages) in [(500, 200, 3), (0, 200, 1), (200, 200, 1), (23, 5, 0)] {
            let jira = Jira::start(deployment, count).await.max_results(max_results);
            let tickets = read_all(&connection(&jira, deployment), None).await.expect("reads");
            assert_eq!(ids(&tickets), numbered(1..=count), "{deployment:?} {count} by {max_results}");
            if pages > 0 {
                assert_eq!(jira.searches().len(), pages, "{deployment:?} {count} by {max_results}");
            }
        }
    }
}

#[tokio::test]
async fn a_ticket_is_read_with_all_its_fields() {
    for deployment in BOTH {
        let jira = Jira::start(deployment, 1).await;
        let tickets = read_all(&connection(&jira, deployment), None).await.expect("reads");
        let ticket = tickets[0].as_ref().expect("readable");
        assert_eq!((ticket.external_id.as_str(), ticket.external_key.as_str()), ("10001", "OPS-1"));
        assert_eq!(ticket.title, "ticket number 1");
        assert_eq!(ticket.description, "text of OPS-1", "{deployment:?}");
        assert_eq!((ticket.status.as_str(), ticket.category_of_status), ("In Progress", Some(Category::InProgress)));
        assert_eq!(ticket.priority, "High");
        assert_eq!(ticket.reporter_email.as_deref(), Some("li.wei@example.com"));
        assert_eq!(ticket.assignee, None);
        let instant = |text| Some(DateTime::parse_from_rfc3339(text).expect("a date").to_utc());
        assert_eq!(ticket.reported_at, instant("2024-01-01T00:00:00Z"));
        assert_eq!(ticket.due_date, instant("2026-12-01T23:59:59Z"));
        assert_eq!(ticket.category.as_deref(), Some("hardware"));
        assert_eq!(ticket.tags, ["printer"]);
        assert_eq!(ticket.url, Some(format!("{}/browse/OPS-1", jira.url)));
    }
}

#[tokio::test]
async fn only_what_changed_since_then_is_read() {
    for deployment in BOTH {
        let jira = Jira::start(deployment, 90).await;
        let since_ms = Issue::numbered(60).updated_ms;
        let tickets = read_all(&connection(&jira, deployment), Some(since_ms)).await.expect("reads");
        assert_eq!(ids(&tickets), numbered(60..=90), "{deployment:?}");
        assert!(jira.searches()[0].starts_with(&format!("updated >= {since_ms} ")), "no zone can shift a number");
    }
}

#[tokio::test]
async fn each_fault_has_its_own_kind() {
    for deployment in BOTH {
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
            let jira = Jira::start(deployment, 3).await.fault(1, fault.clone());
            let error = read_all(&connection(&jira, deployment), None).await.expect_err("a fault");
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
            assert!(fits, "{deployment:?} {fault:?} became {error:?}");
            let text = error.to_string();
            assert!(text.contains("\"ops jira\"") && text.contains(jira.url.as_str()), "{text}");
            assert!(!format!("{error:?}{text}").contains(PASSWORD), "{text}");
        }
    }
}

#[tokio::test]
async fn a_fault_in_the_middle_stops_there_and_the_page_can_be_read_again() {
    for deployment in BOTH {
        let jira = Jira::start(deployment, 30).await.max_results(10).fault(2, Fault::Truncated);
        let connection = connection(&jira, deployment);
        let mut walk = Walk::new(adapter(), &connection, None);
        let first = walk.next_page().await.expect("reads").expect("a page");
        walk.next_page().await.expect_err("the fault");
        let mut tickets = first.tickets;
        while let Some(page) = walk.next_page().await.expect("reads") {
            tickets.extend(page.tickets);
        }
        assert_eq!(ids(&tickets), numbered(1..=30), "{deployment:?}");
    }
}

#[tokio::test]
async fn a_wrong_password_is_found_out_although_strangers_may_search() {
    for deployment in BOTH {
        let jira = Jira::start(deployment, 3).await;
        let right = connection(&jira, deployment);
        assert_eq!(adapter().authenticate(&right).await.expect("known").name, "Sync Robot");
        let wrong = Connection { api_key: Some(Secret::new("not-the-one")), ..right.clone() };
        let error = adapter().authenticate(&wrong).await.expect_err("unknown");
        assert!(matches!(error, Error::Auth { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("\"ops jira\"") && text.contains("api_key"), "{text}");
        assert!(!text.contains("not-the-one"), "{text}");
        let stranger = Connection { username: None, api_key: None, ..right };
        assert!(read_all(&stranger, None).await.expect("200").is_empty(), "this is why the proof is needed");
        assert!(matches!(adapter().authenticate(&stranger).await, Err(Error::Auth { .. })));
    }
}

#[tokio::test]
async fn data_center_takes_a_personal_access_token() {
    let jira = Jira::start(Deployment::Server, 1).await;
    let connection = connection(&jira, Deployment::Server);
    let token = Connection { username: None, api_key: Some(Secret::new(TOKEN)), ..connection };
    assert!(adapter().check(&token).is_empty());
    assert!(adapter().authenticate(&token).await.is_ok());
    assert_eq!(read_all(&token, None).await.expect("reads").len(), 1);
}

#[tokio::test]
async fn the_wrong_deployment_is_a_permanent_error() {
    for (is, said) in [(Deployment::Cloud, Deployment::Server), (Deployment::Server, Deployment::Cloud)] {
        let jira = Jira::start(is, 1).await;
        let error = adapter().authenticate(&connection(&jira, said)).await.expect_err("no such path");
        assert!(matches!(error, Error::Permanent { .. }), "{error:?}");
        assert!(error.to_string().contains("api_url"), "{error}");
    }
}

#[tokio::test]
async fn an_unreadable_ticket_harms_no_other() {
    for deployment in BOTH {
        let jira = Jira::start(deployment, 5).await.fault(1, Fault::BrokenIssue);
        let tickets = read_all(&connection(&jira, deployment), None).await.expect("reads");
        let broken: Vec<_> = tickets.iter().filter_map(|ticket| ticket.as_ref().err()).collect();
        assert_eq!((tickets.len(), broken.len()), (5, 1), "{deployment:?}");
        assert_eq!(broken[0].external_id, "OPS-BROKEN");
    }
}

#[tokio::test]
async fn a_page_token_that_repeats_ends_the_list() {
    let mut jira = Jira::start(Deployment::Cloud, 30).await.max_results(10);
    for search in 2..20 {
        jira = jira.fault(search, Fault::SameToken);
    }
    let tickets = read_all(&connection(&jira, Deployment::Cloud), None).await.expect("reads");
    assert_eq!(jira.searches().len(), 2);
    assert_eq!(ids(&tickets).len(), 20);
}

#[tokio::test]
async fn a_ticket_that_changes_while_one_pages_hides_no_other() {
    let jira = Jira::start(Deployment::Server, 100).await.max_results(10);
    let changed = Mutex::new(0);
    jira.edit_while_paging(move |_, issues| {
        let mut n = changed.lock().expect("no panic");
        for issue in issues.iter_mut().skip(*n * 3).take(3) {
            issue.updated_ms = Issue::numbered(1_000 + *n as u64).updated_ms;
        }
        *n += 1;
    });
    let tickets = read_all(&connection(&jira, Deployment::Server), None).await.expect("reads");
    assert_eq!(ids(&tickets), numbered(1..=100));
}

#[tokio::test]
async fn a_slow_answer_is_waited_for() {
    let jira = Jira::start(Deployment::Cloud, 3).await.fault(1, Fault::Slow(Duration::from_millis(300)));
    assert_eq!(read_all(&connection(&jira, Deployment::Cloud), None).await.expect("reads").len(), 3);
    assert_eq!(jira.requests(), 1);
}

#[test]
fn settings_that_cannot_work_are_refused_with_their_place() {
    let base = |settings: &[(&str, &str)]| Connection {
        name: "x".into(),
        api_url: "https://jira.example.com".parse().expect("a url"),
        username: Some("me".into()),
        api_key: Some(Secret::new("k")),
        password: None,
        settings: settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        http: http(),
        clock: Clock::system(),
    };
    let cloud = || base(&[("deployment", "cloud")]);
    let server = || base(&[("deployment", "server")]);
    for (connection, expected) in [
        (cloud(), None),
        (server(), None),
        (base(&[]), None),
        (base(&[("deployment", "moon")]), Some("/deployment")),
        (base(&[("deployment", "cloud"), ("colour", "red")]), Some("/colour")),
        (Connection { username: None, ..cloud() }, Some("/username")),
        (Connection { username: None, ..server() }, None),
        (Connection { username: None, api_key: None, password: Some(Secret::new("p")), ..server() }, Some("/username")),
        (Connection { api_key: None, ..server() }, Some("/api_key")),
    ] {
        let mut wrong = adapter().about().check(&connection);
        wrong.extend(adapter().check(&connection));
        let found: Vec<_> = wrong.iter().map(|field| field.pointer.as_str()).collect();
        assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{connection:?}");
    }
}
