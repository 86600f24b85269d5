//! Accounts, on both databases.

use deskhand::access::users::{Change, Draft};
use deskhand::access::{BuiltIn, Caller};
use deskhand::audit;
use deskhand::base::{ActorKind, PageRequest, Secret, TenantId, UserId};

use crate::fixtures::databases::on_both;
use crate::fixtures::people::{PASSWORD, access, admin_of, person, tenant};

#[tokio::test]
async fn a_person_is_made_changed_and_found() {
    on_both(async |fresh| {
        let (db, access) = (&fresh.db, access(&fresh.db));
        let admin = admin_of(db, "default").await;
        let draft = Draft {
            name: "Wang.Fang".to_owned(),
            password: Some(Secret::new(PASSWORD)),
            change: Change {
                display_name: Some("王芳".to_owned()),
                zone: Some("Asia/Shanghai".to_owned()),
                ..Change::default()
            },
            ..Draft::default()
        };
        let made = access.create_user(&admin, &draft).await.expect("made");
        assert_eq!((made.name.as_str(), made.must_change_password, made.version), ("wang.fang", true, 1));
        assert_eq!(access.user(admin.tenant(), made.id).await.expect("there"), made);
        assert_eq!(access.user_named(" WANG.Fang ").await.expect("there"), made);
        assert_eq!(access.create_user(&admin, &draft).await.expect_err("taken").code(), "user_taken");

        let change = Change { email: Some("wang@example.com".to_owned()), ..Change::default() };
        let changed = access.change_user(&admin, made.id, &change, Some(1)).await.expect("changed");
        assert_eq!((changed.email.as_deref(), changed.zone.as_str()), (Some("wang@example.com"), "Asia/Shanghai"));
        assert_eq!(access.user(admin.tenant(), made.id).await.expect("there"), changed);
        let late = access.change_user(&admin, made.id, &change, Some(1)).await.expect_err("moved on");
        assert_eq!(late.code(), "version");

        person(&access, db, &admin, "li_100", &[]).await;
        for (part, expected) in
            [(None, 2), (Some("芳"), 1), (Some("WANG"), 1), (Some("_100"), 1), (Some("%"), 0), (Some("x"), 0)]
        {
            let found = access.users(admin.tenant(), part, PageRequest::default()).await.expect("lists");
            assert_eq!((found.total, found.items.len()), (expected, expected as usize), "{part:?}");
        }
        let noted = audit::service::list(db, admin.tenant(), &audit::Filter::default(), None, 10).await.expect("lists");
        let text = format!("{noted:?}");
        assert!(text.contains("user.create") && text.contains("user.update") && !text.contains("argon2id"), "{text}");
    })
    .await;
}

#[tokio::test]
async fn nobody_reaches_into_another_tenant() {
    on_both(async |fresh| {
        let (db, access) = (&fresh.db, access(&fresh.db));
        let (acme, zen) = (admin_of(db, "acme").await, admin_of(db, "zen").await);
        let dana = person(&access, db, &acme, "dana", &[BuiltIn::Viewer]).await;
        let change = Change { display_name: Some("x".to_owned()), ..Change::default() };
        let new = Secret::new("another password");
        for code in [
            access.user(zen.tenant(), dana.id).await.expect_err("theirs").code(),
            access.change_user(&zen, dana.id, &change, None).await.expect_err("theirs").code(),
            access.disable_user(&zen, dana.id).await.expect_err("theirs").code(),
            access.set_password(&zen, dana.id, &new, true).await.expect_err("theirs").code(),
            access.remove_user(&zen, dana.id).await.expect_err("theirs").code(),
            access.unlock_user(&zen, dana.id).await.expect_err("theirs").code(),
            access.user(acme.tenant(), UserId::new()).await.expect_err("nobody").code(),
        ] {
            assert_eq!(code, "not_found");
        }
        // As a member of both, the account is neither's: one could take over what it may do in the other.
        access.add_member(&zen, "dana").await.expect("joins");
        for admin in [&acme, &zen] {
            assert_eq!(access.set_password(admin, dana.id, &new, true).await.expect_err("both").code(), "forbidden");
        }
        access.add_member(&Caller::terminal(TenantId::default()), "dana").await.expect("joins");
        access
            .set_password(&Caller::terminal(TenantId::default()), dana.id, &new, true)
            .await
            .expect("kept from there");
        let of_dana = access.memberships(dana.id).await.expect("reads");
        assert_eq!(of_dana, [tenant("acme"), tenant("default"), tenant("zen")]);
    })
    .await;
}

#[tokio::test]
async fn nobody_changes_the_account_of_somebody_who_may_do_more() {
    on_both(async |fresh| {
        let (db, access) = (&fresh.db, access(&fresh.db));
        let admin = admin_of(db, "default").await;
        let boss = person(&access, db, &admin, "boss", &[BuiltIn::Admin]).await;
        let dana = person(&access, db, &admin, "dana", &[BuiltIn::Viewer]).await;
        let scopes = "access:write jobs:read queues:read schedules:read work_orders:read metrics:read";
        let mut keeper = Caller::terminal(TenantId::default());
        keeper.scopes = deskhand::access::Scopes::read(scopes);
        let new = Secret::new("another password");
        access.set_password(&keeper, dana.id, &new, true).await.expect("may");
        let error = access.set_password(&keeper, boss.id, &new, true).await.expect_err("may not");
        assert!(error.code() == "forbidden" && error.to_string().ends_with("it lacks admin"), "{error}");
        assert_eq!(access.disable_user(&keeper, boss.id).await.expect_err("may not").code(), "forbidden");
        assert_eq!(access.remove_user(&keeper, boss.id).await.expect_err("may not").code(), "forbidden");
    })
    .await;
}

#[tokio::test]
async fn who_leaves_the_last_tenant_may_not_come_in() {
    on_both(async |fresh| {
        let (db, access) = (&fresh.db, access(&fresh.db));
        let (acme, zen) = (admin_of(db, "acme").await, admin_of(db, "zen").await);
        let dana = person(&access, db, &acme, "dana", &[BuiltIn::Operator]).await;
        access.add_member(&zen, "dana").await.expect("joins");
        access.remove_user(&acme, dana.id).await.expect("leaves");
        let left = access.user(zen.tenant(), dana.id).await.expect("still a member");
        assert_eq!((left.tenant_id, left.disabled_at), (zen.tenant().clone(), None));
        access.remove_user(&zen, dana.id).await.expect("leaves");
        assert!(access.user_named("dana").await.expect("not forgotten").disabled_at.is_some());
        assert_eq!(access.users(zen.tenant(), None, PageRequest::default()).await.expect("lists").total, 0);

        let mut oneself = Caller::terminal(acme.tenant().clone());
        let eve = person(&access, db, &acme, "eve", &[BuiltIn::Admin]).await;
        (oneself.actor.kind, oneself.actor.id) = (ActorKind::User, Some(eve.id.to_string()));
        assert_eq!(access.disable_user(&oneself, eve.id).await.expect_err("stays").code(), "oneself");
        assert_eq!(access.remove_user(&oneself, eve.id).await.expect_err("stays").code(), "oneself");
        access.disable_user(&acme, eve.id).await.expect("disabled by another");
        assert!(access.enable_user(&acme, eve.id).await.expect("enabled").disabled_at.is_none());
    })
    .await;
}
