//! Runs against a fake Jira: every attempt through the service, as a worker would call it.

use std::collections::BTreeMap;
use std::time::Duration;

use deskhand::base::{Clock, PageRequest, Secret};
use deskhand::on;
use deskhand::work_orders::model::{Counts, Draft, Mapping, RunStatus, SecretChange, Sort, Status, SyncLog, System};
use deskhand::work_orders::{Filter, LogFilter, WorkOrders};
use deskhand_jobs::outcome::{self, Outcome};
use deskhand_jobs::{JobId, Run};

use super::work_orders::{clock, service, tenant};
use crate::fakes::jira::{Deployment, Fault, Issue, Jira, PASSWORD, USER};
use crate::fixtures::TestDb;
use crate::fixtures::by;
use crate::fixtures::databases::{on_both, on_postgres};
use crate::fixtures::desk::run;

/// A service, a system that points to a fake, and one job for it.
struct Setup {
    service: WorkOrders,
    system: System,
    clock: Clock,
    run: Run,
}

impl Setup {
    async fn new(fresh: &TestDb, jira: &Jira, deployment: &str) -> Self {
        Self::with(fresh, jira, deployment, Draft::default()).await
    }

    async fn with(fresh: &TestDb, jira: &Jira, deployment: &str, draft: Draft) -> Self {
        let clock = clock();
        let service = service(&fresh.db, &clock);
        let api_key = if draft.api_key == SecretChange::Keep {
            SecretChange::Set(Secret::new(PASSWORD))
        } else {
            draft.api_key.clone()
        };
        let draft = Draft {
            name: Some("ops jira".into()),
            system_type: Some("jira".into()),
            api_url: Some(jira.url.to_string()),
            username: Some(USER.into()),
            api_key,
            settings: BTreeMap::from([("deployment".to_owned(), deployment.to_owned())]),
            ..draft
        };
        let system = service.create_system(&by(&tenant()), &draft).await.expect("makes");
        Self { service, system, clock, run: job() }
    }

    /// Runs one attempt of the job.
    async fn attempt(&mut self) -> outcome::Result {
        let result = self.service.sync_system(self.system.id, &self.run).await;
        if result.is_err() {
            self.run.attempt += 1;
        }
        result
    }

    /// Runs another job to its end, which has to be good.
    async fn run_again(&mut self) -> SyncLog {
        self.run = job();
        assert_eq!(self.attempt().await.expect("runs"), Outcome::Done);
        self.logs().await.remove(0)
    }

    /// The logs, the latest first.
    async fn logs(&self) -> Vec<SyncLog> {
        let page = PageRequest::default();
        self.service.sync_logs(&tenant(), &LogFilter::default(), page).await.expect("reads").items
    }

    async fn order_count(&self) -> u64 {
        self.service
            .work_orders(&tenant(), &Filter::default(), Sort::CreatedDown, PageRequest::default())
            .await
            .expect("reads")
            .total
    }

    async fn system(&self) -> System {
        self.service.system(&tenant(), self.system.id).await.expect("reads")
    }
}

fn job() -> Run {
    Run { tenant: Some("default".into()), ..run(JobId::new()) }
}

const BOTH: [(Deployment, &str); 2] = [(Deployment::Cloud, "cloud"), (Deployment::Server, "server")];

#[tokio::test]
async fn a_run_over_faults_stores_every_ticket_once_with_one_log() {
    on_both(async |fresh| {
        for (n, (deployment, name)) in BOTH.into_iter().enumerate() {
            let jira = Jira::start(deployment, 500)
                .await
                .fault(2, Fault::RateLimited("7".into()))
                .fault(3, Fault::Status(500))
                .fault(5, Fault::Truncated);
            let mut setup = Setup::with(&fresh, &jira, name, Draft::default()).await;
            let mut outcomes = Vec::new();
            while outcomes.last() != Some(&"done") {
                outcomes.push(match setup.attempt().await {
                    Ok(Outcome::Done) => "done",
                    Ok(Outcome::Snooze(wait)) => {
                        assert!(wait >= Duration::from_secs(7) && wait < Duration::from_secs(10), "{wait:?}");
                        setup.clock.advance(wait);
                        "snooze"
                    }
                    Ok(other) => panic!("{other:?}"),
                    Err(_) => "retry",
                });
            }
            assert_eq!(outcomes, ["snooze", "retry", "retry", "done"], "{name}");
            assert_eq!(setup.order_count().await, 500 * (n as u64 + 1));
            let logs = setup.logs().await;
            assert_eq!(logs.len(), n + 1, "{name}: one log for all attempts");
            let expected = Counts { fetched: 500, created: 500, ..Counts::default() };
            assert_eq!((logs[0].status, logs[0].counts), (RunStatus::Success, expected), "{name}");
            assert!(logs[0].execution_time_ms().is_some());
            let latest = Issue::numbered(500).updated_ms;
            let system = setup.system().await;
            assert_eq!(system.cursor_at.map(|mark| mark.timestamp_millis()), Some(latest), "the data's time, not ours");
            assert_eq!((system.failure_streak, system.blocked_until), (0, None));
            let rename = Draft { name: Some(format!("done {name}")), ..Draft::default() };
            setup.service.update_system(&by(&tenant()), system.id, &rename).await.expect("renames");
        }
    })
    .await;
}

