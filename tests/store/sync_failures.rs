//! Tickets that cannot be taken: kept, asked for once more, taken, gone or given up.

use std::time::Duration;

use deskhand::base::{PageRequest, Secret};
use deskhand::work_orders::model::{Counts, Draft, Failure, MAX_TRIES, RunStatus, SecretChange, Sort, SyncLog, System};
use deskhand::work_orders::{Filter, LogFilter, WorkOrders};
use deskhand_jobs::JobId;
use deskhand_jobs::outcome::Outcome;

use super::work_orders::{clock, service, tenant};
use crate::fakes::deeds::{Act, Deed};
use crate::fakes::desk::Desk;
use crate::fakes::fault::Fault;
use crate::fakes::jira::{Deployment, Jira, PASSWORD, USER};
use crate::fixtures::databases::on_both;
use crate::fixtures::desk::run;
use crate::fixtures::{TestDb, by};

struct Setup {
    jira: Jira,
    service: WorkOrders,
    system: System,
    clock: deskhand::base::Clock,
}

impl Setup {
    /// Makes a Jira of six tickets of which the third cannot be read.
    async fn new(fresh: &TestDb) -> Self {
        let jira = Jira::start(Deployment::Server, 6).await;
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
        let setup = Self { jira, service, system, clock };
        setup.act(Deed::Spoil);
        // So long ago that lists do not bring it again.
        setup.jira.edit(|issues| issues[2].updated_ms -= 10_000_000);
        setup
    }

    fn act(&self, deed: Deed) {
        self.jira.act(&Act { n: 2, deed, after_s: 60 });
    }

    async fn sync(&self) -> SyncLog {
        let outcome = self.service.sync_system(self.system.id, &run(JobId::new())).await.expect("runs");
        assert_eq!(outcome, Outcome::Done);
        let page = PageRequest::default();
        self.service.sync_logs(&tenant(), &LogFilter::default(), page).await.expect("reads").items.remove(0)
    }

    async fn failures(&self) -> Vec<Failure> {
        let page = PageRequest::default();
        self.service.failed_tickets(&tenant(), self.system.id, page).await.expect("reads").items
    }

    async fn count(&self) -> u64 {
        let (filter, page) = (Filter::default(), PageRequest::default());
        self.service.work_orders(&tenant(), &filter, Sort::Created, page).await.expect("counts").total
    }
}

#[tokio::test]
async fn what_cannot_be_taken_is_kept_and_asked_for_later() {
    on_both(async |fresh| {
        let setup = Setup::new(&fresh).await;
        let log = setup.sync().await;
        let expected = Counts { fetched: 6, created: 5, failed: 1, ..Counts::default() };
        assert_eq!((log.status, log.counts), (RunStatus::Partial, expected));
        assert_eq!(log.row_errors[0].external_id, setup.jira.id(3));
        let system = setup.service.system(&tenant(), setup.system.id).await.expect("reads");
        assert!(system.cursor_at.is_some() && system.failure_streak == 0, "the others are not held up");
        let kept = setup.failures().await;
        let now = setup.clock.now();
        assert_eq!((kept.len(), kept[0].tries, kept[0].first_seen_at), (1, 1, now));
        assert!(kept[0].reason.contains("fields") && kept[0].next_try_at.is_some_and(|at| at > now), "{kept:?}");

        setup.act(Deed::Mend);
        assert_eq!((setup.sync().await.status, setup.count().await), (RunStatus::Success, 5), "it is not its turn");
        setup.clock.advance(Duration::from_mins(6));
        let log = setup.sync().await;
        assert_eq!((log.status, setup.count().await), (RunStatus::Success, 6));
        assert!(setup.failures().await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn what_is_gone_is_asked_for_no_more() {
    on_both(async |fresh| {
        let setup = Setup::new(&fresh).await;
        setup.sync().await;
        setup.act(Deed::Remove);
        setup.clock.advance(Duration::from_mins(6));
        let log = setup.sync().await;
        assert_eq!((log.status, log.counts.failed, setup.count().await), (RunStatus::Success, 0, 5));
        assert!(setup.failures().await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn what_fails_for_a_week_is_given_up_and_comes_when_it_changes() {
    on_both(async |fresh| {
        let setup = Setup::new(&fresh).await;
        setup.sync().await;
        for tries in 2..=MAX_TRIES {
            setup.clock.advance(Duration::from_hours(25));
            let log = setup.sync().await;
            assert_eq!((log.status, log.row_errors.len()), (RunStatus::Partial, 1), "try {tries}");
            assert_eq!(setup.failures().await[0].tries, tries);
        }
        assert_eq!(setup.failures().await[0].next_try_at, None, "it is given up, and stays visible");
        setup.clock.advance(Duration::from_hours(25));
        assert_eq!(setup.sync().await.status, RunStatus::Success);
        setup.act(Deed::Mend);
        setup.act(Deed::Title(1));
        let log = setup.sync().await;
        assert_eq!((log.counts.created, setup.failures().await), (1, Vec::new()));
    })
    .await;
}

#[tokio::test]
async fn what_was_given_up_is_forgotten_with_old_logs_and_with_its_system() {
    on_both(async |fresh| {
        let setup = Setup::new(&fresh).await;
        setup.sync().await;
        setup.service.clean_sync_logs(0).await.expect("cleans");
        assert_eq!(setup.failures().await.len(), 1, "it is asked for still");
        setup.service.delete_system(&by(&tenant()), setup.system.id, true).await.expect("goes with all it has");
        let setup = Setup::new(&fresh).await;
        setup.sync().await;
        for _ in 0..MAX_TRIES {
            setup.clock.advance(Duration::from_hours(25));
            setup.sync().await;
        }
        setup.clock.advance(Duration::from_hours(31 * 24));
        setup.service.clean_sync_logs(30).await.expect("cleans");
        assert!(setup.failures().await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_system_that_asks_to_wait_costs_no_ticket_a_try() {
    on_both(async |fresh| {
        let setup = Setup::new(&fresh).await;
        setup.sync().await;
        setup.clock.advance(Duration::from_mins(6));
        let before = setup.failures().await;
        setup.jira.fault_behind_search(Fault::RateLimited("7".into()));
        let outcome = setup.service.sync_system(setup.system.id, &run(JobId::new())).await.expect("an outcome");
        assert!(matches!(outcome, Outcome::Snooze(_)), "{outcome:?}");
        assert_eq!(setup.failures().await, before);
    })
    .await;
}

#[tokio::test]
async fn a_look_at_all_tickets_brings_what_runs_have_missed() {
    on_both(async |fresh| {
        let setup = Setup::new(&fresh).await;
        setup.act(Deed::Mend);
        setup.sync().await;
        // One was hidden from the account when it was made, another changes without a date.
        setup.jira.edit(|issues| {
            let mut hidden = issues[0].clone();
            (hidden.id, hidden.key) = (99, "OPS-99".to_owned());
            issues.push(hidden);
            issues[1].summary = "renamed by the database".to_owned();
        });
        assert_eq!(setup.sync().await.counts.created, 0);
        setup.clock.advance(Duration::from_secs(1));
        let job = run(JobId::new());
        let outcome = setup.service.reconcile_system(setup.system.id, &job).await.expect("an outcome");
        assert_eq!((outcome, setup.count().await), (Outcome::Done, 7));
        let page = PageRequest::default();
        let log = setup.service.sync_logs(&tenant(), &LogFilter::default(), page).await.expect("reads").items.remove(0);
        let expected = Counts { fetched: 7, created: 1, updated: 1, unchanged: 5, ..Counts::default() };
        assert_eq!(log.counts, expected);
    })
    .await;
}
