//! Runs that go on after a while.

use chrono::DateTime;
use deskhand::base::{PageRequest, Secret};
use deskhand::work_orders::Filter;
use deskhand::work_orders::model::{Draft, SecretChange, Sort};
use deskhand_jobs::JobId;
use deskhand_jobs::outcome::Outcome;

use super::work_orders::{clock, service, tenant};
use crate::fakes::jira::{Deployment, Fault, Jira, PASSWORD, USER};
use crate::fixtures::by;
use crate::fixtures::databases::on_both;
use crate::fixtures::desk::run;

#[tokio::test]
async fn what_a_search_did_not_show_before_a_long_wait_comes_after_it() {
    on_both(async |fresh| {
        let jira =
            Jira::start(Deployment::Server, 30).await.max_results(10).fault(3, Fault::RateLimited("3600".into()));
        let clock = clock();
        let service = service(&fresh.db, &clock);
        let draft = Draft {
            name: Some("jira".into()),
            api_url: Some(jira.url.to_string()),
            username: Some(USER.into()),
            password: SecretChange::Set(Secret::new(PASSWORD)),
            ..Draft::default()
        };
        let system = service.create_system(&by(&tenant()), &draft).await.expect("makes");
        let job = run(JobId::new());
        let Ok(Outcome::Snooze(wait)) = service.sync_system(system.id, &job).await else { panic!("asked to wait") };
        let mark = service.system(&tenant(), system.id).await.expect("reads").cursor_at.expect("it got so far");
        clock.advance(wait);
        jira.edit(|issues| {
            // Changed just before the mark, and shown by the search only now.
            issues[0].summary = "shown late".to_owned();
            issues[0].updated_ms = mark.timestamp_millis() - 60_000;
            // An hour later somebody else works.
            issues[29].updated_ms += 3_600_000;
        });
        assert_eq!(service.sync_system(system.id, &job).await.expect("runs"), Outcome::Done);
        let filter = Filter { text: Some("shown late".to_owned()), ..Filter::default() };
        let page = PageRequest::default();
        let found = service.work_orders(&tenant(), &filter, Sort::Created, page).await.expect("reads");
        assert_eq!(found.total, 1);
        let until = service.system(&tenant(), system.id).await.expect("reads").cursor_at;
        assert!(until > DateTime::from_timestamp_millis(mark.timestamp_millis() + 600_000), "{until:?}");
    })
    .await;
}
