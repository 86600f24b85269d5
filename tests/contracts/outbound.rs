//! What every call to another system keeps to.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::get;
use deskhand::outbound::{Error, Http, MAX_ANSWER_BYTES};
use deskhand_jobs::trace::{TRACEPARENT, TraceContext};
use url::Url;

/// Serves routes on a free loopback port until the end of the test.
async fn serve(routes: Router) -> Url {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, routes).await.expect("serves until the end") });
    Url::parse(&url).expect("a url")
}

fn chunks(count: usize) -> Body {
    let chunk = || Ok::<_, std::io::Error>(vec![b'x'; 1 << 20]);
    Body::from_stream(futures_util::stream::iter((0..count).map(move |_| chunk())))
}

async fn fetch(url: &Url, path: &str) -> Result<deskhand::outbound::Answer, Error> {
    let http = Http::new().expect("a client");
    let request = http.get(url.join(path).expect("a url")).basic_auth("me", Some("hunter2"));
    http.send(request).await
}

#[tokio::test]
async fn an_answer_beyond_the_limit_is_refused_whether_it_says_so_or_not() {
    let too_many = MAX_ANSWER_BYTES / (1 << 20) + 1;
    let routes = Router::new()
        .route("/fits", get(|| async { chunks(1) }))
        .route("/unsaid", get(move || async move { chunks(too_many) }))
        .route("/said", get(|| async { ([(header::CONTENT_LENGTH, "99999999999")], chunks(1)) }));
    let url = serve(routes).await;
    assert_eq!(fetch(&url, "/fits").await.expect("fits").body.len(), 1 << 20);
    for path in ["/unsaid", "/said"] {
        let error = fetch(&url, path).await.expect_err("too large");
        assert!(matches!(error, Error::TooLarge { .. }), "{path}: {error:?}");
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
        .route("/round", get(move || to("/round".to_owned())));
    let url = serve(routes).await;
    assert_eq!(fetch(&url, "/here").await.expect("the same host").body, "there");
    for path in ["/away", "/round"] {
        let error = fetch(&url, path).await.expect_err("not followed");
        assert!(matches!(error, Error::Redirected { .. }), "{path}: {error:?}");
    }
}

#[tokio::test]
async fn what_cannot_or_must_not_be_called_is_told_apart_and_never_shows_credentials() {
    let nowhere = Url::parse("http://127.0.0.1:1").expect("a url");
    let metadata = Url::parse("http://169.254.169.254").expect("a url");
    let unreachable = fetch(&nowhere, "/").await.expect_err("nothing listens");
    assert!(matches!(unreachable, Error::Unreachable { .. }), "{unreachable:?}");
    let refused = fetch(&metadata, "/latest").await.expect_err("never called");
    assert!(matches!(refused, Error::Refused { .. }), "{refused:?}");
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
    assert_eq!(within.body, trace.traceparent());
    assert_eq!(fetch(&url, "/").await.expect("answers").body, "");
}
