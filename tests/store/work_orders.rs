//! Systems, and who may see them; runs are in `sync_runs`.

use std::time::Duration;

use chrono::DateTime;
use deskhand::base::{Clock, Error, PageRequest, Secret, TenantId, Vault};
use deskhand::db::{Db, Text};
use deskhand::on;
use deskhand::work_orders::WorkOrders;
use deskhand::work_orders::model::{Draft, SecretChange, System, SystemId};
use deskhand_jobs::JobId;

use crate::fixtures::TestDb;
use crate::fixtures::by;
use crate::fixtures::databases::on_both;
use crate::fixtures::outbound::http_with;

pub(super) fn clock() -> Clock {
    Clock::manual(DateTime::parse_from_rfc3339("2026-11-22T10:00:00Z").expect("a date").to_utc())
}

pub(super) fn service(db: &Db, clock: &Clock) -> WorkOrders {
    WorkOrders::new(db.clone().with_clock(clock.clone()), Vault::from_key(&[7; 32]), http_with(&[], clock))
}

pub(super) fn tenant() -> TenantId {
    TenantId::default()
}

fn draft() -> Draft {
    Draft {
        name: Some("ops".into()),
        system_type: Some("jira".into()),
        api_url: Some("https://jira.example.com".into()),
        username: Some("sync".into()),
        password: SecretChange::Set(Secret::new("hunter2")),
        ..Draft::default()
    }
}

/// Reads the jobs that were enqueued: the system of each, the oldest first.
pub(super) async fn enqueued(db: &Db) -> Vec<(JobId, String)> {
    let mut tx = db.read().await.expect("begins");
    let sql = "SELECT id, args FROM jobs WHERE kind = 'work_orders.sync_system' ORDER BY id";
    let rows: Vec<(Text<JobId>, String)> = on!(tx, |c| sqlx::query_as(sql).fetch_all(c).await).expect("reads");
    rows.into_iter().map(|(id, args)| (id.0, args)).collect()
}

async fn make(fresh: &TestDb) -> (WorkOrders, System) {
    let service = service(&fresh.db, &clock());
    let system = service.create_system(&by(&tenant()), &draft()).await.expect("makes");
    (service, system)
}

async fn end_all_jobs(db: &Db) {
    let mut tx = db.begin().await.expect("begins");
    on!(tx, |c| sqlx::query("UPDATE jobs SET state = 'succeeded'").execute(c).await.map(|_| ())).expect("updates");
    tx.commit().await.expect("commits");
}

#[tokio::test]
async fn a_system_keeps_its_settings_and_its_secrets_sealed() {
    on_both(async |fresh| {
        let (service, made) = make(&fresh).await;
        let read = service.system(&tenant(), made.id).await.expect("reads");
        assert_eq!(read, made);
        assert_eq!((read.sync_interval, read.is_active, read.version), (300, true, 1));
        let sealed = &read.password.as_ref().expect("there").0;
        assert!(!sealed.contains("hunter2") && !format!("{read:?}").contains("hunter2"));
    })
    .await;
}

#[tokio::test]
async fn the_form_of_old_makes_a_system() {
    on_both(async |fresh| {
        let service = service(&fresh.db, &clock());
        let old = Draft { name: Some("Jira".into()), system_type: None, ..draft() };
        assert_eq!(service.create_system(&by(&tenant()), &old).await.expect("makes").system_type, "jira");
    })
    .await;
}

#[tokio::test]
async fn wrong_settings_are_refused_all_at_once() {
    on_both(async |fresh| {
        let service = service(&fresh.db, &clock());
        let wrong = Draft { sync_interval: Some(5), password: SecretChange::Keep, api_url: None, ..draft() };
        let error = service.create_system(&by(&tenant()), &wrong).await.expect_err("wrong");
        let Error::Invalid(fields) = error else { panic!("{error:?}") };
        let pointers: Vec<_> = fields.iter().map(|field| field.pointer.as_str()).collect();
        assert_eq!(pointers, ["/api_url", "/sync_interval", "/api_key"]);
        let nothing = Draft { system_type: Some("abacus".into()), ..draft() };
        let error = service.create_system(&by(&tenant()), &nothing).await.expect_err("no such adapter");
        assert!(error.to_string().contains("is not one of: jira"), "{error}");
    })
    .await;
}

#[tokio::test]
async fn a_name_is_taken_once_per_tenant() {
    on_both(async |fresh| {
        let (service, _) = make(&fresh).await;
        let error = service.create_system(&by(&tenant()), &draft()).await.expect_err("taken");
        assert_eq!(error.code(), "name_taken");
        let other = TenantId::new("acme").expect("a tenant");
        service.create_system(&by(&other), &draft()).await.expect("another tenant's names are its own");
    })
    .await;
}

#[tokio::test]
async fn a_change_keeps_what_it_does_not_name_and_counts_versions() {
    on_both(async |fresh| {
        let (service, made) = make(&fresh).await;
        let change = Draft { sync_interval: Some(600), version: Some(1), ..Draft::default() };
        let changed = service.update_system(&by(&tenant()), made.id, &change).await.expect("changes");
        assert_eq!((changed.sync_interval, changed.version, changed.password), (600, 2, made.password));
        let error = service.update_system(&by(&tenant()), made.id, &change).await.expect_err("stale");
        assert_eq!(error.code(), "version_moved");
        assert_eq!(service.system(&tenant(), made.id).await.expect("reads").version, 2);
    })
    .await;
}

