//! Schedules fire once.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use deskhand::base::{Actor, Clock, PageRequest, TenantId};
use deskhand::db::{Backend, Db};
use deskhand::dispatch::schedules::{Declared, Scheduler, SlotOutcome, service, sync_declared};
use deskhand::on;
use deskhand_jobs::Registry;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::fixtures::databases::on_both;
use crate::fixtures::jobs::registry;
use crate::fixtures::schedules::declaration;

fn start() -> DateTime<Utc> {
    "2026-03-01T12:00:30Z".parse().expect("an instant")
}

fn declared(extra: &serde_json::Value) -> Declared {
    let mut text = json!({"name": "mails", "kind": "mail.send", "args": {"to": "x"}, "cron": "*/1 * * * *"});
    for (key, value) in extra.as_object().expect("an object") {
        text[key] = value.clone();
    }
    declaration(text)
}

async fn sync(db: &Db, declarations: &[Declared]) {
    sync_declared(db, &registry(), declarations).await.expect("syncs");
}

async fn jobs(db: &Db) -> i64 {
    let mut tx = db.read().await.expect("begins");
    on!(tx, |c| sqlx::query_scalar("SELECT count(*) FROM jobs").fetch_one(c).await).expect("counts")
}

async fn end_all_jobs(db: &Db) {
    let mut tx = db.begin().await.expect("begins");
    on!(tx, |c| sqlx::query("UPDATE jobs SET state = 'succeeded'").execute(c).await.map(|_| ())).expect("updates");
    tx.commit().await.expect("commits");
}

/// The slots of the schedule `mails`, oldest first.
async fn slots(db: &Db) -> Vec<(DateTime<Utc>, SlotOutcome)> {
    let page = PageRequest::new(None, Some(200)).expect("in range");
    let slots = service::slots(db, &TenantId::default(), "mails", page).await.expect("lists").items;
    slots.into_iter().rev().map(|slot| (slot.slot_at, slot.outcome)).collect()
}

fn minute(n: i64) -> DateTime<Utc> {
    start() + TimeDelta::minutes(n) - TimeDelta::seconds(30)
}

#[tokio::test]
async fn two_schedulers_fire_every_slot_once_for_ten_minutes() {
    on_both(async |fresh| {
        let clock = Clock::manual(start());
        let (one, two) = (fresh.again().await.with_clock(clock.clone()), fresh.again().await.with_clock(clock.clone()));
        let db = fresh.db.with_clock(clock.clone());
        sync(&db, &[declared(&json!({"overlap": "allow"}))]).await;
        let (one, two) = (Scheduler::new(one, registry()), Scheduler::new(two, registry()));
        for _ in 0..40 {
            clock.advance(Duration::from_secs(15));
            let (a, b) = tokio::join!(one.fire_due(), two.fire_due());
            a.expect("fires");
            b.expect("fires");
        }
        assert_eq!(jobs(&db).await, 10);
        let expected: Vec<_> = (1..=10).map(|n| (minute(n), SlotOutcome::Fired)).collect();
        assert_eq!(slots(&db).await, expected);
    })
    .await;
}