#[tokio::test]
async fn a_second_run_brings_only_changes() {
    on_both(async |fresh| {
        let jira = Jira::start(Deployment::Cloud, 90).await;
        let mut setup = Setup::new(&fresh, &jira, "cloud").await;
        assert_eq!(setup.run_again().await.counts.created, 90);
        let from_ms = Issue::numbered(90).updated_ms;
        jira.edit(|issues| {
            issues[4].summary = "changed".into();
            issues[4].updated_ms = from_ms + 1_000;
        });
        let log = setup.run_again().await;
        // Within the overlap of 5 min before the last change lie the last instant's ticket and the three before.
        let expected = Counts { fetched: 5, updated: 1, unchanged: 4, ..Counts::default() };
        assert_eq!(log.counts, expected);
        let since = from_ms - 300_000;
        assert!(jira.searches().last().expect("searched").starts_with(&format!("updated >= {since} ")));
        let page = PageRequest::new(None, Some(200)).expect("in range");
        let orders = setup
            .service
            .work_orders(&tenant(), &Filter::default(), Sort::CreatedDown, page)
            .await
            .expect("reads")
            .items;
        let changed: Vec<_> = orders.iter().filter(|order| order.version == 2).collect();
        assert_eq!((changed.len(), changed[0].content.title.as_str()), (1, "changed"));
    })
    .await;
}

#[tokio::test]
async fn a_wrong_password_fails_the_job_and_names_the_system() {
    on_both(async |fresh| {
        let jira = Jira::start(Deployment::Cloud, 3).await;
        let wrong = Draft { api_key: SecretChange::Set(Secret::new("not-the-one")), ..Draft::default() };
        let mut setup = Setup::with(&fresh, &jira, "cloud", wrong).await;
        let Ok(Outcome::Fail(reason)) = setup.attempt().await else { panic!("it cannot succeed") };
        assert!(reason.contains("\"ops jira\"") && reason.contains("credentials"), "{reason}");
        assert!(!reason.contains("not-the-one"), "{reason}");
        let log = setup.logs().await.remove(0);
        assert_eq!((log.status, log.error_message), (RunStatus::Failed, Some(reason)));
        assert_eq!(setup.system().await.failure_streak, 1);
        let probe = setup.service.test_connection(&tenant(), setup.system.id).await.expect("an answer");
        assert!(!probe.success && probe.message.contains("api_key"), "{probe:?}");

        let right = Draft { api_key: SecretChange::Set(Secret::new(PASSWORD)), ..Draft::default() };
        setup.service.update_system(&by(&tenant()), setup.system.id, &right).await.expect("changes");
        assert!(setup.service.test_connection(&tenant(), setup.system.id).await.expect("an answer").success);
        // The dead job is given another chance: it is still the same run.
        assert_eq!(setup.attempt().await.expect("runs"), Outcome::Done);
        let logs = setup.logs().await;
        assert_eq!((logs.len(), logs[0].status, logs[0].error_message.as_ref()), (1, RunStatus::Success, None));
    })
    .await;
}

