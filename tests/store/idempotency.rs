//! Requests that bear a key, on both databases.

use std::time::Duration;

use chrono::DateTime;
use deskhand::audit::{self, Event};
use deskhand::base::{Actor, Clock, TenantId, Vault};
use deskhand::db::Db;
use deskhand::idempotency::{Answer, Held, Key, service};
use deskhand::on;

use crate::fixtures::by;
use crate::fixtures::databases::on_both;

fn vault() -> Vault {
    Vault::from_key(&[7; 32])
}

fn answer() -> Answer {
    Answer { status: 201, media_type: "application/json".to_owned(), body: r#"{"secret":"dkh_once"}"#.to_owned() }
}

fn key() -> Key {
    Key::new("k-1").expect("a key")
}

async fn hold(db: &Db, actor: &Actor, hash: &str) -> Held {
    service::hold(db, &vault(), actor, &key(), hash).await.expect("answers")
}

#[tokio::test]
async fn the_second_request_gets_the_answer_of_the_first() {
    on_both(async |fresh| {
        let clock = Clock::manual(DateTime::UNIX_EPOCH);
        let (db, actor) = (&fresh.db.with_clock(clock.clone()), by(&TenantId::default()));
        let Held::Mine(claim) = hold(db, &actor, "h").await else { panic!("it is the first") };
        assert!(matches!(hold(db, &actor, "h").await, Held::Busy(wait) if wait == Duration::from_mins(1)));
        service::keep(db, &vault(), &actor.tenant, claim, &answer()).await.expect("keeps");
        assert!(matches!(hold(db, &actor, "h").await, Held::Answered(again) if again == answer()));
        assert!(matches!(hold(db, &actor, "other").await, Held::Reused));
        let other = by(&TenantId::new("other").expect("a tenant"));
        assert!(matches!(hold(db, &other, "h").await, Held::Mine(_)), "keys of tenants are their own");

        let mut tx = db.read().await.expect("begins");
        let sql = "SELECT sealed_answer FROM idempotency_keys WHERE sealed_answer IS NOT NULL";
        let kept: String = on!(tx, |c| sqlx::query_scalar(sql).fetch_one(c).await).expect("reads");
        assert!(!kept.contains("dkh_once"), "an answer may hold what is shown only once");
        drop(tx);
        clock.advance(Duration::from_hours(24));
        assert!(matches!(hold(db, &actor, "other").await, Held::Mine(_)), "after a day the key is free");
    })
    .await;
}

#[tokio::test]
async fn a_refused_request_gives_its_key_back() {
    on_both(async |fresh| {
        let (db, actor) = (&fresh.db, by(&TenantId::default()));
        let Held::Mine(claim) = hold(db, &actor, "wrong").await else { panic!("it is the first") };
        service::release(db, &actor.tenant, claim).await.expect("gives back");
        assert!(matches!(hold(db, &actor, "mended").await, Held::Mine(_)));
    })
    .await;
}

#[tokio::test]
async fn what_a_dead_process_did_is_never_done_again() {
    on_both(async |fresh| {
        let clock = Clock::manual(DateTime::UNIX_EPOCH);
        let (db, actor) = (&fresh.db.with_clock(clock.clone()), by(&TenantId::default()));
        // One that died before it did anything.
        let Held::Mine(first) = hold(db, &actor, "h").await else { panic!("it is the first") };
        clock.advance(Duration::from_secs(61));
        let Held::Mine(second) = hold(db, &actor, "h").await else { panic!("nothing was done") };
        assert_eq!(first, second);
        // One that died between its commit and its answer.
        let claimed = Actor { claim: Some(second), ..actor.clone() };
        audit::service::note(db, &claimed, Event::new("job.enqueue", "job", "7")).await.expect("notes");
        assert!(matches!(hold(db, &actor, "h").await, Held::Busy(_)));
        clock.advance(Duration::from_secs(61));
        let Held::Lost(entry) = hold(db, &actor, "h").await else { panic!("it was done") };
        assert_eq!((entry.action.as_str(), entry.object_id.as_str()), ("job.enqueue", "7"));
        service::release(db, &actor.tenant, second).await.expect("answers");
        assert!(matches!(hold(db, &actor, "h").await, Held::Lost(_)), "what was done keeps its key");
    })
    .await;
}

#[tokio::test]
async fn of_many_at_once_one_is_carried_out() {
    on_both(async |fresh| {
        let holds = (0..10).map(|_| {
            let db = fresh.db.clone();
            tokio::spawn(async move { hold(&db, &by(&TenantId::default()), "h").await })
        });
        let mut mine = 0;
        for held in holds.collect::<Vec<_>>() {
            mine += usize::from(matches!(held.await.expect("ends"), Held::Mine(_)));
        }
        assert_eq!(mine, 1);
    })
    .await;
}
