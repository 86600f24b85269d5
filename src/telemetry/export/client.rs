//! The HTTP client under the exporter: our own TLS and time-outs, no redirects.

use std::time::Duration;

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use reqwest::redirect;

/// A collector is near; one that takes longer is as good as away.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What a collector answers is short; more is not read.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Sends what the exporter has encoded.
#[derive(Debug)]
pub(in crate::telemetry) struct Client(reqwest::Client);

impl Client {
    pub(in crate::telemetry) fn new() -> Result<Self, reqwest::Error> {
        // A second installation is refused, and then the first, which is the same, stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().timeout(TIMEOUT).redirect(redirect::Policy::none()).build()?;
        Ok(Self(client))
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        // An address may hold a password, so no error shows it.
        let mut response = self.0.execute(request.try_into()?).await.map_err(reqwest::Error::without_url)?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(reqwest::Error::without_url)? {
            if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err("the answer of the collector is too long to be one".into());
            }
            body.extend_from_slice(&chunk);
        }
        let mut answer = Response::new(Bytes::from(body));
        *answer.status_mut() = response.status();
        *answer.headers_mut() = response.headers().clone();
        Ok(answer)
    }
}