#[tokio::test]
async fn the_last_attempt_ends_the_run_as_failed_and_the_next_run_goes_on() {
    on_both(async |fresh| {
        let jira = Jira::start(Deployment::Server, 30).await.max_results(10).fault(2, Fault::Status(502));
        let mut setup = Setup::new(&fresh, &jira, "server").await;
        setup.run.attempt = setup.run.max_attempts;
        setup.attempt().await.expect_err("the system is down");
        let log = setup.logs().await.remove(0);
        assert_eq!((log.status, log.counts.created, log.pages), (RunStatus::Failed, 10, 1));
        assert!(log.error_message.expect("a reason").contains("502"));
        let log = setup.run_again().await;
        assert_eq!(log.counts.created, 20);
        assert_eq!(setup.order_count().await, 30);
    })
    .await;
}

#[tokio::test]
async fn an_unreadable_ticket_makes_the_run_partial() {
    on_both(async |fresh| {
        let jira = Jira::start(Deployment::Cloud, 5).await.fault(1, Fault::BrokenIssue);
        let mut setup = Setup::new(&fresh, &jira, "cloud").await;
        let log = setup.run_again().await;
        assert_eq!(
            (log.status, log.counts.fetched, log.counts.created, log.counts.failed),
            (RunStatus::Partial, 5, 4, 1)
        );
        assert_eq!(log.row_errors[0].external_id, "OPS-BROKEN");
        assert!(log.error_message.expect("a reason").contains("OPS-BROKEN"));
    })
    .await;
}

#[tokio::test]
async fn a_system_that_says_wait_for_a_day_fails() {
    on_both(async |fresh| {
        let mut jira = Jira::start(Deployment::Cloud, 5).await;
        for search in 1..=40 {
            jira = jira.fault(search, Fault::RateLimited("3600".into()));
        }
        let mut setup = Setup::new(&fresh, &jira, "cloud").await;
        let mut waits = 0;
        let reason = loop {
            match setup.attempt().await.expect("no error") {
                Outcome::Snooze(wait) => {
                    waits += 1;
                    assert!(setup.system().await.blocked_until.is_some());
                    setup.clock.advance(wait);
                }
                Outcome::Fail(reason) => break reason,
                other => panic!("{other:?}"),
            }
        };
        assert!((19..=24).contains(&waits), "{waits} waits of at least an hour");
        assert!(reason.contains("a day"), "{reason}");
        assert_eq!(setup.logs().await[0].status, RunStatus::Failed);
    })
    .await;
}

#[tokio::test]
async fn no_system_makes_us_wait_for_ever() {
    on_both(async |fresh| {
        for asked in ["99999999999", "18446744073709551615"] {
            let jira = Jira::start(Deployment::Cloud, 5).await.fault(1, Fault::RateLimited(asked.into()));
            let mut setup = Setup::new(&fresh, &jira, "cloud").await;
            let Ok(Outcome::Snooze(wait)) = setup.attempt().await else { panic!("it was asked to wait") };
            assert!(wait <= Duration::from_hours(32), "{wait:?}");
            assert!(setup.system().await.blocked_until.is_some(), "the row can be read");
            setup.service.delete_system(&by(&tenant()), setup.system.id, true).await.expect("makes room");
        }
    })
    .await;
}

#[tokio::test]
async fn a_run_that_ended_is_not_run_again() {
    on_both(async |fresh| {
        let jira = Jira::start(Deployment::Cloud, 5).await;
        let mut setup = Setup::new(&fresh, &jira, "cloud").await;
        setup.run_again().await;
        let requests = jira.requests();
        assert_eq!(setup.attempt().await.expect("the same job, delivered twice"), Outcome::Done);
        assert_eq!((jira.requests(), setup.logs().await.len()), (requests, 1));
    })
    .await;
}

#[tokio::test]
async fn a_run_whose_job_vanished_is_closed_by_the_next() {
    on_both(async |fresh| {
        let jira = Jira::start(Deployment::Cloud, 5).await.fault(1, Fault::Status(500));
        let mut setup = Setup::new(&fresh, &jira, "cloud").await;
        setup.attempt().await.expect_err("down");
        setup.run_again().await;
        let logs = setup.logs().await;
        assert_eq!((logs[0].status, logs[1].status), (RunStatus::Success, RunStatus::Failed));
        assert!(logs[1].ended_at.is_some());
    })
    .await;
}

#[tokio::test]
async fn the_first_run_reaches_back_as_far_as_the_settings_say() {
    on_both(async |fresh| {
        let jira = Jira::start(Deployment::Cloud, 5).await;
        let week = Draft { initial_days: Some(7), ..Draft::default() };
        let mut setup = Setup::with(&fresh, &jira, "cloud", week).await;
        assert_eq!(setup.run_again().await.counts, Counts::default(), "all changed long ago");
        let since = setup.clock.now().timestamp_millis() - 7 * 86_400_000;
        assert!(jira.searches()[0].starts_with(&format!("updated >= {since} ")));
    })
    .await;
}

