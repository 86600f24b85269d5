//! Roles and grants, on both databases.

use deskhand::access::roles::{Draft, service};
use deskhand::access::{BuiltIn, BusinessId, Caller, RoleName, Scope, Scopes, holders};
use deskhand::base::UserId;
use deskhand::db::Db;

use crate::fixtures::databases::on_both;
use crate::fixtures::people::{access, admin_of, person};

fn role(name: &str) -> RoleName {
    RoleName::new(name).expect("a role")
}

fn business(id: &str) -> BusinessId {
    BusinessId::new(id).expect("a business")
}

async fn who(db: &Db, caller: &Caller, name: &str, of: Option<&str>) -> Vec<String> {
    let mut tx = db.read().await.expect("begins");
    let of = of.map(business);
    let found = holders(&mut tx, caller.tenant(), &role(name), of.as_ref()).await.expect("reads");
    found.into_iter().map(|user| user.name).collect()
}

#[tokio::test]
async fn a_desk_makes_its_roles() {
    on_both(async |fresh| {
        let db = &fresh.db;
        let (acme, zen) = (admin_of(db, "acme").await, admin_of(db, "zen").await);
        let draft = Draft {
            label: Some("客服".to_owned()),
            scopes: Some([Scope::JobsRead].into_iter().collect()),
            ..Draft::default()
        };
        let made = service::create(db, &acme, &role("service_desk"), &draft).await.expect("made");
        assert_eq!((made.label.as_str(), made.built_in), ("客服", false));
        for name in ["service_desk", "operator"] {
            assert_eq!(service::create(db, &acme, &role(name), &draft).await.expect_err("taken").code(), "role_taken");
        }
        let names: Vec<String> =
            service::list(db, acme.tenant()).await.expect("lists").into_iter().map(|role| role.name.into()).collect();
        assert_eq!(names, ["viewer", "operator", "approver", "admin", "service_desk"]);
        assert_eq!(
            service::get(db, zen.tenant(), &role("service_desk")).await.expect_err("theirs").code(),
            "not_found"
        );

        let more = Draft { description: Some("提单".to_owned()), version: Some(1), ..Draft::default() };
        let changed = service::change(db, &acme, &role("service_desk"), &more).await.expect("changed");
        assert_eq!(changed, service::get(db, acme.tenant(), &role("service_desk")).await.expect("there"));
        assert_eq!((changed.label.as_str(), changed.description.as_str(), changed.version), ("客服", "提单", 2));
        assert_eq!(service::change(db, &acme, &role("service_desk"), &more).await.expect_err("late").code(), "version");
        assert_eq!(
            service::change(db, &acme, &role("viewer"), &more).await.expect_err("fixed").code(),
            "role_built_in"
        );

        let mut small = acme.clone();
        small.scopes = Scopes::read("access:write jobs:read");
        let grab = Draft { scopes: Some(BuiltIn::Admin.scopes()), ..Draft::default() };
        for refused in [
            service::create(db, &small, &role("mine"), &grab).await,
            service::change(db, &small, &role("service_desk"), &grab).await,
        ] {
            assert_eq!(refused.expect_err("nobody makes more than it has").code(), "forbidden");
        }
        service::remove(db, &acme, &role("service_desk")).await.expect("removed");
        assert_eq!(service::remove(db, &acme, &role("service_desk")).await.expect_err("gone").code(), "not_found");
    })
    .await;
}

#[tokio::test]
async fn a_role_is_held_for_everything_or_for_one_business() {
    on_both(async |fresh| {
        let (db, access) = (&fresh.db, access(&fresh.db));
        let (acme, zen) = (admin_of(db, "acme").await, admin_of(db, "zen").await);
        let qc = role("qc");
        for admin in [&acme, &zen] {
            service::create(db, admin, &qc, &Draft::default()).await.expect("made");
        }
        let dana = person(&access, db, &acme, "dana", &[]).await;
        let eli = person(&access, db, &acme, "eli", &[]).await;
        let zoe = person(&access, db, &zen, "zoe", &[]).await;
        service::grant(db, &acme, dana.id, &qc, None).await.expect("granted");
        service::grant(db, &acme, eli.id, &qc, Some(&business("7"))).await.expect("granted");
        service::grant(db, &zen, zoe.id, &qc, Some(&business("7"))).await.expect("granted");
        let again = service::grant(db, &acme, eli.id, &qc, Some(&business("7"))).await.expect("no harm");
        assert_eq!(again.len(), 1);
        assert_eq!(again[0].business_id, Some(business("7")));

        assert_eq!(who(db, &acme, "qc", None).await, ["dana"]);
        assert_eq!(who(db, &acme, "qc", Some("7")).await, ["dana", "eli"]);
        assert_eq!(who(db, &acme, "qc", Some("8")).await, ["dana"]);
        assert_eq!(who(db, &zen, "qc", Some("7")).await, ["zoe"]);
        let mut tx = db.read().await.expect("begins");
        let of = service::effective_of(&mut tx, acme.tenant(), eli.id, Some(&business("7"))).await.expect("reads");
        assert!(of.roles.contains(&qc));
        let of = service::effective_of(&mut tx, acme.tenant(), eli.id, None).await.expect("reads");
        assert!(of.roles.is_empty());
        drop(tx);

        let held = service::remove(db, &acme, &qc).await.expect_err("somebody has it");
        assert!(held.code() == "role_granted" && held.to_string().contains("2 times"), "{held}");
        access.disable_user(&acme, dana.id).await.expect("disabled");
        assert_eq!(who(db, &acme, "qc", Some("7")).await, ["eli"], "who may not come in holds nothing");
        let none = service::revoke(db, &acme, eli.id, &qc, None).await.expect_err("it is for a business");
        assert_eq!(none.code(), "not_found");
        assert!(service::revoke(db, &acme, eli.id, &qc, Some(&business("7"))).await.expect("revoked").is_empty());
        assert!(who(db, &acme, "qc", Some("7")).await.is_empty());
        for (user, name) in [(zoe.id, "qc"), (UserId::new(), "qc"), (eli.id, "nonesuch")] {
            let error = service::grant(db, &acme, user, &role(name), None).await.expect_err("not there");
            assert_eq!(error.code(), "not_found");
        }
        let mut small = acme.clone();
        small.scopes = Scopes::read("access:write");
        let refused = service::grant(db, &small, eli.id, &role("admin"), None).await.expect_err("more than it has");
        assert_eq!(refused.code(), "forbidden");
    })
    .await;
}
