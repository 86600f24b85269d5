//! What every call to another system keeps to.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::get;
use deskhand::base::Clock;
use deskhand::outbound::{Answer, Error, Http, Refusal, Trust};
use deskhand_jobs::trace::{TRACEPARENT, TraceContext};
use url::Url;

use crate::fixtures::TestApp;
use crate::fixtures::outbound::{http, http_with, serve};

const MIB: usize = 1 << 20;

fn chunks(count: usize) -> Body {
    let chunk = || Ok::<_, std::io::Error>(vec![b'x'; MIB]);
    Body::from_stream(futures_util::stream::iter((0..count).map(move |_| chunk())))
}

async fn fetch_with(http: &Http, url: &Url, path: &str, trust: Trust) -> Result<Answer, Error> {
    let request = http.get(url.join(path).expect("a url")).basic_auth("me", Some("hunter2"));
    http.send(request, trust).await
}

async fn fetch(url: &Url, path: &str) -> Result<Answer, Error> {
    fetch_with(&http(), url, path, Trust::Admin).await
}

#[tokio::test]
async fn an_answer_beyond_the_limit_is_refused_whether_it_says_so_or_not() {
    let routes = Router::new()
        .route("/fits", get(|| async { chunks(2) }))
        .route("/unsaid", get(|| async { chunks(3) }))
        .route("/said", get(|| async { ([(header::CONTENT_LENGTH, "99999999999")], chunks(1)) }));
    let url = serve(routes).await;
    let http = http_with(&[("MAX_ANSWER_BYTES", &(2 * MIB).to_string())], &Clock::system());
    assert_eq!(fetch_with(&http, &url, "/fits", Trust::Admin).await.expect("fits").body.len(), 2 * MIB);
    for path in ["/unsaid", "/said"] {
        let error = fetch_with(&http, &url, path, Trust::Admin).await.expect_err("too large");
        assert!(matches!(error, Error::TooLarge { max_bytes, .. } if max_bytes == 2 * MIB), "{path}: {error:?}");
    }
}

#[tokio::test]
async fn redirects_are_followed_on_the_same_host_only() {
    let elsewhere = serve(Router::new().route("/", get(|| async { "caught" }))).await;
    let away = elsewhere.to_string();
    let to = |place: String| async move { (StatusCode::FOUND, [(header::LOCATION, place)]) };
    let routes = Router::new()
        .route("/here", get(move || to("/there".to_owned())))
        .route("/there", get(|| async { "there" }))
        .route("/away", get(move || to(away.clone())))
        .route("/metadata", get(move || to("http://[::ffff:169.254.169.254]/latest".to_owned())))
        .route("/round", get(move || to("/round".to_owned())));
    let url = serve(routes).await;
    assert_eq!(fetch(&url, "/here").await.expect("the same host").body, "there");
    for path in ["/away", "/round"] {
        let error = fetch(&url, path).await.expect_err("not followed");
        assert!(matches!(error, Error::Redirected { .. }), "{path}: {error:?}");
    }
    let error = fetch(&url, "/metadata").await.expect_err("not followed");
    assert!(matches!(error, Error::Refused { refusal: Refusal::Never, .. }), "{error:?}");
}

#[tokio::test]
async fn what_cannot_or_must_not_be_called_is_told_apart_and_never_shows_credentials() {
    let nowhere = Url::parse("http://127.0.0.1:1").expect("a url");
    let metadata = Url::parse("http://169.254.169.254").expect("a url");
    let unreachable = fetch(&nowhere, "/").await.expect_err("nothing listens");
    assert!(matches!(unreachable, Error::Unreachable { .. }), "{unreachable:?}");
    let refused = fetch(&metadata, "/latest").await.expect_err("never called");
    assert!(matches!(refused, Error::Refused { refusal: Refusal::Never, .. }), "{refused:?}");
    for error in [unreachable, refused] {
        assert!(!format!("{error:?} {error}").contains("hunter2"), "{error:?}");
    }
}

#[tokio::test]
async fn a_call_is_part_of_the_current_trace_and_of_none_without_one() {
    let told = |headers: HeaderMap| async move {
        headers.get(TRACEPARENT).map_or_else(String::new, |value| value.to_str().expect("text").to_owned())
    };
    let url = serve(Router::new().route("/", get(told))).await;
    let trace = TraceContext::root();
    let within = trace.clone().scope(fetch(&url, "/")).await.expect("answers");
    let told = std::str::from_utf8(&within.body).ok().and_then(|text| TraceContext::parse(text, None).ok());
    let told = told.expect("a context");
    assert_eq!(told.trace_id(), trace.trace_id());
    assert_ne!(told.span_id(), trace.span_id(), "the call itself is a piece of work");
    assert_eq!(fetch(&url, "/").await.expect("answers").body, "");
}

#[tokio::test]
async fn a_private_address_is_called_for_administrators_and_not_for_users() {
    let url = serve(Router::new().route("/", get(|| async { "here" }))).await;
    let call = async |changes: &[(&str, &str)], trust| match fetch_with(
        &http_with(changes, &Clock::system()),
        &url,
        "/",
        trust,
    )
    .await
    {
        Ok(answer) => Ok(answer.body),
        Err(Error::Refused { refusal, .. }) => Err(refusal),
        Err(error) => panic!("{error:?}"),
    };
    for (changes, trust, expected) in [
        (&[][..], Trust::Admin, None),
        (&[], Trust::User, Some(Refusal::Private)),
        (&[("ALLOW", "10.0.0.0/8, 127.0.0.0/8")], Trust::User, None),
        (&[("ALLOW", "10.0.0.0/8")], Trust::User, Some(Refusal::Private)),
        (&[("PRIVATE", "deny")], Trust::Admin, Some(Refusal::Denied)),
        (&[("PRIVATE", "deny"), ("ALLOW", "127.0.0.1")], Trust::Admin, None),
    ] {
        assert_eq!(call(changes, trust).await.err(), expected, "{changes:?} {trust:?}");
    }
}

#[tokio::test]
async fn a_call_is_counted_and_timed_by_host() {
    let test = TestApp::new().await;
    deskhand::http::metrics::record().expect("records");
    let url = serve(Router::new().route("/", get(|| async { "here" }))).await;
    let http = http();
    for path in ["/", "/", "/missing"] {
        fetch_with(&http, &url, path, Trust::Admin).await.expect("answers");
    }
    let host = format!("127.0.0.1:{}", url.port().expect("a port"));
    let figures = test.get("/metrics").await.text;
    for line in [
        format!("deskhand_outbound_requests_total{{host=\"{host}\",outcome=\"2xx\"}} 2"),
        format!("deskhand_outbound_requests_total{{host=\"{host}\",outcome=\"4xx\"}} 1"),
        format!("deskhand_outbound_request_seconds_count{{host=\"{host}\"}} 3"),
        format!("deskhand_outbound_circuit_state{{host=\"{host}\"}} 0"),
    ] {
        assert!(figures.lines().any(|found| found == line), "{line} is missing");
    }
}