#[tokio::test]
async fn jobs_of_disabled_gone_or_foreign_systems_do_nothing() {
    on_both(async |fresh| {
        let jira = Jira::start(Deployment::Cloud, 5).await;
        let mut setup = Setup::new(&fresh, &jira, "cloud").await;
        let foreign = Run { tenant: Some("acme".into()), ..job() };
        let outcome = setup.service.sync_system(setup.system.id, &foreign).await.expect("an outcome");
        assert!(matches!(outcome, Outcome::Fail(_)), "{outcome:?}");
        setup.service.set_active(&by(&tenant()), setup.system.id, false).await.expect("disables");
        assert!(matches!(setup.attempt().await.expect("an outcome"), Outcome::Discard(_)));
        setup.service.delete_system(&by(&tenant()), setup.system.id, false).await.expect("nothing hangs on it");
        assert!(matches!(setup.attempt().await.expect("an outcome"), Outcome::Discard(_)));
        assert_eq!(jira.requests(), 0);
    })
    .await;
}

#[tokio::test]
async fn tickets_are_found_by_what_they_are_and_keep_their_system() {
    on_both(async |fresh| {
        let jira = Jira::start(Deployment::Cloud, 12).await;
        let mut setup = Setup::new(&fresh, &jira, "cloud").await;
        setup.run_again().await;
        let (all, system) = (PageRequest::default(), setup.system.id);
        let find = async |status: Option<&str>, priority: Option<&str>| {
            let filter = Filter {
                status: status.map(|word| word.parse().expect("a status")),
                priority: priority.map(|word| word.parse().expect("a priority")),
                system: Some(system),
                ..Filter::default()
            };
            setup.service.work_orders(&tenant(), &filter, Sort::CreatedDown, all).await.expect("reads").total
        };
        assert_eq!(find(None, None).await, 12);
        assert_eq!(find(Some("closed"), None).await, 4);
        assert_eq!(find(Some("closed"), Some("urgent")).await, 1);
        assert_eq!(find(Some("cancelled"), None).await, 0);
        let order = setup
            .service
            .work_orders(&tenant(), &Filter::default(), Sort::CreatedDown, all)
            .await
            .expect("reads")
            .items
            .remove(0);
        assert_eq!(setup.service.work_order(&tenant(), order.id).await.expect("reads"), order);
        let other = deskhand::base::TenantId::new("acme").expect("a tenant");
        assert_eq!(setup.service.work_order(&other, order.id).await.expect_err("hidden").code(), "not_found");
        let refused = setup.service.delete_system(&by(&tenant()), system, false).await.expect_err("it has tickets");
        assert_eq!(refused.code(), "has_work_orders");
        setup.service.delete_system(&by(&tenant()), system, true).await.expect("asked for");
        assert_eq!((setup.order_count().await, setup.logs().await.len()), (0, 0));
    })
    .await;
}

#[tokio::test]
async fn a_long_run_lets_others_have_the_worker_and_goes_on() {
    on_both(async |fresh| {
        for (deployment, name) in BOTH {
            let jira = Jira::start(deployment, 30).await.max_results(10);
            let mut setup = Setup::new(&fresh, &jira, name).await;
            let clock = setup.clock.clone();
            jira.edit_while_paging(move |_, _| clock.advance(Duration::from_mins(6)));
            for _ in 0..2 {
                assert_eq!(setup.attempt().await.expect("goes well"), Outcome::Snooze(Duration::ZERO), "{name}");
            }
            while setup.attempt().await.expect("goes well") != Outcome::Done {}
            let log = setup.logs().await.remove(0);
            let expected = Counts { fetched: 30, created: 30, ..Counts::default() };
            assert_eq!((log.status, log.counts), (RunStatus::Success, expected), "{name}");
            setup.service.delete_system(&by(&tenant()), setup.system.id, true).await.expect("makes room");
        }
    })
    .await;
}

