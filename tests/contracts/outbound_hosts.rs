//! What is known of hosts: a failing one is left alone, one that asks to wait is obeyed, and none is stormed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse};
use axum::routing::get;
use chrono::DateTime;
use deskhand::base::Clock;
use deskhand::outbound::{Answer, Error, Http, Trust};
use tokio::sync::{Notify, Semaphore};
use url::Url;

use crate::fixtures::outbound::{http_with, serve};

const SECOND: Duration = Duration::from_secs(1);

/// A host that answers as it is told, and counts.
#[derive(Clone, Default)]
struct Told(Arc<(AtomicUsize, AtomicUsize)>);

impl Told {
    fn status(&self, status: u16) {
        self.0.0.store(status.into(), Ordering::SeqCst);
    }

    fn calls(&self) -> usize {
        self.0.1.load(Ordering::SeqCst)
    }
}

/// Answers with the status that was told; with 429 only those who are called "greedy".
async fn answer(State(told): State<Told>, headers: HeaderMap) -> impl IntoResponse {
    told.0.1.fetch_add(1, Ordering::SeqCst);
    let greedy = headers.get(header::AUTHORIZATION).is_some_and(|value| value == "Bearer greedy");
    let status = match told.0.0.load(Ordering::SeqCst) as u16 {
        429 if !greedy => 200,
        status => status,
    };
    let wait = matches!(status, 429 | 503).then_some((header::RETRY_AFTER, "20"));
    (StatusCode::from_u16(status).expect("a status"), AppendHeaders(wait))
}

async fn host() -> (Told, Url) {
    let told = Told::default();
    told.status(200);
    let url = serve(Router::new().route("/", get(answer)).with_state(told.clone())).await;
    (told, url)
}

fn clock() -> Clock {
    Clock::manual(DateTime::UNIX_EPOCH)
}

async fn call(http: &Http, url: &Url, who: &str) -> Result<Answer, Error> {
    http.send(http.get(url.clone()).bearer_auth(who), Trust::Admin).await
}

#[tokio::test]
async fn a_host_that_fails_is_left_alone_until_one_call_finds_it_well() {
    let (clock, (told, url)) = (clock(), host().await);
    let http = http_with(&[("CIRCUIT_FAILURES", "3"), ("CIRCUIT_OPEN_S", "30")], &clock);
    told.status(502);
    for _ in 0..3 {
        assert_eq!(call(&http, &url, "me").await.expect("answers").status, 502);
    }
    clock.advance(SECOND);
    let error = call(&http, &url, "me").await.expect_err("left alone");
    assert!(matches!(&error, Error::Resting { wait, .. } if *wait == 29 * SECOND), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("1970-01-01 00:00:30 UTC") && text.contains("status 502"), "{text}");
    assert_eq!(told.calls(), 3, "nothing was asked of it");

    clock.advance(29 * SECOND);
    assert_eq!(call(&http, &url, "me").await.expect("one call tries").status, 502);
    assert!(matches!(call(&http, &url, "me").await, Err(Error::Resting { .. })), "and found it ill");
    clock.advance(30 * SECOND);
    told.status(200);
    for _ in 0..5 {
        call(&http, &url, "me").await.expect("it is well again");
    }
}

#[tokio::test]
async fn a_host_that_does_not_answer_is_left_alone_as_well() {
    let http = http_with(&[("CIRCUIT_FAILURES", "2")], &clock());
    let nowhere = Url::parse("http://127.0.0.1:1").expect("a url");
    for _ in 0..2 {
        assert!(matches!(call(&http, &nowhere, "me").await, Err(Error::Unreachable { .. })));
    }
    let error = call(&http, &nowhere, "me").await.expect_err("left alone").to_string();
    assert!(error.contains("no connection"), "{error}");
    call(&http, &host().await.1, "me").await.expect("another host has nothing to do with it");
}

#[tokio::test]
async fn answers_that_blame_the_caller_close_nothing() {
    let (told, url) = host().await;
    let http = http_with(&[("CIRCUIT_FAILURES", "1")], &clock());
    for status in [400, 401, 403, 404, 409] {
        told.status(status);
        assert_eq!(call(&http, &url, "me").await.expect("answers").status, status);
    }
}

#[tokio::test]
async fn who_called_too_often_waits_and_others_do_not() {
    let (clock, (told, url)) = (clock(), host().await);
    let http = http_with(&[], &clock);
    told.status(429);
    assert_eq!(call(&http, &url, "greedy").await.expect("answers").status, 429);
    clock.advance(5 * SECOND);
    let error = call(&http, &url, "greedy").await.expect_err("it has to wait");
    assert!(matches!(error, Error::Asked { wait, .. } if wait == 15 * SECOND), "{error:?}");
    assert_eq!(call(&http, &url, "modest").await.expect("answers").status, 200);
    clock.advance(15 * SECOND);
    assert_eq!(call(&http, &url, "greedy").await.expect("asked again").status, 429);
    assert_eq!(told.calls(), 3);
}

#[tokio::test]
async fn a_host_that_is_away_for_a_while_is_away_for_everybody() {
    let (clock, (told, url)) = (clock(), host().await);
    let http = http_with(&[], &clock);
    told.status(503);
    assert_eq!(call(&http, &url, "one").await.expect("answers").status, 503);
    told.status(200);
    for who in ["one", "other"] {
        assert!(matches!(call(&http, &url, who).await, Err(Error::Asked { wait, .. }) if wait == 20 * SECOND));
    }
    clock.advance(20 * SECOND);
    call(&http, &url, "other").await.expect("it is back");
}

#[tokio::test]
async fn only_so_many_calls_of_a_host_are_under_way_at_once() {
    let inside = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0), Notify::new(), Semaphore::new(0)));
    let seen = Arc::clone(&inside);
    let slow = move || {
        let inside = Arc::clone(&inside);
        async move {
            let now = inside.0.fetch_add(1, Ordering::SeqCst) + 1;
            inside.1.fetch_max(now, Ordering::SeqCst);
            inside.2.notify_one();
            inside.3.acquire().await.expect("open").forget();
            inside.0.fetch_sub(1, Ordering::SeqCst);
        }
    };
    let url = serve(Router::new().route("/", get(slow))).await;
    let http = http_with(&[("PER_HOST", "2")], &Clock::system());
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let (http, url) = (http.clone(), url.clone());
        calls.spawn(async move { call(&http, &url, "me").await.map(|_| ()) });
    }
    seen.2.notified().await;
    seen.3.add_permits(6);
    while let Some(ended) = calls.join_next().await {
        ended.expect("no panic").expect("answers");
    }
    let most = seen.1.load(Ordering::SeqCst);
    assert!((1..=2).contains(&most), "{most} at once");
}
