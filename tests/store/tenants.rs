//! Tenants, on both databases.

use deskhand::access::{BuiltIn, Caller, NewToken, service as tokens, tenants::service};
use deskhand::audit;
use deskhand::base::{PageRequest, TenantId};

use crate::fixtures::databases::on_both;
use crate::fixtures::people::{admin_of, tenant};

#[tokio::test]
async fn a_tenant_is_made_renamed_and_refused_for_a_while() {
    on_both(async |fresh| {
        let db = &fresh.db;
        let first = Caller::terminal(TenantId::default());
        let acme = tenant("acme");
        let made = service::create(db, &first.actor, &acme, " Acme Ltd ").await.expect("made");
        assert_eq!((made.name.as_str(), made.version), ("Acme Ltd", 1));
        let taken = service::create(db, &first.actor, &acme, "x").await.expect_err("taken");
        assert_eq!(taken.code(), "tenant_taken");
        let ids: Vec<String> = service::list(db, PageRequest::default())
            .await
            .expect("lists")
            .items
            .into_iter()
            .map(|tenant| tenant.tenant_id.to_string())
            .collect();
        assert_eq!(ids, ["acme", "default"]);

        let renamed = service::rename(db, &first.actor, &acme, "Acme", Some(1)).await.expect("renamed");
        assert_eq!(service::get(db, &acme).await.expect("there"), renamed);
        let late = service::rename(db, &first.actor, &acme, "Acne", Some(1)).await.expect_err("moved on");
        assert_eq!(late.code(), "version");

        let admin = Caller::terminal(acme.clone());
        let wanted = NewToken { name: "ci".to_owned(), scopes: BuiltIn::Viewer.scopes(), expires_at: None };
        let secret = tokens::create(db, &admin, &wanted).await.expect("made").1;
        let knows = async || tokens::authenticate(db, secret.expose()).await.expect("answers").is_some();
        assert!(knows().await);
        assert!(service::disable(db, &first.actor, &acme).await.expect("disabled").disabled_at.is_some());
        assert!(!knows().await, "the tokens of a disabled tenant are refused");
        assert!(service::enable(db, &first.actor, &acme).await.expect("enabled").disabled_at.is_none());
        assert!(knows().await, "and valid again");

        let first_one = service::disable(db, &first.actor, &TenantId::default()).await.expect_err("kept");
        assert_eq!(first_one.code(), "first_tenant");
        assert_eq!(service::get(db, &tenant("none")).await.expect_err("none").code(), "not_found");
        let noted = audit::service::list(db, &TenantId::default(), &audit::Filter::default(), None, 10).await;
        let actions: Vec<String> = noted.expect("lists").into_iter().map(|entry| entry.action).collect();
        assert_eq!(actions, ["tenant.enable", "tenant.disable", "tenant.update", "tenant.create"]);
    })
    .await;
}

#[tokio::test]
async fn a_tenant_that_does_not_exist_gets_no_token() {
    on_both(async |fresh| {
        let nowhere = Caller::terminal(tenant("nowhere"));
        let wanted = NewToken { name: "ci".to_owned(), scopes: BuiltIn::Viewer.scopes(), expires_at: None };
        let error = tokens::create(&fresh.db, &nowhere, &wanted).await.expect_err("refused");
        assert_eq!(error.to_string(), "there is no tenant nowhere");
        let there = admin_of(&fresh.db, "nowhere").await;
        tokens::create(&fresh.db, &there, &wanted).await.expect("made");
    })
    .await;
}