#[tokio::test]
async fn an_attempt_that_lost_its_lease_can_store_nothing() {
    on_both(async |fresh| {
        let slow = Fault::Slow(Duration::from_millis(500));
        let jira = Jira::start(Deployment::Cloud, 5).await.fault(1, slow);
        let setup = Setup::new(&fresh, &jira, "cloud").await;
        let attempt = || setup.service.sync_system(setup.system.id, &setup.run);
        let second = async {
            while jira.searches().is_empty() {
                tokio::task::yield_now().await;
            }
            attempt().await
        };
        let (first, second) = tokio::join!(attempt(), second);
        let error = first.expect_err("another has the run");
        assert!(error.to_string().contains("another worker"), "{error}");
        assert_eq!(second.expect("runs"), Outcome::Done);
        let logs = setup.logs().await;
        assert_eq!((logs.len(), logs[0].status, logs[0].counts.fetched), (1, RunStatus::Success, 5));
    })
    .await;
}

#[tokio::test]
async fn new_words_reach_old_tickets() {
    on_both(async |fresh| {
        let jira = Jira::start(Deployment::Cloud, 12).await;
        let mut setup = Setup::new(&fresh, &jira, "cloud").await;
        setup.run_again().await;
        let words = Mapping { status: [("To Do".to_owned(), Status::Processing)].into(), ..Mapping::default() };
        let change = Draft { mapping: Some(words), ..Draft::default() };
        setup.service.update_system(&by(&tenant()), setup.system.id, &change).await.expect("changes");
        let log = setup.run_again().await;
        assert_eq!((log.counts.updated, log.counts.unchanged), (4, 8));
        let filter = Filter { status: Some(Status::Pending), ..Filter::default() };
        let pending = setup
            .service
            .work_orders(&tenant(), &filter, Sort::CreatedDown, PageRequest::default())
            .await
            .expect("reads");
        assert_eq!(pending.total, 0);
    })
    .await;
}

#[tokio::test]
async fn new_words_reach_also_what_a_run_under_way_has_stored() {
    on_both(async |fresh| {
        let jira = Jira::start(Deployment::Cloud, 30).await.max_results(10);
        let mut setup = Setup::new(&fresh, &jira, "cloud").await;
        let clock = setup.clock.clone();
        jira.edit_while_paging(move |_, _| clock.advance(Duration::from_mins(6)));
        assert_eq!(setup.attempt().await.expect("goes well"), Outcome::Snooze(Duration::ZERO));
        let words = Mapping { status: [("To Do".to_owned(), Status::Processing)].into(), ..Mapping::default() };
        let change = Draft { mapping: Some(words), ..Draft::default() };
        setup.service.update_system(&by(&tenant()), setup.system.id, &change).await.expect("changes");
        while setup.attempt().await.expect("goes well") != Outcome::Done {}
        setup.run_again().await;
        let filter = Filter { status: Some(Status::Pending), ..Filter::default() };
        let pending = setup
            .service
            .work_orders(&tenant(), &filter, Sort::CreatedDown, PageRequest::default())
            .await
            .expect("reads");
        assert_eq!(pending.total, 0);
    })
    .await;
}

#[tokio::test]
async fn old_logs_are_cleaned() {
    on_both(async |fresh| {
        let jira = Jira::start(Deployment::Cloud, 1).await;
        let mut setup = Setup::new(&fresh, &jira, "cloud").await;
        setup.run_again().await;
        setup.clock.advance(Duration::from_hours(31 * 24));
        setup.run_again().await;
        assert_eq!(setup.service.clean_sync_logs(30).await.expect("cleans"), 1);
        assert_eq!(setup.logs().await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_run_that_brings_many_tickets_has_postgres_count_them() {
    on_postgres(async |fresh| {
        fresh.db.migrate().await.expect("migrates");
        let counted = async || -> i64 {
            let mut tx = fresh.db.read().await.expect("begins");
            let sql = "SELECT count(*) FROM pg_stats WHERE tablename = 'work_orders' AND attname = 'external_id'";
            on!(tx, |c| sqlx::query_scalar(sql).fetch_one(c).await).expect("reads")
        };
        let jira = Jira::start(Deployment::Server, 120).await.max_results(60);
        let mut setup = Setup::new(&fresh, &jira, "server").await;
        assert_eq!(counted().await, 0, "nobody has yet");
        assert_eq!(setup.attempt().await.expect("runs"), Outcome::Done);
        assert_eq!(counted().await, 1, "a look for one ticket would read all of them");
    })
    .await;
}
