//! The client and what can go wrong before there is an answer to judge.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use deskhand_jobs::trace::{TRACEPARENT, TraceContext};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{RequestBuilder, StatusCode, redirect};
use url::Url;

use super::address::{may_call, names_refused_address};

/// The largest answer that is read.
pub const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const TOTAL_TIMEOUT: Duration = Duration::from_secs(30);
const MAX_REDIRECTS: usize = 5;

/// Why there is no whole answer. No message holds a header, a query or a body.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection, or it broke before the answer began.
    #[error("cannot reach {host}")]
    Unreachable {
        /// Scheme, host and port.
        host: String,
        /// What the client said.
        #[source]
        source: reqwest::Error,
    },
    /// The time was up.
    #[error("{host} did not answer in time (10 s to connect, 30 s in all)")]
    TimedOut {
        /// Scheme, host and port.
        host: String,
    },
    /// The answer broke off.
    #[error("the answer of {host} broke off")]
    Truncated {
        /// Scheme, host and port.
        host: String,
        /// What the client said.
        #[source]
        source: reqwest::Error,
    },
    /// The answer is too large to be read.
    #[error("the answer of {host} is larger than {MAX_ANSWER_BYTES} bytes: ask for less at once")]
    TooLarge {
        /// Scheme, host and port.
        host: String,
    },
    /// The other side points elsewhere.
    #[error("{host} redirects to another host or in circles: give the final address")]
    Redirected {
        /// Scheme, host and port.
        host: String,
    },
    /// The address must not be called.
    #[error("{host} is a link-local or metadata address, which is never called: give the address of the real system")]
    Refused {
        /// Scheme, host and port.
        host: String,
    },
    /// The request itself cannot be made.
    #[error("the request to {host} cannot be made")]
    Request {
        /// Scheme, host and port.
        host: String,
        /// What the client said.
        #[source]
        source: reqwest::Error,
    },
}

/// A whole answer, whatever its status.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// Calls other systems. A clone shares connections.
#[derive(Debug, Clone)]
pub struct Http {
    client: reqwest::Client,
}

impl Http {
    /// Makes the client.
    ///
    /// # Errors
    /// If the system's certificates cannot be loaded.
    pub fn new() -> Result<Self, reqwest::Error> {
        // A second installation is refused, and then the first, which is the same, stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TOTAL_TIMEOUT)
            .redirect(redirect::Policy::custom(same_host_only))
            .dns_resolver(Arc::new(Resolver))
            .user_agent(concat!("deskhand/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { client })
    }

    /// Begins a GET.
    pub fn get(&self, url: Url) -> RequestBuilder {
        self.client.get(url)
    }

    /// Begins a POST.
    pub fn post(&self, url: Url) -> RequestBuilder {
        self.client.post(url)
    }

    /// Begins a PUT.
    pub fn put(&self, url: Url) -> RequestBuilder {
        self.client.put(url)
    }

    /// Sends a request and reads the whole answer. It is part of the current trace, if there is one.
    ///
    /// # Errors
    /// [`Error`] if no whole answer came.
    pub async fn send(&self, request: RequestBuilder) -> Result<Answer, Error> {
        let mut request = request.build().map_err(|error| Error::Request {
            host: error.url().map_or_else(|| "the other system".to_owned(), origin),
            source: error.without_url(),
        })?;
        let host = origin(request.url());
        if names_refused_address(request.url()) {
            return Err(Error::Refused { host });
        }
        // The other system learns which of our traces it is part of, and nothing that tracing systems of others have told us.
        if let Some(trace) = TraceContext::current()
            && let Ok(value) = HeaderValue::from_str(&trace.traceparent())
        {
            request.headers_mut().insert(TRACEPARENT, value);
        }
        let mut response = self.client.execute(request).await.map_err(|error| judge(error, &host, false))?;
        let too_large = || Error::TooLarge { host: host.clone() };
        if response.content_length().is_some_and(|length| length > MAX_ANSWER_BYTES as u64) {
            return Err(too_large());
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| judge(error, &host, true))? {
            if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status: response.status(), headers: response.headers().clone(), body: body.freeze() })
    }
}

fn judge(error: reqwest::Error, host: &str, answer_began: bool) -> Error {
    let host = host.to_owned();
    let source = error.without_url();
    if caused_by_refusal(&source) {
        return Error::Refused { host };
    }
    if source.is_timeout() {
        Error::TimedOut { host }
    } else if source.is_redirect() {
        Error::Redirected { host }
    } else if answer_began {
        Error::Truncated { host, source }
    } else if source.is_builder() {
        Error::Request { host, source }
    } else {
        Error::Unreachable { host, source }
    }
}

fn caused_by_refusal(error: &reqwest::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        if inner.is::<RefusedAddress>() {
            return true;
        }
        cause = inner.source();
    }
    false
}

fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

fn same_host_only(attempt: redirect::Attempt<'_>) -> redirect::Action {
    let from = attempt.previous().first().map(Url::origin);
    if attempt.previous().len() > MAX_REDIRECTS || from.is_some_and(|from| from != attempt.url().origin()) {
        return attempt.error("redirected away");
    }
    attempt.follow()
}

#[derive(Debug, thiserror::Error)]
#[error("every address of the name is link-local or a metadata address")]
struct RefusedAddress;

/// Resolves names and drops the addresses that must not be called, so that a name cannot hide one.
struct Resolver;

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<_> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let allowed: Vec<_> = found.iter().copied().filter(|address| may_call(address.ip())).collect();
            if allowed.is_empty() && !found.is_empty() {
                return Err(Box::from(RefusedAddress));
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}
