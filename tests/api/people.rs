//! People over the API: signing in with a browser, what they may do, and keeping them.

use axum::body::Body;
use axum::http::{Request, header};
use serde_json::{Value, json};

use crate::fixtures::TestApp;
use crate::fixtures::app::Reply;
use crate::fixtures::people::PASSWORD;

/// A browser: it keeps the cookie, and the page in it keeps the proof.
struct Browser<'a> {
    test: &'a TestApp,
    cookie: String,
    csrf: String,
}

impl<'a> Browser<'a> {
    async fn sign_in(test: &'a TestApp, name: &str, password: &str) -> Result<Self, Reply> {
        let body = json!({"name": name, "password": password});
        let request = Request::builder().method("POST").uri("/api/v1/sessions");
        let request = request.header(header::CONTENT_TYPE, "application/json").body(Body::from(body.to_string()));
        let reply = test.send(request.expect("a request")).await;
        if reply.status != 200 {
            return Err(reply);
        }
        let cookie = reply.headers[header::SET_COOKIE].to_str().expect("text").split(';').next().expect("a cookie");
        let csrf = reply.json()["data"]["csrf_token"].as_str().expect("told").to_owned();
        Ok(Self { test, cookie: cookie.to_owned(), csrf })
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<Value>) -> Reply {
        let mut request = Request::builder().method(method).uri(path).header(header::COOKIE, &self.cookie);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = match body {
            Some(json) => request.header(header::CONTENT_TYPE, "application/json").body(Body::from(json.to_string())),
            None => request.body(Body::empty()),
        };
        self.test.send(request.expect("a request")).await
    }

    async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Reply {
        self.send(method, path, &[("x-csrf-token", &self.csrf)], body).await
    }

    async fn get(&self, path: &str) -> Reply {
        self.call("GET", path, None).await
    }
}