#[tokio::test]
async fn running_schedulers_wake_with_the_clock_and_stop() {
    on_both(async |fresh| {
        let clock = Clock::manual(start());
        let db = fresh.db.with_clock(clock.clone());
        sync(&db, &[declared(&json!({"overlap": "allow"}))]).await;
        let stop = CancellationToken::new();
        let run = |stop: CancellationToken| {
            let scheduler = Scheduler::new(db.clone(), registry());
            tokio::spawn(async move { scheduler.run(stop).await })
        };
        let loops = [run(stop.clone()), run(stop.clone())];
        for n in 1..=3 {
            clock.set(minute(n));
            let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
            while jobs(&db).await < n {
                assert!(tokio::time::Instant::now() < deadline, "slot {n} never fired");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        stop.cancel();
        for one in loops {
            one.await.expect("does not panic");
        }
        assert_eq!(jobs(&db).await, 3);
    })
    .await;
}

#[tokio::test]
async fn after_downtime_the_latest_slot_fires_and_the_others_say_why_not() {
    on_both(async |fresh| {
        let clock = Clock::manual(start());
        let db = fresh.db.with_clock(clock.clone());
        sync(&db, &[declared(&json!({}))]).await;
        clock.set(minute(5));
        assert_eq!(Scheduler::new(db.clone(), registry()).fire_due().await.expect("fires"), 1);
        let outcomes: Vec<_> = slots(&db).await.into_iter().map(|(_, outcome)| outcome).collect();
        assert_eq!(outcomes, [SlotOutcome::Skipped; 4].into_iter().chain([SlotOutcome::Fired]).collect::<Vec<_>>());
    })
    .await;
}

#[tokio::test]
async fn a_slot_is_skipped_while_the_last_job_has_not_ended() {
    on_both(async |fresh| {
        let clock = Clock::manual(start());
        let db = fresh.db.with_clock(clock.clone());
        let scheduler = Scheduler::new(db.clone(), registry());
        sync(&db, &[declared(&json!({}))]).await;
        for (n, fires) in [(1, 1), (2, 0)] {
            clock.set(minute(n));
            assert_eq!(scheduler.fire_due().await.expect("fires"), fires);
        }
        end_all_jobs(&db).await;
        clock.set(minute(3));
        assert_eq!(scheduler.fire_due().await.expect("fires"), 1);
        let page = PageRequest::default();
        let skipped = service::slots(&db, &TenantId::default(), "mails", page).await.expect("lists").items.remove(1);
        assert!(skipped.reason.expect("has a reason").contains("has not ended"));
    })
    .await;
}

#[tokio::test]
async fn a_paused_schedule_rests_and_makes_up_for_nothing() {
    on_both(async |fresh| {
        let clock = Clock::manual(start());
        let db = fresh.db.with_clock(clock.clone());
        let (tenant, scheduler) = (TenantId::default(), Scheduler::new(db.clone(), registry()));
        sync(&db, &[declared(&json!({"overlap": "allow"}))]).await;
        service::pause(&db, &Actor::system(tenant.clone(), "test"), "mails", "maintenance", None)
            .await
            .expect("pauses");
        clock.set(minute(5));
        assert_eq!(scheduler.fire_due().await.expect("fires"), 0);
        assert!(service::next_fires(&db, &tenant, "mails", 3).await.expect("tells").is_empty());
        service::resume(&db, &Actor::system(tenant.clone(), "test"), "mails").await.expect("resumes");
        assert_eq!(scheduler.fire_due().await.expect("fires"), 0);
        let next = service::next_fires(&db, &tenant, "mails", 2).await.expect("tells");
        assert_eq!(next.iter().map(|fire| fire.fire_at).collect::<Vec<_>>(), [minute(6), minute(7)]);
        clock.set(minute(6));
        assert_eq!(scheduler.fire_due().await.expect("fires"), 1);

        let end = minute(9) + TimeDelta::seconds(1);
        service::pause(&db, &Actor::system(tenant.clone(), "test"), "mails", "maintenance", Some(end))
            .await
            .expect("pauses");
        clock.set(minute(9));
        assert_eq!(scheduler.fire_due().await.expect("fires"), 0);
        clock.set(minute(10));
        assert_eq!(scheduler.fire_due().await.expect("fires"), 1, "the pause ended by itself");
        assert!(!service::get(&db, &tenant, "mails").await.expect("reads").paused);
        assert_eq!(
            service::pause(&db, &Actor::system(tenant.clone(), "test"), "mails", "", Some(end))
                .await
                .expect_err("past")
                .code(),
            "invalid"
        );
    })
    .await;
}

#[tokio::test]
async fn a_pause_that_ends_long_before_the_next_slot_is_over_when_it_ends() {
    on_both(async |fresh| {
        let clock = Clock::manual(start());
        let db = fresh.db.with_clock(clock.clone());
        let (tenant, scheduler) = (TenantId::default(), Scheduler::new(db.clone(), registry()));
        sync(&db, &[declared(&json!({"cron": "0 3 * * *"}))]).await;
        let end = start() + TimeDelta::minutes(5);
        service::pause(&db, &Actor::system(tenant.clone(), "test"), "mails", "maintenance", Some(end))
            .await
            .expect("pauses");
        clock.set(end + TimeDelta::minutes(1));
        assert_eq!(scheduler.fire_due().await.expect("fires"), 0);
        let schedule = service::get(&db, &tenant, "mails").await.expect("reads");
        assert!(!schedule.paused, "a pause that is over and still there wakes the scheduler again and again");
        assert_eq!(schedule.next_at, Some("2026-03-02T03:00:00Z".parse().expect("an instant")));
    })
    .await;
}

#[tokio::test]
async fn running_now_disturbs_no_slot() {
    on_both(async |fresh| {
        let clock = Clock::manual(start());
        let db = fresh.db.with_clock(clock.clone());
        sync(&db, &[declared(&json!({}))]).await;
        let tenant = TenantId::default();
        service::run_now(&db, &registry(), &Actor::system(tenant.clone(), "test"), "mails").await.expect("runs");
        assert_eq!((jobs(&db).await, slots(&db).await.len()), (1, 0));
        clock.set(minute(1));
        assert_eq!(Scheduler::new(db.clone(), registry()).fire_due().await.expect("fires"), 1);
        let nobody = service::run_now(&db, &registry(), &Actor::system(tenant.clone(), "test"), "nobody")
            .await
            .expect_err("unknown");
        assert_eq!(nobody.to_string(), "there is no schedule nobody");
    })
    .await;
}

#[tokio::test]
async fn declarations_come_change_and_go() {
    on_both(async |fresh| {
        let clock = Clock::manual(start());
        let db = fresh.db.with_clock(clock.clone());
        let tenant = TenantId::default();
        let mails = async || service::get(&db, &tenant, "mails").await.expect("reads");
        sync(&db, &[declared(&json!({}))]).await;
        let first = mails().await;
        assert_eq!(first.next_at, Some(minute(1)));
        sync(&db, &[declared(&json!({}))]).await;
        assert_eq!(mails().await, first, "what has not changed is not touched");
        sync(&db, &[declared(&json!({"cron": "0 * * * *", "zone": "Asia/Kolkata"}))]).await;
        assert_eq!(mails().await.next_at, Some(minute(30)));
        sync(&db, &[]).await;
        assert!(!mails().await.enabled);
        sync(&db, &[declared(&json!({}))]).await;
        assert!(mails().await.enabled);
    })
    .await;
}

#[tokio::test]
async fn every_wrong_declaration_is_named() {
    let fresh = crate::fixtures::TestDb::sqlite().await;
    let wrong = [
        declared(&json!({"cron": "61 * * * *"})),
        declared(&json!({"name": "b", "zone": "Mars"})),
        declared(&json!({"name": "c", "kind": "mail.sent"})),
        declared(&json!({"name": "c", "args": {"to": 1}})),
        declared(&json!({"name": "d", "catch_up": "all"})),
    ];
    let error = sync_declared(&fresh.db, &registry(), &wrong).await.expect_err("wrong").to_string();
    for place in [
        "/schedules/0/cron",
        "/schedules/1/zone",
        "/schedules/2/kind",
        "/schedules/3/name",
        "/schedules/3/args",
        "/schedules/4/overlap",
    ] {
        assert!(error.contains(place), "{place} in {error}");
    }
    assert_eq!(service::list(&fresh.db, &TenantId::default()).await.expect("lists"), []);
}

#[tokio::test]
async fn a_schedule_that_the_database_refuses_harms_no_other() {
    on_both(async |fresh| {
        let clock = Clock::manual(start());
        let db = fresh.db.with_clock(clock.clone());
        sync(&db, &["a", "mails"].map(|name| declared(&json!({ "name": name, "tenant": if name == "a" { "acme" } else { "default" } })))).await;
        let mut tx = db.begin().await.expect("begins");
        // A stand-in for any defect: no job of this tenant can be written.
        let sql = "CREATE UNIQUE INDEX refuses ON schedule_slots ((1 / (CASE WHEN tenant_id = 'acme' THEN 0 ELSE 1 END)), slot_at)";
        let sqlite = "CREATE TRIGGER refuses BEFORE INSERT ON schedule_slots WHEN NEW.tenant_id = 'acme' BEGIN SELECT raise(ABORT, 'no'); END";
        let sql = if tx.backend() == Backend::Sqlite { sqlite } else { sql };
        on!(tx, |c| sqlx::query(sql).execute(c).await.map(|_| ())).expect("creates");
        tx.commit().await.expect("commits");
        let acme = TenantId::new("acme").expect("valid");
        service::pause(&db, &Actor::system(acme.clone(), "test"), "a", "", Some(start() + TimeDelta::seconds(1))).await.expect("pauses");
        clock.set(minute(1));
        let scheduler = Scheduler::new(db.clone(), registry());
        assert_eq!(scheduler.fire_due().await.expect("fires"), 1);
        let refused = service::get(&db, &acme, "a").await.expect("reads");
        assert!(refused.last_error.is_some());
        assert_eq!(refused.next_at, Some(minute(2)), "it tries again at its next slot");
        assert!(!refused.paused, "or the end of the pause would wake the scheduler again and again");
    })
    .await;
}

#[tokio::test]
async fn a_schedule_that_cannot_fire_says_so_and_harms_no_other() {
    on_both(async |fresh| {
        let clock = Clock::manual(start());
        let db = fresh.db.with_clock(clock.clone());
        let tenant = TenantId::default();
        let names = ["mails", "args", "line", "newer"];
        sync(&db, &names.map(|name| declared(&json!({ "name": name })))).await;
        let mut tx = db.begin().await.expect("begins");
        for sql in [
            "UPDATE schedules SET args = '{}' WHERE name = 'args'",
            "UPDATE schedules SET cron = 'never' WHERE name = 'line'",
            "UPDATE schedules SET kind = 'mail.of_tomorrow' WHERE name = 'newer'",
        ] {
            on!(tx, |c| sqlx::query(sql).execute(c).await.map(|_| ())).expect("updates");
        }
        tx.commit().await.expect("commits");
        clock.set(minute(1));
        assert_eq!(Scheduler::new(db.clone(), registry()).fire_due().await.expect("fires"), 1);
        for (name, has_error, waits) in [("mails", false, true), ("args", true, true), ("line", true, false)] {
            let schedule = service::get(&db, &tenant, name).await.expect("reads");
            assert_eq!((schedule.last_error.is_some(), schedule.next_at.is_some()), (has_error, waits), "{name}");
        }
        let newer = service::get(&db, &tenant, "newer").await.expect("reads");
        assert_eq!(newer.next_at, Some(minute(1)), "a program that knows the kind will fire it");
        assert_eq!(
            Scheduler::new(db.clone(), std::sync::Arc::new(Registry::new())).fire_due().await.expect("fires"),
            0
        );
    })
    .await;
}
