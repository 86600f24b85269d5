//! Whatever happens on both sides and in between, in whatever order: after a synchronisation in which nothing goes wrong, tickets say
//! here what they say there.
//!
//! People make, change, remove and bring back tickets, several within one second, also while the list is being read; answers fail in
//! all ways, attempts end in the middle, our clock is elsewhere and moves on; tickets are changed here and taken there. All goes through
//! the service, the adapter, HTTP and a database, as in a worker. `CONVERGENCE_CASES=500` makes a long run of it.

mod harness;
mod step;

use proptest::test_runner::{Config, TestCaseError, TestRunner};

use self::harness::Harness;
use self::step::{Case, case};
use crate::fakes::desk::Desk;
use crate::fakes::jira::{Deployment, Jira};
use crate::fakes::rest::Paging;
use crate::fakes::{redmine, rest, zendesk};
use crate::fixtures::TestDb;
use crate::fixtures::databases::on_postgres;

/// How many tickets there are at the beginning.
const TICKETS: u64 = 12;

/// Lives through histories until one does not end as it should, and then looks for the shortest that does not.
fn holds(cases: u32, live: impl Fn(Case) -> Result<(), String>) {
    let asked = std::env::var("CONVERGENCE_CASES").ok().and_then(|cases| cases.parse().ok());
    let cases = asked.unwrap_or(cases);
    let config = Config { cases, max_shrink_iters: 60, failure_persistence: None, ..Config::default() };
    let verdict = TestRunner::new(config).run(&case(), |case| live(case).map_err(TestCaseError::fail));
    verdict.unwrap_or_else(|error| panic!("{error}"));
}

/// Lives through one history with a desk of its own.
async fn live(fresh: &TestDb, desk: impl Desk + 'static, case: Case) -> Result<(), String> {
    let mut harness = Harness::new(fresh, Box::new(desk), &case).await;
    for step in &case.steps {
        Box::pin(harness.take(step)).await?;
    }
    Box::pin(harness.settle()).await
}

fn on_sqlite<D: Desk + 'static>(start: impl AsyncFn() -> D) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    holds(4, |case| runtime.block_on(async { Box::pin(live(&TestDb::sqlite().await, start().await, case)).await }));
}

#[test]
fn with_jira_data_center() {
    on_sqlite(async || Jira::start(Deployment::Server, TICKETS).await);
}

#[test]
fn with_jira_cloud() {
    on_sqlite(async || Jira::start(Deployment::Cloud, TICKETS).await);
}

#[test]
fn with_zendesk() {
    on_sqlite(async || zendesk::start(TICKETS).await);
}

#[test]
fn with_redmine() {
    on_sqlite(async || redmine::start(TICKETS, false).await);
}

#[test]
fn with_any_api_by_page() {
    on_sqlite(async || rest::start(TICKETS, Paging::Page).await);
}

#[test]
fn with_any_api_by_offset() {
    on_sqlite(async || rest::start(TICKETS, Paging::Offset).await);
}

#[test]
fn with_any_api_by_cursor() {
    on_sqlite(async || rest::start(TICKETS, Paging::Cursor).await);
}

#[test]
fn with_any_api_by_link() {
    on_sqlite(async || rest::start(TICKETS, Paging::Link).await);
}

#[test]
fn on_postgres_too() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    holds(2, |case| {
        let mut verdict = Ok(());
        runtime.block_on(on_postgres(async |fresh| {
            fresh.db.migrate().await.expect("migrates");
            let jira = Jira::start(Deployment::Server, TICKETS).await;
            verdict = Box::pin(live(&fresh, jira, case)).await;
        }));
        verdict
    });
}
