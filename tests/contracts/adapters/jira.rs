//! What Jira alone does, Data Center and Cloud.

use std::collections::BTreeSet;

use chrono::DateTime;
use deskhand::base::{Clock, Secret};
use deskhand::work_orders::adapters::{Adapter, Connection, Error, Walk, find};
use deskhand::work_orders::model::{Category, Mapping, Remote, RowError};

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
        mapping: Mapping::default(),
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
async fn a_page_token_that_repeats_ends_the_list() {
    let mut jira = Jira::start(Deployment::Cloud, 30).await.max_results(10);
    for search in 2..20 {
        jira = jira.fault(search, Fault::SameToken);
    }
    let tickets = read_all(&connection(&jira, Deployment::Cloud), None).await.expect("reads");
    assert_eq!(jira.searches().len(), 2);
    assert_eq!(ids(&tickets).len(), 20);
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
        mapping: Mapping::default(),
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
