//! Stories of people at the door: guessing, coming in, staying too long. The clock is moved by hand.

use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use deskhand::access::sessions::{ACCOUNT, ADDRESS, Knock};
use deskhand::access::{Access, BuiltIn, Caller, Spans, tenants, users::Passwords};
use deskhand::audit;
use deskhand::base::{Clock, Error, Secret, TenantId};
use deskhand::db::Db;
use serde_json::Value;

use crate::fixtures::databases::on_both;
use crate::fixtures::people::{PASSWORD, access, admin_of, person, tenant};

fn from(address: &str) -> Knock {
    Knock { address: Some(address.parse().expect("an address")), user_agent: None, request_id: Some("r1".to_owned()) }
}

fn clock() -> Clock {
    Clock::manual(DateTime::UNIX_EPOCH + TimeDelta::days(20_000))
}

/// What comes of an attempt: in, wrong, or how many seconds to wait.
async fn attempt(access: &Access, name: &str, password: &str, address: &str) -> Result<bool, u64> {
    match access.login(name, &Secret::new(password), None, &from(address)).await {
        Ok(login) => Ok(login.is_some()),
        Err(Error::TooOften { wait, .. }) => Err(wait.as_secs()),
        Err(other) => panic!("{other}"),
    }
}

async fn noted(db: &Db, action: &str) -> Vec<(String, Value)> {
    let filter = audit::Filter { action: Some(action.to_owned()), ..audit::Filter::default() };
    let entries = audit::service::list(db, &TenantId::default(), &filter, None, 100).await.expect("lists");
    let read = |entry: &audit::Entry| {
        let after = entry.after.as_ref().map(|after| serde_json::from_str(after.get()).expect("JSON"));
        (entry.actor_name.clone(), after.unwrap_or_default())
    };
    entries.iter().map(read).collect()
}

