//! Tickets that change on both sides, on both databases.

use std::collections::BTreeMap;

use deskhand::base::{PageRequest, Secret};
use deskhand::work_orders::model::{Draft, Edits, Field, SecretChange, Side, Sort, Status, System, WorkOrder};
use deskhand::work_orders::{Filter, WorkOrders};
use deskhand_jobs::JobId;
use deskhand_jobs::outcome::Outcome;

use super::work_orders::{clock, service, tenant};
use crate::fakes::jira::{Deployment, Jira, PASSWORD, USER};
use crate::fixtures::databases::on_both;
use crate::fixtures::desk::run;
use crate::fixtures::{TestDb, by};

struct Setup {
    service: WorkOrders,
    system: System,
}

impl Setup {
    async fn new(fresh: &TestDb, jira: &Jira) -> Self {
        let service = service(&fresh.db, &clock());
        let draft = Draft {
            name: Some("jira".into()),
            api_url: Some(jira.url.to_string()),
            username: Some(USER.into()),
            password: SecretChange::Set(Secret::new(PASSWORD)),
            settings: BTreeMap::from([("deployment".to_owned(), "server".to_owned())]),
            ..Draft::default()
        };
        let system = service.create_system(&by(&tenant()), &draft).await.expect("makes");
        let setup = Self { service, system };
        setup.sync().await;
        setup
    }

    async fn sync(&self) {
        let outcome = self.service.sync_system(self.system.id, &run(JobId::new())).await.expect("runs");
        assert_eq!(outcome, Outcome::Done);
    }

    async fn orders(&self, filter: &Filter) -> Vec<WorkOrder> {
        let page = PageRequest::new(None, Some(200)).expect("in range");
        self.service.work_orders(&tenant(), filter, Sort::Created, page).await.expect("reads").items
    }
}

#[tokio::test]
async fn changes_here_outlive_changes_there() {
    on_both(async |fresh| {
        let jira = Jira::start(Deployment::Server, 3).await;
        let setup = Setup::new(&fresh, &jira).await;
        let order = setup.orders(&Filter::default()).await.remove(0);
        let edits = Edits { title: Some("ours".into()), status: Some(Status::Closed), ..Edits::default() };
        let edited = setup.service.update_work_order(&by(&tenant()), order.id, &edits, Some(1)).await.expect("changes");
        assert_eq!(setup.service.work_order(&tenant(), order.id).await.expect("reads"), edited);
        let refused = setup.service.update_work_order(&by(&tenant()), order.id, &edits, Some(1)).await;
        assert_eq!(refused.expect_err("stale").code(), "version_moved");
        let changed = Filter { has_changes: Some(true), ..Filter::default() };
        assert_eq!(setup.orders(&changed).await, std::slice::from_ref(&edited));
        let before = setup.service.work_order_statistics(&tenant()).await.expect("counts");
        assert_eq!((before.total_count, before.changed_here_count), (3, 1));

        jira.edit(|issues| {
            let issue = issues.iter_mut().find(|issue| issue.key == order.content.external_key).expect("there");
            issue.summary = "theirs".into();
            issue.priority = "Low";
            issue.updated_ms += 600_000;
        });
        setup.sync().await;
        let merged = setup.service.work_order(&tenant(), order.id).await.expect("reads");
        assert_eq!((merged.content.title.as_str(), merged.content.status), ("ours", Status::Closed));
        assert_eq!(merged.content.priority.as_str(), "low", "what nobody touched here follows");
        assert_eq!(merged.exchange.clashes[&Field::Title].kept, Side::Here);
        assert_eq!(merged.exchange.pending[&Field::Title].base, "theirs");
        assert_ne!(merged.content_hash, edited.content_hash);
        setup.sync().await;
        assert_eq!(setup.service.work_order(&tenant(), order.id).await.expect("reads"), merged, "the same again");
    })
    .await;
}

#[tokio::test]
async fn runs_and_pages_are_counted_alike() {
    on_both(async |fresh| {
        let jira = Jira::start(Deployment::Server, 9).await;
        let setup = Setup::new(&fresh, &jira).await;
        setup.sync().await;
        let counts = setup.service.sync_log_statistics(&tenant()).await.expect("counts");
        assert_eq!((counts.total_logs, counts.success_logs, counts.sync_logs), (2, 2, 2));
        assert_eq!(counts.total_processed.total, counts.total_processed.success);
        let performance = setup.service.performance(&tenant(), 7).await.expect("counts");
        assert_eq!((performance.performance_by_system[0].total_runs, performance.daily_trends.len()), (2, 1));
        assert_eq!(performance.daily_trends[0].date.to_string(), "2026-11-22");
        assert!(setup.service.recent_failures(&tenant(), 10).await.expect("reads").is_empty());
        for &sort in Sort::ALL {
            let page = PageRequest::new(None, Some(200)).expect("in range");
            let all = Filter::default();
            let paged = setup.service.work_orders(&tenant(), &all, sort, page).await.expect("reads").items;
            let (mut walked, mut from) = (Vec::new(), None);
            loop {
                let read = setup.service.walk_work_orders(&tenant(), &all, sort, from, 4).await.expect("reads");
                walked.extend(read.0);
                from = read.1;
                if from.is_none() {
                    break;
                }
            }
            assert_eq!(walked, paged, "{sort}");
        }
        let found =
            async |text: &str| setup.orders(&Filter { text: Some(text.to_owned()), ..Filter::default() }).await.len();
        assert_eq!((found("OPS-9").await, found("TEXT OF").await, found("%").await), (1, 9, 0));
    })
    .await;
}
