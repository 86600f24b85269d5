//! The audit record, on both databases.

use deskhand::audit::{Broken, Event, Filter, Record, service};
use deskhand::base::{Actor, ActorKind, ClaimId, Error, TenantId};
use deskhand::db::{Backend, Db};
use deskhand::on;
use serde_json::json;

use crate::fixtures::databases::on_both;

fn dana() -> Actor {
    Actor { reason: Some("ticket 7".to_owned()), ..Actor::new(TenantId::default(), ActorKind::User, "dana") }
}

fn pause(queue: &str) -> Event {
    Event::new("queue.pause", "queue", queue).before(&json!({"paused": false})).after(&json!({"paused": true}))
}

async fn change(db: &Db, sql: &'static str) -> Result<(), sqlx::Error> {
    let mut tx = db.begin().await.expect("begins");
    on!(tx, |c| sqlx::query(sql).execute(c).await.map(|_| ()))?;
    tx.commit().await.expect("commits");
    Ok(())
}

#[tokio::test]
async fn what_is_noted_is_read_again_and_the_chain_is_whole() {
    on_both(async |fresh| {
        let db = &fresh.db;
        for queue in ["mail", "sync", "mail"] {
            service::note(db, &dana(), pause(queue)).await.expect("notes");
        }
        let tenant = TenantId::default();
        let all = service::list(db, &tenant, &Filter::default(), None, 10).await.expect("lists");
        assert_eq!(all.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [3, 2, 1]);
        let entry = &all[0];
        assert_eq!((entry.actor_kind, entry.actor_name.as_str()), (ActorKind::User, "dana"));
        assert_eq!((entry.action.as_str(), entry.object_id.as_str()), ("queue.pause", "mail"));
        assert_eq!(entry.after.as_ref().expect("noted").get(), r#"{"paused":true}"#);
        assert_eq!(entry.reason.as_deref(), Some("ticket 7"));
        let mail = Filter { object_id: Some("mail".to_owned()), ..Filter::default() };
        assert_eq!(service::list(db, &tenant, &mail, Some(3), 10).await.expect("lists").len(), 1);
        let verdict = service::verify(db, &tenant).await.expect("walks");
        assert_eq!((verdict.entries, verdict.broken, &verdict.head), (3, None, &entry.hash));
        let other = TenantId::new("other").expect("a tenant");
        assert!(service::list(db, &other, &Filter::default(), None, 10).await.expect("lists").is_empty());
        assert_eq!(service::verify(db, &other).await.expect("walks").entries, 0);
    })
    .await;
}

#[tokio::test]
async fn an_entry_without_its_transaction_does_not_exist() {
    on_both(async |fresh| {
        let mut tx = fresh.db.begin().await.expect("begins");
        tx.record(&dana(), pause("mail")).await.expect("notes");
        tx.rollback().await.expect("rolls back");
        assert_eq!(service::verify(&fresh.db, &TenantId::default()).await.expect("walks").entries, 0);
    })
    .await;
}

#[tokio::test]
async fn many_at_once_make_one_chain() {
    on_both(async |fresh| {
        let notes = (0..20).map(|n| {
            let db = fresh.db.clone();
            tokio::spawn(async move { service::note(&db, &dana(), pause(&format!("q{n}"))).await })
        });
        for note in notes.collect::<Vec<_>>() {
            note.await.expect("ends").expect("notes");
        }
        let verdict = service::verify(&fresh.db, &TenantId::default()).await.expect("walks");
        assert_eq!((verdict.entries, verdict.broken), (20, None));
    })
    .await;
}

#[tokio::test]
async fn the_record_is_append_only_and_a_change_behind_its_back_shows() {
    on_both(async |fresh| {
        let (db, tenant) = (&fresh.db, TenantId::default());
        for queue in ["one", "two", "three"] {
            service::note(db, &dana(), pause(queue)).await.expect("notes");
        }
        let refused = change(db, "UPDATE audit_log SET actor_name = 'eve' WHERE seq = 2").await.expect_err("refused");
        assert!(refused.to_string().contains("append-only"), "{refused}");
        let refused = change(db, "DELETE FROM audit_log WHERE seq = 2").await.expect_err("refused");
        assert!(refused.to_string().contains("append-only"), "{refused}");

        let drops: &[&str] = match db.backend() {
            Backend::Sqlite => &["DROP TRIGGER audit_log_unchanged", "DROP TRIGGER audit_log_not_emptied"],
            Backend::Postgres => &["DROP TRIGGER audit_log_append_only ON audit_log"],
        };
        for sql in drops {
            change(db, sql).await.expect("an owner of the database may");
        }
        let broken = async || service::verify(db, &tenant).await.expect("walks").broken;
        change(db, "UPDATE audit_log SET actor_name = 'eve' WHERE seq = 2").await.expect("changed");
        assert_eq!(broken().await, Some(Broken { seq: 2, what: "the entry was changed" }));
        change(db, "DELETE FROM audit_log WHERE seq = 2").await.expect("removed");
        assert_eq!(broken().await, Some(Broken { seq: 2, what: "the entry is missing" }));
        change(db, "UPDATE audit_log SET seq = 2 WHERE seq = 3").await.expect("moved up");
        assert_eq!(broken().await, Some(Broken { seq: 2, what: "the entry does not continue the one before it" }));
        change(db, "DELETE FROM audit_log WHERE seq = 2").await.expect("removed");
        assert_eq!(broken().await, Some(Broken { seq: 2, what: "the entry is missing" }));
    })
    .await;
}

#[tokio::test]
async fn a_change_outside_the_database_is_noted_before_and_its_failure_after() {
    on_both(async |fresh| {
        let (db, tenant) = (&fresh.db, TenantId::default());
        let look = async { Ok::<_, Error>(service::verify(db, &tenant).await?.entries) };
        let seen = service::around(db, &dana(), pause("mail"), look).await.expect("changes");
        assert_eq!(seen, 1, "the intent is there before the change");
        let down = async { Err::<(), _>(Error::unavailable("the queue", "no route")) };
        service::around(db, &dana(), pause("mail"), down).await.expect_err("fails");
        let all = service::list(db, &tenant, &Filter::default(), None, 10).await.expect("lists");
        assert_eq!(all.len(), 3);
        assert_eq!(all[0].after.as_ref().expect("noted").get(), r#"{"failed":"the queue does not answer: no route"}"#);
    })
    .await;
}

#[tokio::test]
async fn what_a_claim_did_is_found_again() {
    on_both(async |fresh| {
        let (db, tenant, claim) = (&fresh.db, TenantId::default(), ClaimId::new());
        service::note(db, &Actor { claim: Some(claim), ..dana() }, pause("mail")).await.expect("notes");
        let mut tx = db.read().await.expect("begins");
        let found = service::of_claim(&mut tx, &tenant, claim).await.expect("reads").expect("there");
        assert_eq!((found.seq, found.claim_id), (1, Some(claim)));
        assert!(service::of_claim(&mut tx, &tenant, ClaimId::new()).await.expect("reads").is_none());
    })
    .await;
}
