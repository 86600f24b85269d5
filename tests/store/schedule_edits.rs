//! People make, edit, reset and remove schedules, and each change is in the audit record.

use chrono::{DateTime, Utc};
use deskhand::audit;
use deskhand::base::{Actor, Clock, TenantId};
use deskhand::db::Db;
use deskhand::dispatch::schedules::{
    Definition, Edit, Night, Overlap, Scheduler, check_declared, service, sync_declared,
};
use serde_json::{Value, json};

use crate::fixtures::databases::on_both;
use crate::fixtures::jobs::registry;
use crate::fixtures::schedules::declaration;

fn start() -> DateTime<Utc> {
    "2026-03-01T12:00:30Z".parse().expect("an instant")
}

fn dana() -> Actor {
    Actor::system(TenantId::default(), "dana")
}

fn mails(extra: &Value) -> deskhand::dispatch::schedules::Declared {
    let mut text = json!({"name": "mails", "kind": "mail.send", "args": {"to": "x"}, "cron": "* * * * *"});
    for (key, value) in extra.as_object().expect("an object") {
        text[key] = value.clone();
    }
    declaration(text)
}

async fn actions(db: &Db) -> Vec<String> {
    let all = audit::service::list(db, &TenantId::default(), &audit::Filter::default(), None, 100).await;
    let mut actions: Vec<String> = all.expect("lists").into_iter().map(|entry| entry.action).collect();
    actions.reverse();
    actions
}

#[tokio::test]
async fn an_edited_schedule_stays_edited_until_it_is_reset() {
    on_both(async |fresh| {
        let clock = Clock::manual(start());
        let db = fresh.db.with_clock(clock);
        let (registry, tenant) = (registry(), TenantId::default());
        sync_declared(&db, &registry, &[mails(&json!({}))]).await.expect("syncs");
        let hourly = Edit { cron: Some("0 * * * *".to_owned()), overlap: Some(Overlap::Queue), ..Edit::default() };
        let edited = service::edit(&db, &registry, &dana(), "mails", 1, hourly.clone()).await.expect("edits");
        assert_eq!((edited.cron.as_str(), edited.overlap, edited.edited), ("0 * * * *", Overlap::Queue, true));
        assert_eq!(edited.next_at, Some("2026-03-01T13:00:00Z".parse().expect("an instant")));
        assert_eq!(service::get(&db, &tenant, "mails").await.expect("reads"), edited);
        let moved = service::edit(&db, &registry, &dana(), "mails", 1, hourly).await.expect_err("another was first");
        assert_eq!(moved.code(), "version_moved");

        sync_declared(&db, &registry, &[mails(&json!({"cron": "*/2 * * * *"}))]).await.expect("syncs");
        assert_eq!(service::get(&db, &tenant, "mails").await.expect("reads").cron, "0 * * * *");
        let reset = service::reset(&db, &registry, &dana(), "mails").await.expect("resets");
        assert_eq!((reset.cron.as_str(), reset.overlap, reset.edited), ("*/2 * * * *", Overlap::Skip, false));
        sync_declared(&db, &registry, &[mails(&json!({"cron": "*/3 * * * *"}))]).await.expect("syncs");
        assert_eq!(service::get(&db, &tenant, "mails").await.expect("reads").cron, "*/3 * * * *");
        let refused = service::remove(&db, &dana(), "mails").await.expect_err("it would come back");
        assert_eq!(refused.code(), "declared");

        sync_declared(&db, &registry, &[]).await.expect("syncs");
        assert_eq!(service::reset(&db, &registry, &dana(), "mails").await.expect_err("no more").code(), "not_declared");
        service::remove(&db, &dana(), "mails").await.expect("goes");
        assert_eq!(service::list(&db, &tenant).await.expect("lists"), []);
        assert_eq!(actions(&db).await, ["schedule.edit", "schedule.reset", "schedule.remove"]);
    })
    .await;
}

#[tokio::test]
async fn a_schedule_that_a_person_made_is_theirs() {
    on_both(async |fresh| {
        let clock = Clock::manual(start());
        let db = fresh.db.with_clock(clock.clone());
        let (registry, tenant) = (registry(), TenantId::default());
        let mut definition = Definition::new("mail.send", "0 * * * *");
        definition.args.insert("to".to_owned(), json!("x"));
        let made = service::create(&db, &registry, &dana(), "own", &definition).await.expect("makes");
        assert!(!made.declared && made.next_at.is_some());
        let twice = service::create(&db, &registry, &dana(), "own", &definition).await.expect_err("there is one");
        assert_eq!(twice.code(), "name_taken");
        for name in ["", "a b", "a/b", &"x".repeat(101)] {
            let error = service::create(&db, &registry, &dana(), name, &definition).await.expect_err("no name");
            assert!(error.to_string().contains("/name"), "{error}");
        }
        // A declaration that comes later under its name takes nothing away.
        sync_declared(&db, &registry, &[mails(&json!({"name": "own"}))]).await.expect("syncs");
        let kept = service::get(&db, &tenant, "own").await.expect("reads");
        assert_eq!((kept.cron.as_str(), kept.declared), ("0 * * * *", true));
        sync_declared(&db, &registry, &[]).await.expect("syncs");
        assert!(service::get(&db, &tenant, "own").await.expect("reads").enabled, "nor does its going");

        clock.set("2026-03-01T13:00:00Z".parse().expect("an instant"));
        assert_eq!(Scheduler::new(db.clone(), registry.clone()).fire_due().await.expect("fires"), 1);
        service::run_now(&db, &registry, &dana(), "own").await.expect("runs");
        service::pause(&db, &dana(), "own", "tired", None).await.expect("pauses");
        service::resume(&db, &dana(), "own").await.expect("resumes");
        service::remove(&db, &dana(), "own").await.expect("goes, and its slots with it");
        let expected = ["schedule.create", "schedule.run", "schedule.pause", "schedule.resume", "schedule.remove"];
        assert_eq!(actions(&db).await, expected);
        let eve = Actor::system(TenantId::new("acme").expect("a tenant"), "eve");
        assert_eq!(service::remove(&db, &eve, "own").await.expect_err("another tenant's").code(), "not_found");
    })
    .await;
}

