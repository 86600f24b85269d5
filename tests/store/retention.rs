//! What ended long ago goes; what is dead or young stays.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use deskhand::base::{Clock, PageRequest, TenantId};
use deskhand::dispatch::retention::{Keep, Removed, clean};
use deskhand::dispatch::schedules::{Scheduler, service, sync_declared};
use deskhand::on;
use deskhand_jobs::Envelope;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::relay::{enqueue, entry};
use crate::fixtures::TestApp;
use crate::fixtures::databases::on_both;
use crate::fixtures::jobs::{mail, registry};
use crate::fixtures::schedules::declaration;

#[tokio::test]
async fn what_ended_long_ago_goes_in_bites_and_the_dead_stay() {
    on_both(async |fresh| {
        let clock = Clock::manual(Utc::now());
        let db = fresh.db.with_clock(clock.clone());
        let jobs: Vec<Envelope> = (0..2_100).map(|n| mail(&n.to_string())).collect();
        let (dead, young) = (mail("dead"), mail("young"));
        enqueue(&db, &jobs).await;
        enqueue(&db, &[dead.clone(), young.clone()]).await;
        let end = async |sql: &'static str, at: DateTime<Utc>, id: String| {
            let mut tx = db.begin().await.expect("begins");
            on!(tx, |c| sqlx::query(sql).bind(at).bind(id).execute(c).await.map(|_| ())).expect("updates");
            tx.commit().await.expect("commits");
        };
        let (old, recent) = (clock.now() - TimeDelta::days(8), clock.now() - TimeDelta::days(6));
        end("UPDATE jobs SET state = 'succeeded', ended_at = $1 WHERE id <> $2", old, String::new()).await;
        end("UPDATE jobs SET state = 'dead', ended_at = $1 WHERE id = $2", old, dead.id.to_string()).await;
        end("UPDATE jobs SET state = 'cancelled', ended_at = $1 WHERE id = $2", recent, young.id.to_string()).await;

        let told_to_stop = CancellationToken::new();
        told_to_stop.cancel();
        assert_eq!(clean(&db, Keep::default(), &told_to_stop).await.expect("answers"), Removed::default());
        let removed = clean(&db, Keep::default(), &CancellationToken::new()).await.expect("cleans");
        assert_eq!(removed, Removed { jobs: 2_100, slots: 0 });
        for id in [dead.id, young.id] {
            entry(&db, id).await;
        }
    })
    .await;
}

#[tokio::test]
async fn old_slots_go_and_their_schedule_stays() {
    on_both(async |fresh| {
        let clock = Clock::manual("2026-03-01T12:00:30Z".parse().expect("an instant"));
        let db = fresh.db.with_clock(clock.clone());
        let declared = declaration(
            json!({"name": "mails", "kind": "mail.send", "args": {"to": "x"}, "cron": "0 * * * *", "overlap": "allow"}),
        );
        sync_declared(&db, &registry(), &[declared]).await.expect("syncs");
        let scheduler = Scheduler::new(db.clone(), registry());
        for _ in 0..2 {
            clock.advance(Duration::from_hours(1));
            assert_eq!(scheduler.fire_due().await.expect("fires"), 1);
            clock.advance(Duration::from_hours(31 * 24));
            scheduler.fire_due().await.expect("fires");
        }
        let slots = async || {
            let tenant = TenantId::default();
            service::slots(&db, &tenant, "mails", PageRequest::default()).await.expect("lists").total
        };
        let before = slots().await;
        let removed = clean(&db, Keep::default(), &CancellationToken::new()).await.expect("cleans");
        assert!(removed.slots > 0 && slots().await == before - removed.slots, "{removed:?} of {before}");
        assert_eq!(scheduler.fire_due().await.expect("fires"), 0, "no slot fires again");
    })
    .await;
}

#[tokio::test]
async fn cleaning_is_scheduled_by_default() {
    let test = TestApp::new().await;
    test.app.declare_schedules().await.expect("the defaults are right");
    for name in ["ledger.clean", "work_orders.clean_sync_logs"] {
        let schedule = service::get(&test.app.db, &TenantId::default(), name).await.expect("is declared");
        assert!(schedule.enabled && schedule.next_at.is_some(), "{name}");
        test.app
            .registry
            .envelope(&schedule.kind, serde_json::value::RawValue::from_string("{}".into()).expect("JSON"))
            .expect("every setting has a default");
    }
}
