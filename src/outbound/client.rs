//! The clients, and the walk of a call through them: judged, let in, sent, read, told.

use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use deskhand_jobs::trace::{TRACEPARENT, TraceContext};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Client, ClientBuilder, Request, RequestBuilder, StatusCode, redirect};
use sha2::{Digest, Sha256};
use tracing::Instrument;
use tracing::field::{Empty, display};
use url::{Host, Url};

use super::circuit::{Heard, Saw};
use super::error::{Error, Hindrance};
use super::figures::{self, Labels};
use super::hosts::{Closed, Credential, Hosts, Place};
use super::policy::{Policy, Refusal, Trust};
use super::resolver::{Judging, Lookup, OfProxy, System, Unknown, judge_name};
use super::retry_after::retry_after;
use super::settings::Settings;
use crate::base::{self, Clock};

const MAX_REDIRECTS: usize = 5;

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

/// Calls other systems. A clone shares connections and what is known of hosts.
#[derive(Clone)]
pub struct Http(Arc<Shared>);

impl std::fmt::Debug for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Http")
    }
}

struct Shared {
    settings: Settings,
    policy: Arc<Policy>,
    lookup: Arc<dyn Lookup>,
    clock: Clock,
    hosts: Hosts,
    labels: Labels,
    admin: Clients,
    user: Clients,
}

/// The connections of one class of callers: a connection that one class may use must not be found by the other.
struct Clients {
    direct: Client,
    /// Only what goes through the proxy has this one: its resolver knows the proxy, and would let anybody reach it.
    proxied: Option<Client>,
}

impl Http {
    /// Makes the client.
    ///
    /// # Errors
    /// [`base::Error::Invalid`] names the setting that is wrong, [`base::Error::Internal`] says that the system's certificates
    /// cannot be loaded.
    pub fn new(settings: &Settings, clock: Clock) -> base::Result<Self> {
        Self::with_lookup(settings, clock, Arc::new(System))
    }

    /// Makes the client with a way of one's own to find the addresses of names.
    ///
    /// # Errors
    /// As [`Http::new`].
    pub fn with_lookup(settings: &Settings, clock: Clock, lookup: Arc<dyn Lookup>) -> base::Result<Self> {
        // A second installation is refused, and then the first, which is the same, stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let certificates = certificates(settings)?;
        let policy = Arc::new(Policy { private: settings.private, allow: settings.allow.clone() });
        let clients = |trust| -> base::Result<Clients> {
            let begin = || builder(settings, &certificates, &policy, trust);
            let (policy, lookup) = (Arc::clone(&policy), Arc::clone(&lookup));
            let direct = begin().no_proxy().dns_resolver(Judging { lookup: Arc::clone(&lookup), policy, trust });
            let proxied = match &settings.proxy {
                None => None,
                Some(proxy) => {
                    let mut through = reqwest::Proxy::all(proxy.url.clone()).map_err(unusable)?;
                    if let Some((user, password)) = &proxy.login {
                        through = through.basic_auth(user, password.expose());
                    }
                    Some(begin().proxy(through).dns_resolver(OfProxy(lookup)).build().map_err(unusable)?)
                }
            };
            Ok(Clients { direct: direct.build().map_err(unusable)?, proxied })
        };
        let (admin, user) = (clients(Trust::Admin)?, clients(Trust::User)?);
        let (settings, hosts, labels) = (settings.clone(), Hosts::new(settings), Labels::default());
        Ok(Self(Arc::new(Shared { settings, policy, lookup, clock, hosts, labels, admin, user })))
    }

    /// Begins a GET.
    pub fn get(&self, url: Url) -> RequestBuilder {
        self.0.admin.direct.get(url)
    }

    /// Begins a POST.
    pub fn post(&self, url: Url) -> RequestBuilder {
        self.0.admin.direct.post(url)
    }

    /// Begins a PUT.
    pub fn put(&self, url: Url) -> RequestBuilder {
        self.0.admin.direct.put(url)
    }

    /// Begins a PATCH.
    pub fn patch(&self, url: Url) -> RequestBuilder {
        self.0.admin.direct.patch(url)
    }

