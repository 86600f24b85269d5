//! Tokens, on both databases.

use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use deskhand::access::{BuiltIn, Caller, NewToken, Scopes, service};
use deskhand::base::{Clock, Secret, TenantId};

use crate::fixtures::databases::on_both;
use crate::fixtures::people::admin_of;

#[tokio::test]
async fn the_first_token_is_shown_once() {
    on_both(async |fresh| {
        let db = &fresh.db;
        let secret = service::bootstrap(db, None).await.expect("answers").expect("the first start makes one");
        assert!(service::bootstrap(db, None).await.expect("answers").is_none(), "the second start makes none");
        let caller = service::authenticate(db, secret.expose()).await.expect("answers").expect("known");
        assert_eq!((caller.actor.tenant, caller.actor.name.as_str()), (TenantId::default(), "bootstrap"));
        assert!(service::authenticate(db, "dkh_nobody").await.expect("answers").is_none());
    })
    .await;
}

#[tokio::test]
async fn a_given_first_token_replaces_the_one_before() {
    on_both(async |fresh| {
        let db = &fresh.db;
        let (old, new) = (Secret::new("an-old-token-of-ops"), Secret::new("a-new-token-of-ops"));
        for token in [&old, &old, &new] {
            assert!(
                service::bootstrap(db, Some(token)).await.expect("answers").is_none(),
                "what is given is not shown"
            );
        }
        assert!(service::authenticate(db, old.expose()).await.expect("answers").is_none());
        assert!(service::authenticate(db, new.expose()).await.expect("answers").is_some());
        let error = service::bootstrap(db, Some(&Secret::new("short"))).await.expect_err("too short");
        assert!(error.to_string().contains("choose a longer one"), "{error}");
    })
    .await;
}

#[tokio::test]
async fn a_token_ends_by_time_or_by_hand() {
    on_both(async |fresh| {
        let clock = Clock::manual(DateTime::UNIX_EPOCH);
        let db = &fresh.db.with_clock(clock.clone());
        let admin = admin_of(db, "acme").await;
        let end = clock.now() + TimeDelta::hours(1);
        let wanted = NewToken { name: " ci ".to_owned(), scopes: BuiltIn::Operator.scopes(), expires_at: Some(end) };
        let (info, secret) = service::create(db, &admin, &wanted).await.expect("made");
        let caller = service::authenticate(db, secret.expose()).await.expect("answers").expect("known");
        assert_eq!((caller.actor.id.clone(), caller.tenant()), (Some(info.id.to_string()), admin.tenant()));
        assert_eq!(caller.scopes, BuiltIn::Operator.scopes());
        let listed = service::list(db, admin.tenant()).await.expect("lists").remove(0);
        assert_eq!((listed.name.as_str(), listed.last_used_at), ("ci", Some(clock.now())));
        assert_eq!(listed.created_by, Some(admin.actor.to_string()));
        let taken = service::create(db, &admin, &wanted).await.expect_err("the name is taken");
        assert_eq!(taken.code(), "token_name_taken");
        clock.advance(Duration::from_hours(1));
        assert!(service::authenticate(db, secret.expose()).await.expect("answers").is_none());
        let past = service::create(db, &admin, &NewToken { name: "x".to_owned(), ..wanted }).await.expect_err("past");
        assert_eq!(past.code(), "invalid");
        let first = Caller::terminal(TenantId::default());
        assert_eq!(service::revoke(db, &first, info.id).await.expect_err("not theirs").code(), "not_found");
        service::revoke(db, &admin, info.id).await.expect("revoked");
        assert_eq!(service::revoke_named(db, &admin, "ci").await.expect_err("gone").code(), "not_found");
        assert!(service::list(db, &TenantId::default()).await.expect("lists").is_empty());
    })
    .await;
}

#[tokio::test]
async fn nobody_makes_a_token_that_may_do_more() {
    on_both(async |fresh| {
        let db = &fresh.db;
        let mut keeper = Caller::terminal(TenantId::default());
        let token = |scopes: &str| NewToken { name: scopes.to_owned(), scopes: Scopes::read(scopes), expires_at: None };
        let (strong, _) = service::create(db, &keeper, &token("admin")).await.expect("made");
        keeper.scopes = Scopes::read("access:write jobs:read");
        service::create(db, &keeper, &token("jobs:read")).await.expect("made");
        let error = service::create(db, &keeper, &token("jobs:read jobs:write")).await.expect_err("more");
        assert!(error.code() == "forbidden" && error.to_string().ends_with("lacks jobs:write"), "{error}");
        assert_eq!(service::revoke(db, &keeper, strong.id).await.expect_err("more").code(), "forbidden");
    })
    .await;
}
