//! Signing in with a company's own accounts, at a provider that speaks the real protocol.

use axum::body::Body;
use axum::http::{Request, header};
use serde_json::{Value, json};

use crate::fakes::oidc::{CLIENT, Provider, SECRET};
use crate::fixtures::TestApp;
use crate::fixtures::app::Reply;
use crate::fixtures::people::PASSWORD;

async fn desk(provider: &Provider, auto_create: &str) -> TestApp {
    TestApp::with(&[
        ("DESKHAND_ACCESS__OIDC__ISSUER", &provider.issuer),
        ("DESKHAND_ACCESS__OIDC__CLIENT_ID", CLIENT),
        ("DESKHAND_ACCESS__OIDC__CLIENT_SECRET", SECRET),
        ("DESKHAND_ACCESS__OIDC__REDIRECT_URL", "https://desk.example.com/api/v1/auth/oidc/callback"),
        ("DESKHAND_ACCESS__OIDC__ROLES_CLAIM", "groups"),
        ("DESKHAND_ACCESS__OIDC__ROLES__OPS", "operator"),
        ("DESKHAND_ACCESS__OIDC__AUTO_CREATE", auto_create),
    ])
    .await
}

async fn get(test: &TestApp, path: &str, cookie: &str) -> Reply {
    let request = Request::builder().uri(path).header(header::COOKIE, cookie).body(Body::empty());
    test.send(request.expect("a request")).await
}

/// A browser on its way: the page to which it was sent, and its cookie.
async fn start(test: &TestApp) -> (String, String) {
    let sent = get(test, "/api/v1/auth/oidc/start", "").await;
    assert_eq!(sent.status, 303, "{}", sent.text);
    let cookie = sent.headers[header::SET_COOKIE].to_str().expect("text");
    assert!(cookie.contains("HttpOnly") && cookie.contains("Path=/api/v1/auth/oidc;"), "{cookie}");
    let cookie = cookie.split(';').next().expect("a cookie").to_owned();
    (sent.headers[header::LOCATION].to_str().expect("text").to_owned(), cookie)
}

async fn finish(test: &TestApp, query: &str, cookie: &str) -> Reply {
    get(test, &format!("/api/v1/auth/oidc/callback?{query}"), cookie).await
}

fn now_s(test: &TestApp) -> i64 {
    test.app.clock.now().timestamp()
}

/// Signs somebody in; `claims` stand in for those of an honest provider.
async fn sign_in(test: &TestApp, provider: &Provider, claims: &Value) -> Reply {
    let (page, cookie) = start(test).await;
    finish(test, &provider.sign_in(&page, now_s(test), claims), &cookie).await
}

async fn me(test: &TestApp, signed_in: &Reply) -> Value {
    assert_eq!(
        (signed_in.status, signed_in.headers[header::LOCATION].as_bytes()),
        (303, &b"/"[..]),
        "{}",
        signed_in.text
    );
    let cookie = signed_in.headers[header::SET_COOKIE].to_str().expect("text");
    get(test, "/api/v1/me", cookie.split(';').next().expect("a cookie")).await.json()["data"].take()
}

#[tokio::test]
async fn an_employee_gets_an_account_and_roles_that_follow_the_claims() {
    let provider = Provider::start().await;
    let test = desk(&provider, "true").await;
    let claims = json!({"sub": "7", "preferred_username": "Dana", "name": "Dana K.", "groups": ["ops", "others"]});
    let first = me(&test, &sign_in(&test, &provider, &claims).await).await;
    assert_eq!((&first["name"], &first["user"]["display_name"]), (&"dana".into(), &"Dana K.".into()));
    assert_eq!(first["roles"], json!(["operator"]));
    let id = first["user"]["id"].as_str().expect("an id");
    test.post(&format!("/api/v1/users/{id}/roles"), json!({"role": "viewer"})).await;
    // Another name there is the same person, and roles that the provider does not keep stay.
    let claims = json!({"sub": "7", "preferred_username": "dana.k"});
    let second = me(&test, &sign_in(&test, &provider, &claims).await).await;
    assert_eq!((&second["user"]["id"], &second["roles"]), (&id.into(), &json!(["viewer"])));
    test.post(&format!("/api/v1/users/{id}/disable"), json!({})).await;
    sign_in(&test, &provider, &claims).await.refused(403, "forbidden");
}

#[tokio::test]
async fn what_the_provider_says_has_to_hold() {
    let provider = Provider::start().await;
    let test = desk(&provider, "true").await;
    let past = now_s(&test) - 1_000;
    for wrong in [
        json!({"nonce": "of another browser"}),
        json!({"nonce": null}),
        json!({"aud": "another-client"}),
        json!({"iss": "https://elsewhere.example.com"}),
        json!({"iat": past, "exp": past + 300}),
        json!({"preferred_username": null}),
    ] {
        let mut claims = json!({"sub": "7", "preferred_username": "dana"});
        for (name, value) in wrong.as_object().expect("claims") {
            claims[name] = value.clone();
        }
        let refused = sign_in(&test, &provider, &claims).await;
        refused.refused(403, "forbidden");
        assert!(!refused.headers.contains_key(header::SET_COOKIE), "{wrong}");
    }
    assert_eq!(test.get("/api/v1/users").await.json()["total"], 0);
}

#[tokio::test]
async fn only_the_browser_that_began_finishes_and_once() {
    let provider = Provider::start().await;
    let test = desk(&provider, "true").await;
    let claims = json!({"sub": "7", "preferred_username": "dana"});
    let (page, cookie) = start(&test).await;
    let (_, other) = start(&test).await;
    let query = provider.sign_in(&page, now_s(&test), &claims);
    for wrong in ["", "deskhand_oidc=nonsense", &other] {
        finish(&test, &query, wrong).await.refused(403, "forbidden");
    }
    finish(&test, "error=access_denied", &cookie).await.refused(403, "forbidden");
    let (code, _) = query.split_once('&').expect("a code first");
    finish(&test, &format!("{code}&state=another"), &cookie).await.refused(403, "forbidden");
    assert_eq!(finish(&test, &query, &cookie).await.status, 303);
    let told = finish(&test, &query, &cookie).await.refused(403, "forbidden");
    assert!(told["detail"].as_str().expect("text").contains("finished before"), "{told}");
}

#[tokio::test]
async fn nobody_takes_an_account_that_has_a_password() {
    let provider = Provider::start().await;
    let test = desk(&provider, "false").await;
    let claims = json!({"sub": "7", "preferred_username": "dana"});
    let told = sign_in(&test, &provider, &claims).await.refused(403, "forbidden");
    assert!(told["detail"].as_str().expect("text").contains("no account"), "{told}");
    test.post("/api/v1/users", json!({"name": "dana", "password": PASSWORD})).await;
    let told = sign_in(&test, &provider, &claims).await.refused(403, "forbidden");
    assert!(told["detail"].as_str().expect("text").contains("somebody else's"), "{told}");
    test.post("/api/v1/users", json!({"name": "eli"})).await;
    let eli = json!({"sub": "8", "preferred_username": "eli"});
    assert_eq!(me(&test, &sign_in(&test, &provider, &eli).await).await["name"], "eli");
    let thief = json!({"sub": "9", "preferred_username": "eli"});
    sign_in(&test, &provider, &thief).await.refused(403, "forbidden");
    let off = TestApp::new().await;
    get(&off, "/api/v1/auth/oidc/start", "").await.refused(404, "not_found");
}
