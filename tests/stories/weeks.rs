//! Two schedulers through the weeks in which clocks change, with freeze windows: every slot has one end, every job runs once.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use deskhand::base::{Actor, Clock, PageRequest, TenantId};
use deskhand::db::Db;
use deskhand::dispatch::schedules::{Scheduler, Slot, SlotOutcome, service, sync_declared};
use deskhand::dispatch::{Relay, freezes};
use deskhand_jobs::JobId;
use deskhand_jobs::queue::Verdict;
use serde_json::json;

use crate::fixtures::jobs::registry;
use crate::fixtures::queues::work;
use crate::fixtures::schedules::declaration;
use crate::fixtures::{Pair, on_every_pair};

/// A week: its first day, and a schedule by the clocks of a zone with what they show when it fires.
struct Week {
    from: &'static str,
    zone: &'static str,
    line: &'static str,
    shown: [&'static str; 6],
}

/// The night from the 3rd to the 4th day is frozen, so there are six of seven.
const WEEKS: [Week; 4] = [
    Week {
        from: "2026-03-26T12:00:00Z",
        zone: "Europe/Berlin",
        line: "30 2 * * *",
        shown: [
            "27 02:30+01:00",
            "28 02:30+01:00",
            "30 02:30+02:00",
            "31 02:30+02:00",
            "01 02:30+02:00",
            "02 02:30+02:00",
        ],
    },
    Week {
        from: "2026-10-22T12:00:00Z",
        zone: "Europe/Berlin",
        line: "30 2 * * *",
        shown: [
            "23 02:30+02:00",
            "24 02:30+02:00",
            "26 02:30+01:00",
            "27 02:30+01:00",
            "28 02:30+01:00",
            "29 02:30+01:00",
        ],
    },
    Week {
        from: "2026-04-01T20:00:00Z",
        zone: "Australia/Lord_Howe",
        line: "45 1 * * *",
        shown: [
            "03 01:45+11:00",
            "04 01:45+11:00",
            "06 01:45+10:30",
            "07 01:45+10:30",
            "08 01:45+10:30",
            "09 01:45+10:30",
        ],
    },
    Week {
        from: "2026-09-29T20:00:00Z",
        zone: "Australia/Lord_Howe",
        line: "15 2 * * *",
        shown: [
            "01 02:15+10:30",
            "02 02:15+10:30",
            "04 02:45+11:00",
            "05 02:15+11:00",
            "06 02:15+11:00",
            "07 02:15+11:00",
        ],
    },
];

async fn slots(db: &Db, name: &str) -> Vec<Slot> {
    let page = PageRequest::new(None, Some(200)).expect("in range");
    let mut slots = service::slots(db, &TenantId::default(), name, page).await.expect("lists").items;
    slots.reverse();
    slots
}

fn fired(slots: &[Slot]) -> Vec<JobId> {
    slots
        .iter()
        .filter(|slot| slot.outcome == SlotOutcome::Fired)
        .filter_map(|slot| slot.job_id.map(|id| id.0))
        .collect()
}

async fn freeze(db: &Db, name: &str, policy: &str, (from, until): (DateTime<Utc>, DateTime<Utc>)) {
    let draft = json!({"name": policy, "reason": "release", "policy": policy, "starts_at": from, "ends_at": until, "schedules": [name]});
    let actor = Actor::system(TenantId::default(), "change manager");
    freezes::service::create(db, &actor, serde_json::from_value(draft).expect("a draft")).await.expect("is entered");
}

async fn live_through(week: &Week, pair: &Pair) {
    let start: DateTime<Utc> = week.from.parse().expect("an instant");
    let clock = Clock::manual(start);
    let open = async || Db::open(&pair.database_url).await.expect("opens").with_clock(clock.clone());
    let (db, one, two) = (open().await, open().await, open().await);
    let mail = |name: &str, cron: &str, zone: &str| {
        let jitter_ms = if name == "sixth" { 0 } else { 20_000 };
        declaration(json!({
            "name": name, "kind": "mail.send", "args": {"to": "x"}, "cron": cron, "zone": zone, "overlap": "allow",
            "jitter_ms": jitter_ms,
        }))
    };
    let names = [("nightly", week.line, week.zone), ("third", "0 */3 * * *", week.zone), ("sixth", "@every 6h", "UTC")];
    sync_declared(&db, &registry(), &names.map(|(name, cron, zone)| mail(name, cron, zone))).await.expect("syncs");
    let day = |days: i64| start + TimeDelta::days(days);
    freeze(&db, "nightly", "skip", (day(2), day(3))).await;
    freeze(&db, "sixth", "defer", (day(4), day(5) + TimeDelta::hours(1))).await;

    let (one, two) = (Scheduler::new(one, registry()), Scheduler::new(two, registry()));
    let mut enqueued = 0;
    loop {
        let schedules = service::list(&db, &TenantId::default()).await.expect("lists");
        let next = schedules.iter().filter_map(|schedule| schedule.next_at).min().expect("there is always a next one");
        if next > day(7) {
            break;
        }
        clock.set(next + TimeDelta::seconds(enqueued as i64 % 4));
        let (a, b) = tokio::join!(one.fire_due(), two.fire_due());
        enqueued += a.expect("fires") + b.expect("fires");
    }

    let nightly = slots(&db, "nightly").await;
    let zone: chrono_tz::Tz = week.zone.parse().expect("a zone");
    let frozen: Vec<&Slot> = nightly.iter().filter(|slot| slot.outcome == SlotOutcome::Skipped).collect();
    assert!(frozen.len() == 1 && frozen[0].freeze_window.as_deref() == Some("skip"), "{}: {nightly:?}", week.from);
    let shown = |slot: &&Slot| slot.outcome == SlotOutcome::Fired;
    let shown =
        nightly.iter().filter(shown).map(|slot| slot.slot_at.with_timezone(&zone).format("%d %H:%M%:z").to_string());
    assert_eq!(shown.collect::<Vec<_>>(), week.shown);
    let third = slots(&db, "third").await;
    let hours: BTreeSet<String> =
        third.iter().map(|slot| slot.slot_at.with_timezone(&zone).format("%d %H:%M").to_string()).collect();
    assert_eq!((third.len(), hours.len(), fired(&third).len()), (56, 56, 56), "eight a day, whatever the clocks do");
    let sixth = slots(&db, "sixth").await;
    let skipped = sixth.iter().filter(|slot| slot.outcome == SlotOutcome::Skipped).count();
    let deferred: Vec<&Slot> =
        sixth.iter().filter(|slot| slot.deferred_until.is_some() && slot.outcome == SlotOutcome::Fired).collect();
    let window = day(4)..day(5) + TimeDelta::hours(1);
    let inside = sixth.iter().filter(|slot| window.contains(&slot.slot_at)).count();
    assert!(sixth.len() == 28 && inside >= 4, "{inside} of {}", sixth.len());
    assert_eq!(
        (skipped, deferred.len()),
        (inside - 1, 1),
        "of those in the window, one fired at its end: {}",
        week.from
    );
    assert_eq!(deferred[0].deferred_until, Some(day(5) + TimeDelta::hours(1)));

    let mut jobs: Vec<JobId> = [nightly, third, sixth].iter().flat_map(|slots| fired(slots)).collect();
    assert_eq!(jobs.len(), enqueued);
    let relay = Relay::new(db, pair.queue.clone()).ahead(Duration::ZERO);
    while relay.push_due().await.expect("pushes") > 0 {}
    let mut ran = work(&*pair.queue, &Verdict::Succeeded).await;
    jobs.sort();
    ran.sort();
    assert_eq!(ran, jobs, "each ran once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn berlin_in_spring() {
    on_every_pair(async |pair| live_through(&WEEKS[0], &pair).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn berlin_in_autumn() {
    on_every_pair(async |pair| live_through(&WEEKS[1], &pair).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lord_howe_in_autumn() {
    on_every_pair(async |pair| live_through(&WEEKS[2], &pair).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lord_howe_in_spring() {
    on_every_pair(async |pair| live_through(&WEEKS[3], &pair).await).await;
}