    /// Sends a request and reads the whole answer; `trust` says who has chosen the address. The call is part of the current trace,
    /// if there is one.
    ///
    /// # Errors
    /// [`Error`] if no whole answer came.
    pub async fn send(&self, request: RequestBuilder, trust: Trust) -> Result<Answer, Error> {
        // Which client the request began with does not matter: it goes out through the one that fits.
        let request = request.build().map_err(|error| Error::Request {
            host: error.url().map_or_else(|| "the other system".to_owned(), origin),
            source: error.without_url(),
        })?;
        let host = authority(request.url());
        let label = self.0.labels.of(trust, &host);
        let caller = TraceContext::current();
        let trace = caller.as_ref().map(TraceContext::child);
        let span = tracing::info_span!(
            "outbound",
            method = %request.method(),
            host,
            status = Empty,
            outcome = Empty,
            error = Empty,
            duration_ms = Empty,
            trace_id = trace.as_ref().map(|trace| display(trace.trace_id())),
            span_id = trace.as_ref().map(|trace| display(trace.span_id())),
            parent_span_id = caller.map(|caller| display(caller.span_id())),
            otel.kind = "client",
            otel.sampled = trace.as_ref().is_some_and(TraceContext::is_sampled),
            otel.ended = Empty,
        );
        let method = request.method().clone();
        let began = Instant::now();
        let done = self.0.call(request, trust, &label, trace).instrument(span.clone()).await;
        let status = done.as_ref().ok().map(|answer| answer.status.as_u16());
        let outcome = match &done {
            Ok(answer) => {
                span.record("status", status);
                figures::class(answer.status.as_u16())
            }
            Err(error) => {
                span.record("error", display(error));
                error.outcome()
            }
        };
        span.record("outcome", outcome);
        let duration_ms = began.elapsed().as_millis() as u64;
        span.record("duration_ms", duration_ms);
        span.record("otel.ended", true);
        tracing::debug!(parent: &span, %method, host, status, outcome, duration_ms, "called");
        figures::count(&label, outcome);
        done
    }
}

impl Shared {
    async fn call(
        &self,
        mut request: Request,
        trust: Trust,
        label: &str,
        trace: Option<TraceContext>,
    ) -> Result<Answer, Error> {
        let host = origin(request.url());
        let client = self.judge(request.url(), trust).await.map_err(|refusal| refused(&host, refusal))?;
        let now = || self.clock.now();
        let entered = self.hosts.enter((trust, &host), credential(&request), now).await;
        let mut place = entered.map_err(|closed| self.closed(&host, closed))?;
        // The other system learns which of our traces it is part of, and nothing that tracing systems of others have told us.
        if let Some(trace) = trace
            && let Ok(value) = HeaderValue::from_str(&trace.traceparent())
        {
            request.headers_mut().insert(TRACEPARENT, value);
        }
        let began = Instant::now();
        let done = self.exchange(client, request, &host).await;
        self.tell(&mut place, &done, label);
        if !matches!(done, Err(Error::Refused { .. } | Error::Request { .. })) {
            figures::time(label, began.elapsed());
        }
        done
    }

    /// Judges where a call goes, as far as that can be told before there is a connection, and finds the client that makes it.
    async fn judge(&self, url: &Url, trust: Trust) -> Result<&Client, Refusal> {
        self.policy.judge_literal(trust, url)?;
        let clients = match trust {
            Trust::Admin => &self.admin,
            Trust::User => &self.user,
        };
        let proxied = clients.proxied.as_ref().filter(|_| self.settings.proxy_for(url).is_some());
        let Some(client) = proxied else { return Ok(&clients.direct) };
        if let Some(Host::Domain(name)) = url.host() {
            judge_name(&*self.lookup, &self.policy, trust, name).await?;
        }
        Ok(client)
    }

    async fn exchange(&self, client: &Client, request: Request, host: &str) -> Result<Answer, Error> {
        let max_bytes = self.settings.max_answer_bytes;
        let too_large = || Error::TooLarge { host: host.to_owned(), max_bytes };
        let mut response = client.execute(request).await.map_err(|error| self.trouble(error, host, false))?;
        if response.content_length().is_some_and(|length| length > max_bytes as u64) {
            return Err(too_large());
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.trouble(error, host, true))? {
            if body.len() + chunk.len() > max_bytes {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status: response.status(), headers: response.headers().clone(), body: body.freeze() })
    }