#[tokio::test]
async fn who_guesses_a_password_waits_longer_each_time_and_the_owner_comes_in_after_that() {
    on_both(async |fresh| {
        let clock = clock();
        let db = &fresh.db.with_clock(clock.clone());
        let access = access(db);
        let admin = admin_of(db, "default").await;
        let dana = person(&access, db, &admin, "dana", &[]).await;
        for _ in 0..ACCOUNT.free {
            assert_eq!(attempt(&access, "Dana", "guess", "192.0.2.1").await, Ok(false));
        }
        assert_eq!(attempt(&access, "dana", PASSWORD, "192.0.2.2").await, Err(5), "even the right one waits");
        assert_eq!(attempt(&access, "eli", "guess", "192.0.2.1").await, Ok(false), "others do not");
        clock.advance(Duration::from_secs(5));
        assert_eq!(attempt(&access, "dana", "guess", "192.0.2.1").await, Ok(false));
        assert_eq!(attempt(&access, "dana", "guess", "192.0.2.1").await, Err(10));
        clock.advance(Duration::from_secs(10));
        assert_eq!(attempt(&access, "dana", PASSWORD, "192.0.2.2").await, Ok(true));
        assert_eq!(attempt(&access, "dana", "guess", "192.0.2.1").await, Ok(false), "all is forgotten");

        let refused = noted(db, "session.refuse").await;
        assert_eq!(refused.len(), 8, "each look at a password is noted, waiting is not");
        let (who, state) = &refused[1];
        assert_eq!((who.as_str(), &state["failures"], &state["wait_s"]), ("dana", &6.into(), &10.into()));
        assert!(refused.iter().any(|(who, _)| who == "nobody of this name"));

        for _ in 0..ACCOUNT.free {
            // The last attempt before the lock is let through, and counted like the others.
            let _ = attempt(&access, "dana", "guess", "192.0.2.1").await;
        }
        assert!(attempt(&access, "dana", PASSWORD, "192.0.2.2").await.is_err());
        access.unlock_user(&admin, dana.id).await.expect("unlocks");
        assert_eq!(attempt(&access, "dana", PASSWORD, "192.0.2.2").await, Ok(true));
        assert_eq!(noted(db, "user.unlock").await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn who_tries_many_names_from_one_address_waits_too() {
    on_both(async |fresh| {
        let clock = clock();
        let db = &fresh.db.with_clock(clock.clone());
        let access = access(db);
        let admin = admin_of(db, "default").await;
        person(&access, db, &admin, "dana", &[]).await;
        for n in 0..ADDRESS.free {
            assert_eq!(attempt(&access, &format!("n{n}"), "guess", "2001:db8::1").await, Ok(false));
        }
        assert_eq!(attempt(&access, "dana", PASSWORD, "2001:db8::2").await, Err(5), "the same network");
        assert_eq!(attempt(&access, "dana", PASSWORD, "2001:db8:0:1::1").await, Ok(true), "another one");
        clock.advance(Duration::from_hours(24));
        assert_eq!(attempt(&access, "dana", PASSWORD, "2001:db8::1").await, Ok(true));
        let mut tx = db.read().await.expect("begins");
        let left: i64 =
            deskhand::on!(tx, |c| sqlx::query_scalar("SELECT count(*) FROM login_failures").fetch_one(c).await)
                .expect("counts");
        assert_eq!(left, 1, "what is a day old is gone; the address has no failure left");
    })
    .await;
}

#[tokio::test]
async fn a_thousand_guesses_at_once_are_no_thousand_guesses() {
    on_both(async |fresh| {
        let db = &fresh.db.with_clock(clock());
        let access = access(db);
        let admin = admin_of(db, "default").await;
        person(&access, db, &admin, "dana", &[]).await;
        let all = (0..40).map(|n| {
            let access = access.clone();
            let address = format!("192.0.2.{n}");
            async move { attempt(&access, "dana", "guess", &address).await }
        });
        let judged = futures_util::future::join_all(all).await.into_iter().flatten().count();
        assert_eq!(judged, ACCOUNT.free as usize);
    })
    .await;
}

#[tokio::test]
async fn a_session_ends_idle_by_age_by_hand_and_with_its_person() {
    on_both(async |fresh| {
        let clock = clock();
        let db = &fresh.db.with_clock(clock.clone());
        let access = access(db);
        let admin = admin_of(db, "default").await;
        let dana = person(&access, db, &admin, "dana", &[BuiltIn::Viewer]).await;
        let come = async || {
            let login = access.login("dana", &Secret::new(PASSWORD), None, &from("192.0.2.1")).await;
            login.expect("answers").expect("comes in")
        };
        let is_in = async |secret: &Secret| access.visitor(secret.expose(), None).await.expect("answers").is_some();

        let first = come().await;
        let visitor = access.visitor(first.secret.expose(), None).await.expect("answers").expect("known");
        assert_eq!((visitor.user.id, visitor.session), (dana.id, first.session.id));
        assert_eq!(visitor.effective.scopes, BuiltIn::Viewer.scopes());
        assert!(access.visitor("nobody", None).await.expect("answers").is_none());
        clock.advance(Duration::from_hours(7));
        assert!(is_in(&first.secret).await, "used before it lay idle for 8 h");
        clock.advance(Duration::from_hours(7));
        assert!(is_in(&first.secret).await);
        clock.advance(Duration::from_hours(8));
        assert!(!is_in(&first.secret).await, "idle");
        assert!(access.sessions(dana.id).await.expect("lists").is_empty());

        let second = come().await;
        for _ in 0..24 {
            clock.advance(Duration::from_hours(7));
            is_in(&second.secret).await;
        }
        assert!(!is_in(&second.secret).await, "7 days old");

        let (third, fourth) = (come().await, come().await);
        assert_eq!(access.sessions(dana.id).await.expect("lists").len(), 2, "the one that was too old is gone");
        let caller = Caller::visitor(access.visitor(third.secret.expose(), None).await.expect("answers").expect("in"));
        let new = Secret::new("another password");
        let me = (dana.id, third.session.id);
        let wrong = access.change_my_password(&caller, me, &new, &new).await.expect_err("not the present one");
        assert_eq!(wrong.code(), "invalid");
        access.change_my_password(&caller, me, &Secret::new(PASSWORD), &new).await.expect("changed");
        assert!(is_in(&third.secret).await && !is_in(&fourth.secret).await, "the others end");

        let fifth = access.login("dana", &new, None, &from("192.0.2.1")).await.expect("answers").expect("in");
        access.end_session(&caller, dana.id, fifth.session.id).await.expect("ends");
        assert!(!is_in(&fifth.secret).await);
        let gone = access.end_session(&caller, dana.id, fifth.session.id).await.expect_err("gone");
        assert_eq!(gone.code(), "not_found");
        access.disable_user(&admin, dana.id).await.expect("disabled");
        assert!(!is_in(&third.secret).await);
        assert_eq!(attempt(&access, "dana", "another password", "192.0.2.1").await, Ok(false));
    })
    .await;
}

#[tokio::test]
async fn a_person_acts_in_its_tenants_only() {
    on_both(async |fresh| {
        let (db, access) = (&fresh.db, access(&fresh.db));
        let (acme, zen) = (admin_of(db, "acme").await, admin_of(db, "zen").await);
        let dana = person(&access, db, &acme, "dana", &[BuiltIn::Operator]).await;
        access.add_member(&zen, "dana").await.expect("joins");
        let login = async |to: Option<&str>| {
            let to = to.map(tenant);
            access.login("dana", &Secret::new(PASSWORD), to.as_ref(), &from("192.0.2.1")).await
        };
        let session = login(None).await.expect("answers").expect("in");
        assert_eq!(session.session.tenant_id, tenant("acme"));
        assert_eq!(login(Some("zen")).await.expect("answers").expect("in").session.tenant_id, tenant("zen"));
        assert_eq!(login(Some("other")).await.expect_err("no member").code(), "forbidden");

        let visit = async |to: &str| access.visitor(session.secret.expose(), Some(&tenant(to))).await;
        let in_zen = visit("zen").await.expect("answers").expect("in");
        assert!(in_zen.effective.roles.is_empty(), "its roles in acme are nothing in zen");
        assert_eq!(in_zen.tenant, tenant("zen"));
        assert_eq!(visit("other").await.expect_err("no member").code(), "forbidden");

        let first = Caller::terminal(TenantId::default());
        tenants::service::disable(db, &first.actor, &tenant("acme")).await.expect("disabled");
        let stays = access.visitor(session.secret.expose(), None).await.expect("answers");
        assert!(stays.is_none(), "a session does not move to another tenant by itself");
        assert_eq!(login(None).await.expect("answers").expect("in").session.tenant_id, tenant("zen"));
        access.remove_user(&zen, dana.id).await.expect("leaves");
        assert_eq!(login(None).await.expect_err("nowhere").code(), "forbidden");
    })
    .await;
}

#[tokio::test]
async fn a_password_is_kept_anew_when_more_effort_is_asked_for() {
    on_both(async |fresh| {
        let (db, access) = (&fresh.db, access(&fresh.db));
        let admin = admin_of(db, "default").await;
        person(&access, db, &admin, "dana", &[]).await;
        let kept = async || -> String {
            let mut tx = db.read().await.expect("begins");
            let sql = "SELECT password_hash FROM users";
            deskhand::on!(tx, |c| sqlx::query_scalar(sql).fetch_one(c).await).expect("reads")
        };
        assert!(kept().await.contains("m=8,"));
        let hour = Duration::from_hours(1);
        let stronger =
            Access::new(db.clone(), Passwords::new(16, 1).expect("fits"), Spans { idle: hour, longest: hour });
        assert_eq!(attempt(&stronger, "dana", "guess", "192.0.2.1").await, Ok(false));
        assert!(kept().await.contains("m=8,"));
        assert_eq!(attempt(&stronger, "dana", PASSWORD, "192.0.2.1").await, Ok(true));
        assert!(kept().await.contains("m=16,"));
        assert_eq!(attempt(&stronger, "dana", PASSWORD, "192.0.2.1").await, Ok(true));
    })
    .await;
}
