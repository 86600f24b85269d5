//! Slots that wait: for the job before them, for the end of a freeze window.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use deskhand::base::{Actor, Clock, PageRequest, TenantId};
use deskhand::db::Db;
use deskhand::dispatch::freezes::{self, Draft};
use deskhand::dispatch::schedules::{Scheduler, Slot, SlotOutcome, service, sync_declared};
use deskhand::on;
use serde_json::{Value, json};

use crate::fixtures::TestDb;
use crate::fixtures::databases::on_both;
use crate::fixtures::jobs::registry;
use crate::fixtures::schedules::declaration;

fn minute(n: i64) -> DateTime<Utc> {
    let start: DateTime<Utc> = "2026-03-01T12:00:00Z".parse().expect("an instant");
    start + TimeDelta::minutes(n)
}

fn dana() -> Actor {
    Actor::system(TenantId::default(), "dana")
}

/// A database with the schedule `mails`, every minute, and its clock at minute 0.
async fn with_mails(fresh: &TestDb, extra: &Value) -> (Db, Clock) {
    let clock = Clock::manual(minute(0));
    let db = fresh.again().await.with_clock(clock.clone());
    let mut text = json!({"name": "mails", "kind": "mail.send", "args": {"to": "x"}, "cron": "* * * * *"});
    for (key, value) in extra.as_object().expect("an object") {
        text[key] = value.clone();
    }
    sync_declared(&db, &registry(), &[declaration(text)]).await.expect("syncs");
    (db, clock)
}

/// Two schedulers at once: returns how many jobs both enqueued.
async fn fire(db: &Db) -> usize {
    let (one, two) = (Scheduler::new(db.clone(), registry()), Scheduler::new(db.clone(), registry()));
    let (one, two) = tokio::join!(one.fire_due(), two.fire_due());
    one.expect("fires") + two.expect("fires")
}

async fn end_all_jobs(db: &Db) {
    let mut tx = db.begin().await.expect("begins");
    on!(tx, |c| sqlx::query("UPDATE jobs SET state = 'succeeded'").execute(c).await.map(|_| ())).expect("updates");
    tx.commit().await.expect("commits");
}

/// The slots of `mails`, oldest first.
async fn slots(db: &Db) -> Vec<Slot> {
    let mut slots =
        service::slots(db, &TenantId::default(), "mails", PageRequest::default()).await.expect("lists").items;
    slots.reverse();
    slots
}

async fn outcomes(db: &Db) -> Vec<SlotOutcome> {
    slots(db).await.iter().map(|slot| slot.outcome).collect()
}

async fn freeze(db: &Db, fields: Value) -> freezes::FreezeWindow {
    let mut text = json!({"name": "release", "reason": "the big one"});
    for (key, value) in fields.as_object().expect("an object") {
        text[key] = value.clone();
    }
    let draft: Draft = serde_json::from_value(text).expect("a draft");
    freezes::service::create(db, &dana(), draft).await.expect("is entered")
}

#[tokio::test]
async fn a_queued_slot_fires_once_when_the_job_before_it_has_ended() {
    use SlotOutcome::{Fired, Skipped, Waiting};
    on_both(async |fresh| {
        let (db, clock) = with_mails(&fresh, &json!({"overlap": "queue"})).await;
        clock.set(minute(1));
        assert_eq!(fire(&db).await, 1);
        for n in 2..=4 {
            clock.set(minute(n));
            assert_eq!(fire(&db).await, 0);
        }
        assert_eq!(outcomes(&db).await, [Fired, Skipped, Skipped, Waiting], "one waits, the latest");
        let displaced = slots(&db).await[1].reason.clone().expect("says why");
        assert!(displaced.contains("the later slot at 2026-03-01T12:03:00+00:00"), "{displaced}");
        clock.advance(Duration::from_secs(5));
        assert_eq!(fire(&db).await, 0, "nothing has changed");
        end_all_jobs(&db).await;
        clock.advance(Duration::from_secs(5));
        assert_eq!(fire(&db).await, 1, "within a tick, by one of the schedulers");
        assert_eq!(fire(&db).await, 0);
        let last = slots(&db).await.remove(3);
        assert_eq!((last.slot_at, last.outcome, last.reason), (minute(4), Fired, None));
        let schedule = service::get(&db, &TenantId::default(), "mails").await.expect("reads");
        assert_eq!((schedule.held_slot_at, schedule.last_job_id), (None, last.job_id));
        clock.set(minute(5));
        assert_eq!(fire(&db).await, 0, "its own job has not ended now");
        assert_eq!(outcomes(&db).await.last(), Some(&Waiting));
    })
    .await;
}

