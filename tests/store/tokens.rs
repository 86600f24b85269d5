//! Tokens, on both databases.

use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use deskhand::access::{Scopes, service};
use deskhand::base::{Clock, Secret, TenantId};

use crate::fixtures::databases::on_both;

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
        let tenant = TenantId::new("acme").expect("valid");
        let end = clock.now() + TimeDelta::hours(1);
        let (info, secret) = service::create(db, &tenant, "ci", "jobs:write jobs:read", Some(end)).await.expect("made");
        let caller = service::authenticate(db, secret.expose()).await.expect("answers").expect("known");
        assert_eq!((caller.actor.id, caller.actor.tenant), (Some(info.id.to_string()), tenant.clone()));
        assert_eq!(caller.scopes, Scopes::read("jobs:read jobs:write"));
        assert_eq!(service::list(db, &tenant).await.expect("lists")[0].last_used_at, Some(clock.now()));
        let taken = service::create(db, &tenant, "ci", "", None).await.expect_err("the name is taken");
        assert_eq!(taken.code(), "token_name_taken");
        clock.advance(Duration::from_hours(1));
        assert!(service::authenticate(db, secret.expose()).await.expect("answers").is_none());
        service::revoke(db, &tenant, "ci").await.expect("revoked");
        assert_eq!(service::revoke(db, &tenant, "ci").await.expect_err("gone").code(), "not_found");
        assert!(service::list(db, &TenantId::default()).await.expect("lists").is_empty());
    })
    .await;
}
