//! Speaking with the provider, over our own HTTP client.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::BoxFuture;
use openidconnect::core::{CoreClient, CoreProviderMetadata, CoreResponseType};
use openidconnect::{
    AsyncHttpClient, AuthenticationFlow, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointMaybeSet,
    EndpointNotSet, EndpointSet, HttpRequest, HttpResponse, IssuerUrl, Nonce, PkceCodeChallenge, PkceCodeVerifier,
    RedirectUrl, Scope, TokenResponse,
};
use serde_json::Value;
use url::Url;

use super::model::{Settings, refused};
use crate::base::{Clock, Error, Result};
use crate::outbound::{self, Http, Trust};

type Client =
    CoreClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointMaybeSet, EndpointMaybeSet>;

/// What a browser is sent away with.
pub(super) struct Asked {
    pub(super) url: Url,
    pub(super) state: String,
    pub(super) nonce: String,
    pub(super) verifier: String,
}

/// Asks the provider where browsers go, and makes up what they take along.
pub(super) fn ask(http: Http, settings: Arc<Settings>) -> BoxFuture<'static, Result<Asked>> {
    // Owned and boxed, because the compiler cannot follow the library's lifetimes through a handler.
    Box::pin(async move { ask_now(&Wire(http), &settings).await })
}

/// Turns a code into claims, and verifies them: signature, issuer, audience, end, nonce.
pub(super) fn claims(
    http: Http,
    settings: Arc<Settings>,
    clock: Clock,
    proof: Proof,
) -> BoxFuture<'static, Result<Value>> {
    Box::pin(async move { claims_now(&Wire(http), &settings, &clock, &proof).await })
}

/// What proves that this browser began the sign-in.
pub(super) struct Proof {
    pub(super) code: String,
    pub(super) nonce: String,
    pub(super) verifier: String,
}

async fn ask_now(wire: &Wire, settings: &Settings) -> Result<Asked> {
    let client = client(wire, settings).await?;
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let flow = AuthenticationFlow::<CoreResponseType>::AuthorizationCode;
    let mut request =
        client.authorize_url(flow, CsrfToken::new_random, Nonce::new_random).set_pkce_challenge(challenge);
    for scope in settings.scopes.iter().filter(|scope| *scope != "openid") {
        request = request.add_scope(Scope::new(scope.clone()));
    }
    let (url, state, nonce) = request.url();
    Ok(Asked { url, state: state.secret().clone(), nonce: nonce.secret().clone(), verifier: verifier.secret().clone() })
}

async fn claims_now(wire: &Wire, settings: &Settings, clock: &Clock, proof: &Proof) -> Result<Value> {
    let client = client(wire, settings).await?;
    let request = client
        .exchange_code(AuthorizationCode::new(proof.code.clone()))
        .map_err(|error| Error::internal("the provider of sign-ins names no address for tokens", error))?;
    let answer = request.set_pkce_verifier(PkceCodeVerifier::new(proof.verifier.clone())).request_async(wire).await;
    let answer = answer.map_err(|error| {
        tracing::warn!(error = %error, "the provider of sign-ins gives no token for a code");
        refused("the provider does not accept the sign-in")
    })?;
    let token = answer.id_token().ok_or_else(|| refused("the provider does not say who it is"))?;
    let time = clock.clone();
    let verifier = client.id_token_verifier().set_time_fn(move || time.now());
    token.claims(&verifier, &Nonce::new(proof.nonce.clone())).map_err(|error| {
        tracing::warn!(error = %error, "the token of a sign-in does not hold");
        refused("what the provider says does not hold")
    })?;
    // It was verified as a whole; claims that the standard does not name are read from its text.
    let text = token.to_string();
    let payload = text.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    payload
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .ok_or_else(|| refused("what the provider says cannot be read"))
}

async fn client(wire: &Wire, settings: &Settings) -> Result<Client> {
    let wrong = |key: &str, error: url::ParseError| Error::internal(format!("access.oidc.{key} is no address"), error);
    let issuer = IssuerUrl::new(settings.issuer.clone()).map_err(|error| wrong("issuer", error))?;
    let redirect = RedirectUrl::new(settings.redirect_url.clone()).map_err(|error| wrong("redirect_url", error))?;
    let metadata = CoreProviderMetadata::discover_async(issuer, wire)
        .await
        .map_err(|error| Error::unavailable("the provider of sign-ins", error.to_string()))?;
    let secret = settings.client_secret.expose();
    let secret = (!secret.is_empty()).then(|| ClientSecret::new(secret.to_owned()));
    let id = ClientId::new(settings.client_id.clone());
    Ok(CoreClient::from_provider_metadata(metadata, id, secret).set_redirect_uri(redirect))
}

/// Our HTTP client, as the library wants one.
struct Wire(Http);

impl<'c> AsyncHttpClient<'c> for Wire {
    type Error = Failed;
    type Future = BoxFuture<'c, std::result::Result<HttpResponse, Failed>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(send(&self.0, request))
    }
}

/// Sends what the library asks for.
async fn send(http: &Http, request: HttpRequest) -> std::result::Result<HttpResponse, Failed> {
    let (parts, body) = request.into_parts();
    let url: Url = parts.uri.to_string().parse()?;
    let begun = if parts.method == reqwest::Method::POST { http.post(url) } else { http.get(url) };
    let answer = http.send(begun.headers(parts.headers).body(body), Trust::Admin).await?;
    let mut response = HttpResponse::new(answer.body.to_vec());
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    Ok(response)
}

/// Why there is no answer of the provider.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("the provider names what is no address")]
    Address(#[from] url::ParseError),
    #[error(transparent)]
    Call(#[from] outbound::Error),
}
