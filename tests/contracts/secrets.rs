//! No text for people holds a secret: neither what is shown for debugging, nor errors, nor panics, nor the log.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;

use chrono::DateTime;
use deskhand::base::{Clock, Key, Secret, TenantId, Vault};
use deskhand::outbound::Trust;
use deskhand::work_orders::adapters::{Connection, find};
use deskhand::work_orders::model::{Draft, Mapping, Sealed, SecretChange, System};
use proptest::prelude::*;
use url::Url;

use crate::fixtures::log::Captured;
use crate::fixtures::outbound::{http_with, settings};

/// Everything that holds the secret in one way or another, shown.
fn shown(text: &str, key: &Key) -> Vec<String> {
    let (secret, vault) = (Secret::new(text), Vault::new(key, &[Key::from_bytes([3; 32])]));
    let sealed = vault.seal(&secret, "place");
    let system = System {
        api_key: Some(Sealed(sealed.clone())),
        password: Some(Sealed(sealed.clone())),
        ..System::blank(TenantId::default(), DateTime::UNIX_EPOCH)
    };
    let draft = Draft { password: SecretChange::Set(secret.clone()), ..Draft::default() };
    let proxy = settings(&[("PROXY", &format!("http://desk:{text}@127.0.0.1:1"))]);
    let connection = Connection {
        name: "ops".into(),
        api_url: Url::parse("http://127.0.0.1:1").expect("a url"),
        username: Some("desk".into()),
        api_key: Some(secret.clone()),
        password: Some(secret.clone()),
        settings: BTreeMap::new(),
        mapping: Mapping::default(),
        http: http_with(&[], &Clock::system()),
        clock: Clock::system(),
    };
    let wrong = find("jira").expect("the rack has it").check(&connection);
    let error = |result: deskhand::base::Result<Secret>| {
        let error = result.expect_err("refused");
        format!("{error:?} {error}")
    };
    vec![
        format!("{secret:?} {key:?} {vault:?} {proxy:?} {wrong:?} {connection:?} {draft:?}"),
        format!("{system:?}"),
        error(vault.open(&sealed, "another place")),
        error(Vault::from_key(&[4; 32]).open(&sealed, "place")),
        error(Key::from_text(text).map(|key| key.to_text())),
    ]
}

fn panics(secret: &Secret, vault: &Vault) -> String {
    let panic = std::panic::catch_unwind(AssertUnwindSafe(|| panic!("{secret:?} {vault:?}"))).expect_err("it panics");
    panic.downcast_ref::<String>().cloned().unwrap_or_default()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn nothing_that_is_shown_holds_a_secret(text in "[A-Za-z0-9]{12,40}", bytes in any::<[u8; 32]>()) {
        let key = Key::from_bytes(bytes);
        let captured = Captured::default();
        let guard = captured.start();
        let mut texts = shown(&text, &key);
        let (secret, vault) = (Secret::new(text.clone()), Vault::new(&key, &[]));
        tracing::error!(?secret, ?vault, ?key, "shown");
        texts.push(panics(&secret, &vault));
        drop(guard);
        let logged = captured.text();
        prop_assert!(logged.contains("shown"), "the log is captured");
        texts.push(logged);
        let sealed = key.to_text();
        for shown in texts {
            prop_assert!(!shown.contains(&text), "{}", shown);
            prop_assert!(!shown.contains(sealed.expose().trim_end_matches('=')), "{}", shown);
        }
    }
}

#[tokio::test]
async fn a_call_that_fails_tells_nothing_of_its_credentials() {
    let captured = Captured::default();
    let _guard = captured.start();
    let http = http_with(&[], &Clock::system());
    let url = Url::parse("http://desk:hunter2-in-the-address@127.0.0.1:1/?key=hunter2-in-the-query").expect("a url");
    let request = http.post(url).bearer_auth("hunter2-in-a-header").body("hunter2-in-the-body");
    let error = http.send(request, Trust::Admin).await.expect_err("nobody listens");
    let text = format!("{error:?} {error} {}", captured.text());
    assert!(text.contains("127.0.0.1") && !text.contains("hunter2"), "{text}");
}