#[tokio::test]
async fn who_pauses_edits_or_switches_off_a_schedule_lets_go_of_its_slot() {
    on_both(async |fresh| {
        for (n, what) in ["pause", "rhythm", "off"].into_iter().enumerate() {
            let (db, clock) = with_mails(&fresh, &json!({"overlap": "queue", "tenant": format!("t{n}")})).await;
            let actor = Actor::system(TenantId::new(format!("t{n}")).expect("a tenant"), "dana");
            clock.set(minute(1));
            assert_eq!(fire(&db).await, 1);
            clock.set(minute(2));
            assert_eq!(fire(&db).await, 0);
            let held = service::get(&db, &actor.tenant, "mails").await.expect("reads");
            assert_eq!(held.held_slot_at, Some(minute(2)));
            let edit = |text: Value| deskhand::dispatch::schedules::Edit {
                cron: text["cron"].as_str().map(str::to_owned),
                enabled: text["enabled"].as_bool(),
                ..Default::default()
            };
            let change = async |text| service::edit(&db, &registry(), &actor, "mails", held.version, edit(text)).await;
            let after = match what {
                "pause" => service::pause(&db, &actor, "mails", "tired", None).await,
                "rhythm" => change(json!({"cron": "*/7 * * * *"})).await,
                _ => change(json!({"enabled": false})).await,
            };
            assert_eq!(after.expect("changes").held_slot_at, None, "{what}");
            end_all_jobs(&db).await;
            clock.advance(Duration::from_secs(10));
            assert_eq!(fire(&db).await, 0, "{what}");
            let slots = service::slots(&db, &actor.tenant, "mails", PageRequest::default()).await.expect("lists").items;
            assert_eq!(slots[0].outcome, SlotOutcome::Skipped, "{what}: {slots:?}");
            assert!(slots[0].reason.as_ref().is_some_and(|why| why.contains("schedule")), "{what}: {slots:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_window_that_skips_passes_slots_over_and_says_so() {
    use SlotOutcome::{Fired, Skipped};
    on_both(async |fresh| {
        let (db, clock) = with_mails(&fresh, &json!({"overlap": "allow"})).await;
        freeze(&db, json!({"policy": "skip", "starts_at": minute(2), "ends_at": minute(4), "kinds": ["mail"]})).await;
        freeze(&db, json!({"name": "other", "policy": "skip", "starts_at": minute(0), "ends_at": minute(9), "schedules": ["x"]})).await;
        for (n, fired) in [(1, 1), (2, 0), (3, 0), (4, 1)] {
            clock.set(minute(n));
            assert_eq!(fire(&db).await, fired, "minute {n}");
        }
        assert_eq!(outcomes(&db).await, [Fired, Skipped, Skipped, Fired]);
        let frozen = slots(&db).await.remove(1);
        assert_eq!(frozen.freeze_window.as_deref(), Some("release"));
        assert_eq!(frozen.reason.as_deref(), Some("freeze window release: the big one"));
    })
    .await;
}

#[tokio::test]
async fn a_window_that_defers_lets_one_slot_fire_at_its_end() {
    use SlotOutcome::{Deferred, Fired, Skipped};
    on_both(async |fresh| {
        let (db, clock) = with_mails(&fresh, &json!({"overlap": "allow"})).await;
        freeze(&db, json!({"policy": "defer", "starts_at": minute(1), "ends_at": minute(4) - TimeDelta::seconds(30)}))
            .await;
        for n in 1..=3 {
            clock.set(minute(n));
            assert_eq!(fire(&db).await, 0);
        }
        assert_eq!(outcomes(&db).await, [Skipped, Skipped, Deferred]);
        let end = minute(4) - TimeDelta::seconds(30);
        let deferred = slots(&db).await.remove(2);
        assert_eq!((deferred.freeze_window.as_deref(), deferred.deferred_until), (Some("release"), Some(end)));
        let schedule = service::get(&db, &TenantId::default(), "mails").await.expect("reads");
        assert_eq!((schedule.held_until, schedule.next_at), (Some(end), Some(end)));
        clock.set(end);
        assert_eq!(fire(&db).await, 1);
        let fired = slots(&db).await.remove(2);
        assert_eq!((fired.outcome, fired.deferred_until), (Fired, Some(end)), "and still tells that it was deferred");
        clock.set(minute(4));
        assert_eq!(fire(&db).await, 1, "the next slot is not disturbed");
    })
    .await;
}

#[tokio::test]
async fn a_deferred_slot_is_judged_again_when_the_calendar_changes() {
    on_both(async |fresh| {
        let (db, clock) = with_mails(&fresh, &json!({"cron": "1 * * * *"})).await;
        let window = freeze(&db, json!({"policy": "defer", "starts_at": minute(0), "ends_at": minute(50)})).await;
        clock.set(minute(1));
        assert_eq!(fire(&db).await, 0);
        let longer = Draft { ends_at: Some(minute(55)), ..window.draft.clone() };
        let longer = freezes::service::rewrite(&db, &dana(), window.id, window.version, longer).await.expect("changes");
        assert_eq!(fire(&db).await, 0);
        assert_eq!(slots(&db).await[0].deferred_until, Some(minute(55)));
        let moved = freezes::service::rewrite(&db, &dana(), window.id, window.version, longer.draft).await;
        assert_eq!(moved.expect_err("was changed meanwhile").code(), "version_moved");
        freezes::service::remove(&db, &dana(), window.id).await.expect("goes");
        assert_eq!(fire(&db).await, 1, "nothing holds it back any more");
        assert_eq!(
            freezes::service::get(&db, &TenantId::default(), window.id).await.expect_err("gone").code(),
            "not_found"
        );
    })
    .await;
}

#[tokio::test]
async fn a_deferred_slot_waits_for_the_job_before_it_as_well() {
    on_both(async |fresh| {
        let (db, clock) = with_mails(&fresh, &json!({"overlap": "queue"})).await;
        clock.set(minute(1));
        assert_eq!(fire(&db).await, 1);
        freeze(&db, json!({"policy": "defer", "starts_at": minute(2), "ends_at": minute(2) + TimeDelta::seconds(30)}))
            .await;
        clock.set(minute(2));
        assert_eq!(fire(&db).await, 0);
        assert_eq!(slots(&db).await[1].outcome, SlotOutcome::Waiting, "it is judged when it would fire");
        end_all_jobs(&db).await;
        clock.advance(Duration::from_secs(5));
        assert_eq!(fire(&db).await, 0);
        assert_eq!(slots(&db).await[1].outcome, SlotOutcome::Deferred);
        clock.advance(Duration::from_secs(25));
        assert_eq!(fire(&db).await, 1);
    })
    .await;
}

#[tokio::test]
async fn windows_of_one_tenant_freeze_nothing_of_another() {
    on_both(async |fresh| {
        let (db, clock) = with_mails(&fresh, &json!({"tenant": "acme"})).await;
        let window = freeze(&db, json!({"policy": "skip", "starts_at": minute(0), "ends_at": minute(9)})).await;
        clock.set(minute(1));
        assert_eq!(fire(&db).await, 1);
        let acme = Actor::system(TenantId::new("acme").expect("a tenant"), "eve");
        let draft = window.draft.clone();
        let own = freezes::service::create(&db, &acme, draft.clone()).await.expect("names are of a tenant");
        for foreign in [
            freezes::service::get(&db, &acme.tenant, window.id).await.map(drop),
            freezes::service::rewrite(&db, &acme, window.id, 1, draft.clone()).await.map(drop),
            freezes::service::remove(&db, &acme, window.id).await,
        ] {
            assert_eq!(foreign.expect_err("is another tenant's").code(), "not_found");
        }
        assert_eq!(freezes::service::list(&db, &acme.tenant).await.expect("lists"), [own]);
        let twice = freezes::service::create(&db, &dana(), draft).await.expect_err("there is one");
        assert_eq!(twice.code(), "name_taken");
        let other =
            freeze(&db, json!({"name": "b", "policy": "skip", "starts_at": minute(0), "ends_at": minute(9)})).await;
        let renamed = Draft { name: "release".to_owned(), ..other.draft };
        let taken = freezes::service::rewrite(&db, &dana(), other.id, 1, renamed).await.expect_err("there is one");
        assert_eq!(taken.code(), "name_taken");
    })
    .await;
}