    /// Notes what a call says of its host.
    fn tell(&self, place: &mut Place, done: &Result<Answer, Error>, label: &str) {
        let now = self.clock.now();
        let heard = match done {
            Ok(answer) if answer.status.is_server_error() => Heard::Failure(Saw::Status(answer.status.as_u16())),
            Ok(_) | Err(Error::TooLarge { .. } | Error::Redirected { .. }) => Heard::Answer,
            Err(Error::Unreachable { .. }) => Heard::Failure(Saw::Trouble("no connection")),
            Err(Error::TimedOut { .. }) => Heard::Failure(Saw::Trouble("no answer in time")),
            Err(Error::Truncated { .. }) => Heard::Failure(Saw::Trouble("an answer that broke off")),
            Err(_) => Heard::Nothing,
        };
        figures::circuit(label, place.heard(heard, now));
        if let Ok(answer) = done
            && matches!(answer.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
            && let Some(wait) = retry_after(&answer.headers, now)
        {
            place.pause(answer.status == StatusCode::SERVICE_UNAVAILABLE, wait, now);
        }
    }

    fn closed(&self, host: &str, closed: Closed) -> Error {
        let host = host.to_owned();
        let wait = |until: DateTime<Utc>| (until - self.clock.now()).to_std().unwrap_or_default();
        match closed {
            Closed::Resting(resting) => {
                let until = resting.until;
                Error::Resting { host, until, wait: wait(until), saw: resting.saw.to_string() }
            }
            Closed::Asked(until) => Error::Asked { host, until, wait: wait(until) },
            Closed::Crowded(per_host) => Error::Crowded { host, per_host },
        }
    }

    fn trouble(&self, error: reqwest::Error, host: &str, answer_began: bool) -> Error {
        let source = error.without_url();
        if let Some(refusal) = refusal(&source) {
            return refused(host, refusal);
        }
        let host = host.to_owned();
        if source.is_timeout() {
            let Settings { connect_timeout_s, timeout_s, .. } = self.settings;
            Error::TimedOut { host, connect_timeout_s, timeout_s }
        } else if source.is_redirect() {
            Error::Redirected { host }
        } else if answer_began {
            Error::Truncated { host, source }
        } else if source.is_builder() {
            Error::Request { host, source }
        } else {
            Error::Unreachable { host, hindrance: hindrance(&source), source }
        }
    }
}

fn certificates(settings: &Settings) -> base::Result<Vec<reqwest::Certificate>> {
    let path = &settings.ca_file;
    if path.as_os_str().is_empty() {
        return Ok(Vec::new());
    }
    let wrong = |cause: String| {
        base::Error::field("/outbound/ca_file", format!("outbound.ca_file {}: {cause}", path.display()))
    };
    let text = std::fs::read(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    let found = reqwest::Certificate::from_pem_bundle(&text).unwrap_or_default();
    if found.is_empty() {
        return Err(wrong("it holds no certificate: give one or more as PEM, -----BEGIN CERTIFICATE-----".to_owned()));
    }
    Ok(found)
}

fn builder(
    settings: &Settings,
    certificates: &[reqwest::Certificate],
    policy: &Arc<Policy>,
    trust: Trust,
) -> ClientBuilder {
    let policy = Arc::clone(policy);
    Client::builder()
        .connect_timeout(settings.connect_timeout())
        .timeout(settings.timeout())
        .redirect(redirect::Policy::custom(move |attempt| follow(&policy, trust, attempt)))
        .tls_certs_merge(certificates.iter().cloned())
        .user_agent(concat!("deskhand/", env!("CARGO_PKG_VERSION")))
}

fn unusable(error: reqwest::Error) -> base::Error {
    base::Error::internal("cannot make the HTTP client", error.without_url())
}

/// Follows on the same host only: credentials must not travel, and a host must not point us at another.
fn follow(policy: &Policy, trust: Trust, attempt: redirect::Attempt<'_>) -> redirect::Action {
    if let Err(refusal) = policy.judge_literal(trust, attempt.url()) {
        return attempt.error(refusal);
    }
    let from = attempt.previous().first().map(Url::origin);
    if attempt.previous().len() > MAX_REDIRECTS || from.is_some_and(|from| from != attempt.url().origin()) {
        return attempt.error("redirected away");
    }
    attempt.follow()
}

fn refused(host: &str, refusal: Refusal) -> Error {
    Error::Refused { host: host.to_owned(), refusal }
}

fn refusal(error: &reqwest::Error) -> Option<Refusal> {
    causes(error).find_map(|cause| cause.downcast_ref::<Refusal>().copied())
}

/// Says what hindered a connection, by the types of the errors below.
fn hindrance(error: &reqwest::Error) -> Hindrance {
    let of = |cause: &(dyn std::error::Error + 'static)| {
        if cause.is::<Unknown>() {
            return Some(Hindrance::Name);
        }
        cause.is::<rustls::Error>().then_some(Hindrance::Tls)
    };
    causes(error).find_map(of).unwrap_or(Hindrance::Other)
}

/// Returns the errors behind one, the nearest first; what an error of I/O wraps is one of them.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(std::error::Error::source(error), |cause| {
        let wrapped = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        wrapped.map(|inner| inner as &(dyn std::error::Error + 'static)).or_else(|| cause.source())
    })
}

fn credential(request: &Request) -> Credential {
    let given = request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes).unwrap_or_default();
    Sha256::digest(given).into()
}

fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// Host and port, for people and figures.
fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}