#[tokio::test]
async fn a_secret_does_not_follow_the_address_to_another_host() {
    on_both(async |fresh| {
        let (service, made) = make(&fresh).await;
        let away = Draft { api_url: Some("https://elsewhere.example".into()), ..Draft::default() };
        let error = service.update_system(&by(&tenant()), made.id, &away).await.expect_err("refused");
        assert!(error.to_string().starts_with("/password: "), "{error}");
        let known = Draft { password: SecretChange::Set(Secret::new("hunter2")), ..away };
        service.update_system(&by(&tenant()), made.id, &known).await.expect("whoever knows it may");
    })
    .await;
}

#[tokio::test]
async fn another_tenants_system_is_not_there() {
    on_both(async |fresh| {
        let (service, made) = make(&fresh).await;
        let other = TenantId::new("acme").expect("a tenant");
        let codes = [
            service.system(&other, made.id).await.expect_err("hidden").code(),
            service.update_system(&by(&other), made.id, &Draft::default()).await.expect_err("hidden").code(),
            service.set_active(&by(&other), made.id, false).await.expect_err("hidden").code(),
            service.delete_system(&by(&other), made.id, true).await.expect_err("hidden").code(),
            service.test_connection(&other, made.id).await.expect_err("hidden").code(),
            service.sync_now(&by(&other), made.id).await.expect_err("hidden").code(),
        ];
        assert_eq!(codes, ["not_found"; 6]);
        assert_eq!(service.systems(&other, PageRequest::default()).await.expect("reads").total, 0);
        assert_eq!(service.sync_all(Some(&by(&other))).await.expect("asks"), []);
        assert_eq!(service.systems(&tenant(), PageRequest::default()).await.expect("reads").total, 1);
    })
    .await;
}

#[tokio::test]
async fn a_system_is_asked_for_once_per_interval() {
    on_both(async |fresh| {
        let clock = clock();
        let service = service(&fresh.db, &clock);
        let system = service.create_system(&by(&tenant()), &draft()).await.expect("makes");
        let disabled = Draft { name: Some("off".into()), is_active: Some(false), ..draft() };
        let off = service.create_system(&by(&tenant()), &disabled).await.expect("makes");
        for (minutes, jobs) in [(0, 1), (0, 1), (3, 1), (2, 2), (5, 3)] {
            clock.advance(Duration::from_secs(60 * minutes));
            service.sync_due().await.expect("asks");
            assert_eq!(enqueued(&fresh.db).await.len(), jobs, "after {minutes} min more");
            end_all_jobs(&fresh.db).await;
        }
        assert!(enqueued(&fresh.db).await.iter().all(|(_, args)| *args == format!("{{\"system\":\"{}\"}}", system.id)));
        assert_eq!(service.sync_now(&by(&tenant()), off.id).await.expect_err("disabled").code(), "system_disabled");
        service.set_active(&by(&tenant()), off.id, true).await.expect("enables");
        service.sync_now(&by(&tenant()), off.id).await.expect("asks");
    })
    .await;
}

#[tokio::test]
async fn whoever_asks_while_a_run_is_under_way_gets_that_one() {
    on_both(async |fresh| {
        let (clock, again) = (clock(), fresh.again().await);
        let (service, other) = (service(&fresh.db, &clock), service(&again, &clock));
        let system = service.create_system(&by(&tenant()), &draft()).await.expect("makes");
        let (tenant, id) = (tenant(), system.id);
        let who = by(&tenant);
        let (one, two) = tokio::join!(service.sync_now(&who, id), other.sync_now(&who, id));
        let (one, two) = (one.expect("asks"), two.expect("asks"));
        assert_eq!(one.job_id, two.job_id, "of two that ask at once the second gets the job of the first");
        assert!(one.joined != two.joined);
        assert!(service.sync_all(None).await.expect("asks")[0].joined);
        clock.advance(Duration::from_mins(10));
        assert_eq!(service.sync_due().await.expect("asks"), 0, "a second one would only be dropped");
        assert_eq!(enqueued(&fresh.db).await.len(), 1);

        end_all_jobs(&fresh.db).await;
        let next = service.sync_now(&by(&tenant), id).await.expect("asks");
        assert!(!next.joined && next.job_id != one.job_id);
    })
    .await;
}

#[tokio::test]
async fn two_schedulers_ask_once() {
    on_both(async |fresh| {
        let (clock, again) = (clock(), fresh.again().await);
        let (one, two) = (service(&fresh.db, &clock), service(&again, &clock));
        one.create_system(&by(&tenant()), &draft()).await.expect("makes");
        let (a, b) = tokio::join!(one.sync_due(), two.sync_due());
        assert_eq!(a.expect("asks") + b.expect("asks"), 1);
        assert_eq!(enqueued(&fresh.db).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_missing_system_is_named() {
    on_both(async |fresh| {
        let service = service(&fresh.db, &clock());
        let id = SystemId::new();
        let error = service.system(&tenant(), id).await.expect_err("nothing there");
        assert_eq!(error.to_string(), format!("there is no work order system {id}"));
    })
    .await;
}