async fn user(test: &TestApp, name: &str, roles: &[&str]) -> String {
    let body = json!({"name": name, "password": PASSWORD, "must_change_password": false});
    let made = test.post("/api/v1/users", body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let id = made.json()["data"]["id"].as_str().expect("an id").to_owned();
    for role in roles {
        let granted = test.post(&format!("/api/v1/users/{id}/roles"), json!({"role": role})).await;
        assert_eq!(granted.status, 200, "{}", granted.text);
    }
    id
}

fn browser(signed_in: Result<Browser<'_>, Reply>) -> Browser<'_> {
    signed_in.unwrap_or_else(|reply| panic!("{}", reply.text))
}

#[tokio::test]
async fn a_person_comes_in_acts_by_its_roles_and_goes() {
    let test = TestApp::new().await;
    let id = user(&test, "dana", &["operator"]).await;
    for (name, password) in [("dana", "wrong password"), ("nobody", PASSWORD)] {
        let refused = Browser::sign_in(&test, name, password).await.err().expect("refused");
        let told = refused.refused(401, "sign_in");
        assert_eq!(told["detail"], "there is no user with this name and password: check both, or ask an administrator");
        assert!(!refused.headers.contains_key(header::SET_COOKIE));
    }
    let dana = browser(Browser::sign_in(&test, "Dana", PASSWORD).await);
    let me = dana.get("/api/v1/me").await.json();
    assert_eq!((&me["data"]["kind"], &me["data"]["user"]["id"]), (&"user".into(), &id.as_str().into()));
    assert_eq!(me["data"]["roles"], json!(["operator"]));
    assert!(!me.to_string().contains("argon2"));

    assert_eq!(dana.get("/api/v1/jobs").await.status, 200);
    assert_eq!(dana.call("POST", "/api/v1/jobs", Some(json!({"kind": "work_orders.sync"}))).await.status, 201);
    let missing = dana.get("/api/v1/users").await.refused(403, "forbidden");
    assert!(
        missing["detail"].as_str().expect("text").starts_with("user dana lacks the scope access:read"),
        "{missing}"
    );

    let sessions = dana.get("/api/v1/sessions").await.json();
    assert_eq!((&sessions["total"], &sessions["data"][0]["current"]), (&1.into(), &true.into()));
    let gone = dana.call("DELETE", "/api/v1/sessions/current", None).await;
    assert_eq!(gone.status, 204);
    assert!(gone.headers[header::SET_COOKIE].to_str().expect("text").contains("Max-Age=0"));
    dana.get("/api/v1/me").await.refused(401, "unauthorized");
}

#[tokio::test]
async fn another_site_cannot_make_a_browser_change_anything() {
    let test = TestApp::new().await;
    user(&test, "dana", &["admin"]).await;
    let dana = browser(Browser::sign_in(&test, "dana", PASSWORD).await);
    let body = json!({"name": "eve"});
    for headers in [&[][..], &[("x-csrf-token", "")], &[("x-csrf-token", "guessed")], &[("x-csrf-token", &dana.cookie)]]
    {
        dana.send("POST", "/api/v1/users", headers, Some(body.clone())).await.refused(403, "csrf");
    }
    assert_eq!(dana.send("GET", "/api/v1/users", &[], None).await.status, 200, "looking needs no proof");
    let again = dana.send("GET", "/api/v1/sessions/current", &[], None).await.json();
    assert_eq!(again["data"]["csrf_token"], dana.csrf.as_str(), "a page that was loaded again asks for it");
    assert_eq!(dana.call("POST", "/api/v1/users", Some(body)).await.status, 201);
    // A token is never sent by itself, so it needs no proof; and where both come, the token counts.
    let nonsense = [("authorization", "Bearer nonsense")];
    dana.send("GET", "/api/v1/users", &nonsense, None).await.refused(401, "unauthorized");
}

#[tokio::test]
async fn a_person_names_a_tenant_of_which_it_is_a_member() {
    let test = TestApp::new().await;
    user(&test, "dana", &["viewer"]).await;
    assert_eq!(test.post("/api/v1/tenants", json!({"id": "acme", "name": "Acme"})).await.status, 201);
    assert_eq!(test.post("/api/v1/tenants", json!({"id": "zen"})).await.status, 201);
    let joined = test.post("/api/v1/tenants/acme/members", json!({"name": "dana", "role": "admin"})).await;
    assert_eq!(joined.status, 200, "{}", joined.text);
    let dana = browser(Browser::sign_in(&test, "dana", PASSWORD).await);
    let ask = async |tenant: &str, path: &str| dana.send("GET", path, &[("x-tenant-id", tenant)], None).await;
    assert_eq!(ask("acme", "/api/v1/me").await.json()["data"]["tenant"], "acme");
    assert_eq!(ask("acme", "/api/v1/users").await.status, 200, "an administrator there");
    ask("default", "/api/v1/users").await.refused(403, "forbidden");
    for other in ["zen", "none", "Not A Tenant"] {
        ask(other, "/api/v1/me").await.refused(403, "tenant");
    }
    // Keeping tenants is for administrators of the first one; for all others there are none.
    ask("acme", "/api/v1/tenants").await.refused(403, "forbidden");
    ask("acme", "/api/v1/tenants/zen").await.refused(404, "not_found");
    assert_eq!(test.post("/api/v1/tenants/acme/disable", json!({})).await.status, 200);
    ask("acme", "/api/v1/me").await.refused(403, "tenant");
    let listed = test.get("/api/v1/tenants").await.json();
    assert!(listed["data"][0]["disabled_at"].is_string(), "{listed}");
}

#[tokio::test]
async fn who_was_given_a_password_chooses_one_first() {
    let test = TestApp::new().await;
    let body = json!({"name": "dana", "password": PASSWORD});
    let id = test.post("/api/v1/users", body).await.json()["data"]["id"].as_str().expect("an id").to_owned();
    test.post(&format!("/api/v1/users/{id}/roles"), json!({"role": "viewer"})).await;
    let dana = browser(Browser::sign_in(&test, "dana", PASSWORD).await);
    dana.get("/api/v1/jobs").await.refused(403, "password_change");
    assert_eq!(dana.get("/api/v1/me").await.json()["data"]["user"]["must_change_password"], true);
    let put = async |old: &str, new: &str| {
        dana.call("PUT", "/api/v1/me/password", Some(json!({"old": old, "new": new}))).await
    };
    assert_eq!(put("wrong", "my own long password").await.refused(400, "invalid")["errors"][0]["pointer"], "/old");
    assert_eq!(put(PASSWORD, "short").await.refused(400, "invalid")["errors"][0]["pointer"], "/new");
    put(PASSWORD, PASSWORD).await.refused(400, "invalid");
    assert_eq!(put(PASSWORD, "my own long password").await.status, 200);
    assert_eq!(dana.get("/api/v1/jobs").await.status, 200);
    assert!(Browser::sign_in(&test, "dana", PASSWORD).await.is_err());
    let changed = dana.call("PATCH", "/api/v1/me", Some(json!({"zone": "Asia/Shanghai"}))).await.json();
    assert_eq!(changed["data"]["zone"], "Asia/Shanghai");
}

#[tokio::test]
async fn who_guesses_is_told_when_to_come_again() {
    let test = TestApp::new().await;
    let id = user(&test, "dana", &[]).await;
    for _ in 0..5 {
        let refused = Browser::sign_in(&test, "dana", "guess").await.err().expect("refused");
        refused.refused(401, "sign_in");
    }
    let refused = Browser::sign_in(&test, "dana", PASSWORD).await.err().expect("refused");
    refused.refused(429, "too_often");
    let wait: u64 = refused.headers[header::RETRY_AFTER].to_str().expect("text").parse().expect("a number");
    assert!((1..=5).contains(&wait));
    assert_eq!(test.post(&format!("/api/v1/users/{id}/unlock"), json!({})).await.status, 200);
    browser(Browser::sign_in(&test, "dana", PASSWORD).await);
}

#[tokio::test]
async fn people_roles_and_tokens_are_kept_over_the_api() {
    let test = TestApp::new().await;
    let id = user(&test, "dana", &["viewer"]).await;
    let made = test.post("/api/v1/roles", json!({"name": "ops", "label": "运维", "scopes": ["jobs:read"]})).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let grants = format!("/api/v1/users/{id}/roles");
    let granted = test.post(&grants, json!({"role": "ops", "business_id": "2005000002"})).await.json();
    assert_eq!((&granted["total"], &granted["data"][0]["business_id"]), (&2.into(), &"2005000002".into()));
    let holders =
        async |query: &str| test.get(&format!("/api/v1/roles/ops/holders{query}")).await.json()["total"].take();
    assert_eq!((holders("").await, holders("?business_id=2005000002").await), (0.into(), 1.into()));
    test.call("DELETE", "/api/v1/roles/ops", None).await.refused(409, "role_granted");
    let revoked = test.call("DELETE", &format!("{grants}/ops?business_id=2005000002"), None).await;
    assert_eq!((revoked.status, revoked.json()["total"].take()), (200, 1.into()));
    assert_eq!(test.call("DELETE", "/api/v1/roles/ops", None).await.status, 204);

    let made = test.post("/api/v1/tokens", json!({"name": "ci", "scopes": ["access:write", "jobs:read"]})).await.json();
    let (token, token_id) = (made["data"]["token"].as_str().expect("shown"), made["data"]["id"].as_str().expect("id"));
    let listed = test.get("/api/v1/tokens").await;
    assert!(listed.text.contains(token_id) && !listed.text.contains(token), "{}", listed.text);
    let me = test.call_with(token, "GET", "/api/v1/me", None).await.json();
    assert_eq!((&me["data"]["kind"], &me["data"]["user"]), (&"token".into(), &Value::Null));
    let more = Some(json!({"name": "more", "scopes": ["jobs:write"]}));
    test.call_with(token, "POST", "/api/v1/tokens", more).await.refused(403, "forbidden");
    let admin = Some(json!({"role": "admin"}));
    test.call_with(token, "POST", &grants, admin).await.refused(403, "forbidden");
    test.call_with(token, "GET", "/api/v1/sessions", None).await.refused(409, "no_person");
    assert_eq!(test.call("DELETE", &format!("/api/v1/tokens/{token_id}"), None).await.status, 204);
    test.call_with(token, "GET", "/api/v1/me", None).await.refused(401, "unauthorized");

    let renamed =
        test.call("PATCH", &format!("/api/v1/users/{id}"), Some(json!({"display_name": "D", "version": 1}))).await;
    assert_eq!(renamed.json()["data"]["version"], 2);
    let late = Some(json!({"display_name": "E", "version": 1}));
    test.call("PATCH", &format!("/api/v1/users/{id}"), late).await.refused(409, "version");
    assert_eq!(test.call("DELETE", &format!("/api/v1/users/{id}"), None).await.status, 204);
    test.get(&format!("/api/v1/users/{id}")).await.refused(404, "not_found");
}