#[tokio::test]
async fn edits_are_checked_as_declarations_are() {
    on_both(async |fresh| {
        let (db, registry) = (fresh.db, registry());
        sync_declared(&db, &registry, &[mails(&json!({}))]).await.expect("syncs");
        let edit = |text: Value| Edit {
            args: text["args"].as_object().cloned(),
            cron: text["cron"].as_str().map(str::to_owned),
            zone: text["zone"].as_str().map(str::to_owned),
            catch_up: serde_json::from_value(text["catch_up"].clone()).ok(),
            ..Edit::default()
        };
        for (change, place) in [
            (json!({"cron": "61 * * * *"}), "/cron"),
            (json!({"zone": "Mars"}), "/zone"),
            (json!({"args": {"to": 1}}), "/args"),
            (json!({"catch_up": "all"}), "/overlap"),
        ] {
            let declared = check_declared(&registry, &[mails(&change)]).expect_err("wrong").to_string();
            assert!(declared.contains(&format!("/schedules/0{place}")), "{declared}");
            let edited = service::edit(&db, &registry, &dana(), "mails", 1, edit(change)).await.expect_err("wrong");
            assert!(edited.to_string().contains(place), "{edited}");
        }
        assert_eq!(actions(&db).await, Vec::<String>::new(), "what was refused is no change");
    })
    .await;
}

#[tokio::test]
async fn a_schedule_of_an_unknown_kind_may_be_declared_switched_off() {
    on_both(async |fresh| {
        let (db, registry) = (fresh.db, registry());
        let later = |enabled: bool| mails(&json!({"name": "later", "kind": "mail.of_tomorrow", "enabled": enabled}));
        let refused = sync_declared(&db, &registry, &[later(true)]).await.expect_err("nobody knows it").to_string();
        assert!(
            refused.contains("/schedules/0/kind") && refused.contains("leave the schedule switched off"),
            "{refused}"
        );
        let nonsense = mails(&json!({"kind": "No Kind", "enabled": false}));
        check_declared(&registry, &[nonsense]).expect_err("no program will ever know it");
        sync_declared(&db, &registry, &[later(false)]).await.expect("syncs");
        let on = Edit { enabled: Some(true), ..Edit::default() };
        let refused = service::edit(&db, &registry, &dana(), "later", 1, on).await.expect_err("nobody knows it");
        assert_eq!(refused.code(), "unknown_kind");
        assert!(refused.to_string().contains("not known to this program: leave it"), "{refused}");
        service::run_now(&db, &registry, &dana(), "later").await.expect_err("nor can it run");
    })
    .await;
}

#[tokio::test]
async fn the_preview_marks_nights_and_windows() {
    on_both(async |fresh| {
        let clock = Clock::manual("2026-03-27T12:00:00Z".parse().expect("an instant"));
        let db = fresh.db.with_clock(clock.clone());
        let nightly = mails(&json!({"cron": "30 2 * * *", "zone": "Europe/Berlin", "jitter_ms": 60_000}));
        sync_declared(&db, &registry(), &[nightly]).await.expect("syncs");
        for (name, policy, from, until) in [
            ("skips", "skip", "2026-03-30T00:00:00Z", "2026-03-30T12:00:00Z"),
            ("defers", "defer", "2026-03-31T00:00:00Z", "2026-03-31T12:00:00Z"),
        ] {
            let draft = json!({"name": name, "reason": "r", "policy": policy, "starts_at": from, "ends_at": until});
            let draft = serde_json::from_value(draft).expect("a draft");
            deskhand::dispatch::freezes::service::create(&db, &dana(), draft).await.expect("is entered");
        }
        let tenant = TenantId::default();
        let fires = service::next_fires(&db, &tenant, "mails", 20).await.expect("tells");
        assert_eq!(fires.len(), 20);
        let shown: Vec<_> = fires[..5]
            .iter()
            .map(|fire| {
                let freeze = fire.freeze.as_ref().map(|freeze| freeze.window.as_str());
                (fire.local.as_str(), fire.night, freeze)
            })
            .collect();
        assert_eq!(
            shown,
            [
                ("2026-03-28T02:30:00+01:00", None, None),
                ("2026-03-29T03:30:00+02:00", Some(Night::Gap), None),
                ("2026-03-30T02:30:00+02:00", None, Some("skips")),
                ("2026-03-31T02:30:00+02:00", None, Some("defers")),
                ("2026-04-01T02:30:00+02:00", None, None),
            ]
        );
        assert!(fires.iter().all(|fire| fire.slot_at <= fire.fire_at));
        clock.set("2026-10-24T12:00:00Z".parse().expect("an instant"));
        let autumn = service::next_fires(&db, &tenant, "mails", 1).await.expect("tells");
        assert_eq!((autumn[0].local.as_str(), autumn[0].night), ("2026-10-25T02:30:00+02:00", Some(Night::Fold)));
    })
    .await;
}
