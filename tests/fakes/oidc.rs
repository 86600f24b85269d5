//! A provider of `OpenID Connect`: discovery, keys, tokens. It lets everybody in as whom the test says.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use openidconnect::core::{CoreJwsSigningAlgorithm, CoreRsaPrivateSigningKey};
use openidconnect::{JsonWebKeyId, PrivateSigningKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::Url;

/// Made for this fake, and good for nothing else.
const KEY: &str = include_str!("oidc_key.pem");

pub(crate) const CLIENT: &str = "deskhand";
pub(crate) const SECRET: &str = "a-secret-of-the-client";

/// A sign-in that waits for its code to come back.
struct Waiting {
    challenge: String,
    redirect: String,
    claims: Value,
}

/// The provider; it stops with the test.
#[derive(Clone)]
pub(crate) struct Provider {
    /// Its address, which is its name.
    pub(crate) issuer: String,
    waiting: Arc<Mutex<HashMap<String, Waiting>>>,
}

impl Provider {
    /// Starts it on a free port.
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let issuer = format!("http://{}", listener.local_addr().expect("bound"));
        let this = Self { issuer, waiting: Arc::default() };
        let routes = Router::new()
            .route("/.well-known/openid-configuration", get(discover))
            .route("/keys", get(keys))
            .route("/token", post(token))
            .with_state(this.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        this
    }

    /// Signs somebody in at the page to which a browser was sent, and returns the query that it brings back. `claims` stand in for
    /// those of an honest provider.
    pub(crate) fn sign_in(&self, page: &str, now_s: i64, claims: &Value) -> String {
        let page = Url::parse(page).expect("an address");
        let asked: HashMap<String, String> = page.query_pairs().into_owned().collect();
        assert_eq!((asked["response_type"].as_str(), asked["client_id"].as_str()), ("code", CLIENT));
        assert_eq!(asked["code_challenge_method"], "S256");
        assert!(asked["scope"].split(' ').any(|scope| scope == "openid"), "{asked:?}");
        let mut told = json!({
            "iss": self.issuer, "aud": CLIENT, "iat": now_s, "exp": now_s + 300, "nonce": asked["nonce"],
        });
        for (name, value) in claims.as_object().expect("claims") {
            told[name] = value.clone();
        }
        let code = format!("{:016x}", rand::random::<u64>());
        let (challenge, redirect) = (asked["code_challenge"].clone(), asked["redirect_uri"].clone());
        let waiting = Waiting { challenge, redirect, claims: told };
        self.waiting.lock().expect("nobody panicked").insert(code.clone(), waiting);
        format!("code={code}&state={}&session_state=of-the-provider", asked["state"])
    }
}

fn key() -> CoreRsaPrivateSigningKey {
    CoreRsaPrivateSigningKey::from_pem(KEY, Some(JsonWebKeyId::new("k1".to_owned()))).expect("a key")
}

async fn discover(State(provider): State<Provider>) -> Json<Value> {
    let at = |path: &str| format!("{}{path}", provider.issuer);
    Json(json!({
        "issuer": provider.issuer,
        "authorization_endpoint": at("/authorize"),
        "token_endpoint": at("/token"),
        "jwks_uri": at("/keys"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    }))
}

async fn keys() -> Json<Value> {
    Json(json!({"keys": [key().as_verification_key()]}))
}

async fn token(State(provider): State<Provider>, headers: HeaderMap, body: String) -> (StatusCode, Json<Value>) {
    let sent: HashMap<String, String> = url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    let refuse = |why: &str| (StatusCode::BAD_REQUEST, Json(json!({"error": why})));
    let client = format!("Basic {}", STANDARD.encode(format!("{CLIENT}:{SECRET}")));
    if headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()) != Some(client.as_str()) {
        return refuse("invalid_client");
    }
    // A code is good for one token.
    let waiting = provider.waiting.lock().expect("nobody panicked").remove(&sent["code"]);
    let Some(waiting) = waiting.filter(|waiting| waiting.redirect == sent["redirect_uri"]) else {
        return refuse("invalid_grant");
    };
    if URL_SAFE_NO_PAD.encode(Sha256::digest(&sent["code_verifier"])) != waiting.challenge {
        return refuse("invalid_grant");
    }
    let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let text = format!("{}.{}", part(&json!({"alg": "RS256", "kid": "k1"})), part(&waiting.claims));
    let signature = key().sign(&CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256, text.as_bytes()).expect("signs");
    let token = format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature));
    (StatusCode::OK, Json(json!({"access_token": "unused", "token_type": "Bearer", "id_token": token})))
}
