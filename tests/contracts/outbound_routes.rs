//! Where a call goes: names that lead astray, proxies, and authorities of one's own.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use axum::http::header;
use axum::routing::get;
use deskhand::base::Clock;
use deskhand::outbound::{Answer, Error, Http, Lookup, Refusal, Trust};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use url::Url;

use crate::fixtures::outbound::{http_that_asks, http_with, serve, settings};

/// Answers each question with the next of its answers; the last stays.
struct Script(Mutex<(VecDeque<&'static str>, usize)>);

impl Script {
    fn new(answers: &[&'static str]) -> Arc<Self> {
        Arc::new(Self(Mutex::new((answers.iter().copied().collect(), 0))))
    }

    fn questions(&self) -> usize {
        self.0.lock().expect("no panic").1
    }
}

#[async_trait]
impl Lookup for Script {
    async fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let mut script = self.0.lock().expect("no panic");
        script.1 += 1;
        let answer = if script.0.len() > 1 { script.0.pop_front() } else { script.0.front().copied() };
        match answer {
            None | Some("") => Err(io::Error::other(format!("nobody knows {name}"))),
            Some(text) => Ok(text.split(' ').map(|address| address.parse().expect("an address")).collect()),
        }
    }
}

async fn call(http: &Http, url: &str, trust: Trust) -> Result<Answer, Error> {
    http.send(http.get(Url::parse(url).expect("a url")), trust).await
}

/// A host that ends each connection, so that the next call has to resolve again.
async fn brief() -> u16 {
    let routes = Router::new().route("/", get(|| async { ([(header::CONNECTION, "close")], "reached") }));
    serve(routes).await.port().expect("a port")
}

#[tokio::test]
async fn a_name_that_turns_to_another_address_is_judged_by_the_one_that_is_called() {
    let port = brief().await;
    let url = format!("http://rebind.example:{port}/");
    for (trust, allow, turned) in [
        (Trust::Admin, "", "169.254.169.254"),
        (Trust::Admin, "", "::ffff:169.254.169.254"),
        (Trust::User, "127.0.0.1", "127.0.0.2"),
        (Trust::User, "127.0.0.1", "10.0.0.1"),
    ] {
        let script = Script::new(&["127.0.0.1", turned]);
        let http = http_that_asks(&[("ALLOW", allow)], script.clone());
        assert_eq!(call(&http, &url, trust).await.expect("well so far").body, "reached");
        assert_eq!(script.questions(), 1, "what was judged is what was called: nobody asked again");
        let error = call(&http, &url, trust).await.expect_err("it has turned");
        assert!(matches!(error, Error::Refused { .. }), "{turned}: {error:?}");
    }
}

#[tokio::test]
async fn of_a_name_with_good_and_bad_addresses_only_the_good_ones_are_called() {
    let port = brief().await;
    let http = http_that_asks(&[], Script::new(&["169.254.169.254 127.0.0.1"]));
    let url = format!("http://both.example:{port}/");
    assert_eq!(call(&http, &url, Trust::Admin).await.expect("reached").body, "reached");
    let error = call(&http, &url, Trust::User).await.expect_err("both are bad for a user");
    assert!(matches!(error, Error::Refused { .. }), "{error:?}");
}

#[tokio::test]
async fn a_connection_of_administrators_is_not_lent_to_users() {
    let url = serve(Router::new().route("/", get(|| async { "reached" }))).await;
    let named = format!("http://desk.example:{}/", url.port().expect("a port"));
    let http = http_that_asks(&[], Script::new(&["127.0.0.1"]));
    assert_eq!(call(&http, &named, Trust::Admin).await.expect("reached").body, "reached");
    let error = call(&http, &named, Trust::User).await.expect_err("private");
    assert!(matches!(error, Error::Refused { refusal: Refusal::Private, .. }), "{error:?}");
}

/// A proxy that answers everything itself and notes the heads of requests.
async fn proxy() -> (Arc<Mutex<Vec<String>>>, u16) {
    let heads = Arc::new(Mutex::new(Vec::new()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let noted = Arc::clone(&heads);
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let mut head = Vec::new();
            let mut part = [0; 1024];
            while !head.ends_with(b"\r\n\r\n") {
                let read = connection.read(&mut part).await.expect("a head");
                head.extend_from_slice(&part[..read]);
            }
            noted.lock().expect("no panic").push(String::from_utf8(head).expect("text"));
            let answer = "HTTP/1.1 200 OK\r\ncontent-length: 7\r\nconnection: close\r\n\r\nproxied";
            connection.write_all(answer.as_bytes()).await.expect("reads");
        }
    });
    (heads, port)
}

#[tokio::test]
async fn calls_go_through_the_proxy_except_those_that_need_none() {
    let ((heads, port), direct) = (proxy().await, brief().await);
    let proxy = format!("http://desk:p%40ss@127.0.0.1:{port}");
    let changes = [("PROXY", proxy.as_str()), ("NO_PROXY", "127.0.0.0/8, internal")];
    let http = http_that_asks(&changes, Script::new(&["203.0.113.7"]));
    assert_eq!(call(&http, "http://far.example/x", Trust::Admin).await.expect("answers").body, "proxied");
    let head = heads.lock().expect("no panic")[0].to_lowercase();
    assert!(head.starts_with("get http://far.example/x http/1.1\r\n"), "{head}");
    // desk:p@ss
    assert!(head.contains("proxy-authorization: basic zgvzazpwqhnz\r\n"), "{head}");
    let near = call(&http, &format!("http://127.0.0.1:{direct}/"), Trust::Admin).await.expect("answers");
    assert_eq!((near.body.as_ref(), heads.lock().expect("no panic").len()), (&b"reached"[..], 1));
}

#[tokio::test]
async fn behind_a_proxy_names_are_judged_by_what_we_resolve() {
    let (heads, port) = proxy().await;
    let proxy = format!("http://127.0.0.1:{port}");
    for (trust, url, answer, allow, expected) in [
        (Trust::Admin, "http://far.example/", "8.8.8.8", "", None),
        (Trust::User, "http://far.example/", "8.8.8.8", "", None),
        (Trust::Admin, "http://169.254.169.254/", "8.8.8.8", "", Some(Refusal::Never)),
        (Trust::User, "http://127.0.0.1/", "8.8.8.8", "", Some(Refusal::Private)),
        (Trust::Admin, "http://sly.example/", "8.8.8.8 169.254.169.254", "", Some(Refusal::Never)),
        (Trust::User, "http://sly.example/", "10.0.0.1", "", Some(Refusal::Private)),
        (Trust::Admin, "http://only-the-proxy-knows.example/", "", "", None),
        (Trust::User, "http://only-the-proxy-knows.example/", "", "", Some(Refusal::Unknown)),
        (Trust::User, "http://only-the-proxy-knows.example/", "", "only-the-proxy-knows.example", None),
    ] {
        let http = http_that_asks(&[("PROXY", &proxy), ("ALLOW", allow)], Script::new(&[answer]));
        let before = heads.lock().expect("no panic").len();
        let refusal = match call(&http, url, trust).await {
            Ok(_) => None,
            Err(Error::Refused { refusal, .. }) => Some(refusal),
            Err(error) => panic!("{url}: {error:?}"),
        };
        assert_eq!(refusal, expected, "{trust:?} {url} {answer}");
        let asked = heads.lock().expect("no panic").len() - before;
        assert_eq!(asked, usize::from(expected.is_none()), "the proxy hears of nothing that is refused: {url}");
    }
}

#[tokio::test]
async fn a_proxy_that_cannot_be_reached_is_told_without_its_password() {
    let http = http_with(&[("PROXY", "http://desk:hunter2@127.0.0.1:1")], &Clock::system());
    let error = call(&http, "http://8.8.8.8/", Trust::Admin).await.expect_err("nobody listens");
    let text = format!("{error:?} {}", deskhand_jobs::outcome::chain(&error));
    assert!(matches!(error, Error::Unreachable { .. }) && !text.contains("hunter2"), "{text}");
}

/// A host with a certificate of an authority that nobody knows, and that authority.
fn with_own_authority() -> (String, u16) {
    let authority = rcgen::CertifiedIssuer::self_signed(ca_params(), rcgen::KeyPair::generate().expect("a key"));
    let authority = authority.expect("an authority");
    let key = rcgen::KeyPair::generate().expect("a key");
    let leaf = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("names");
    let leaf = leaf.signed_by(&key, &authority).expect("a certificate");
    let chain = vec![leaf.der().clone()];
    let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("a certificate and its key");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let config = Arc::new(config);
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.expect("a connection");
            let mut tls = rustls::ServerConnection::new(Arc::clone(&config)).expect("a connection");
            let mut stream = rustls::Stream::new(&mut tls, &mut connection);
            let mut head = [0; 4096];
            // Who does not trust us leaves here.
            if stream.read(&mut head).is_ok_and(|read| read > 0) {
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\nconnection: close\r\n\r\nsecret";
                stream.write_all(answer).expect("reads");
            }
        }
    });
    (authority.pem(), port)
}

fn ca_params() -> rcgen::CertificateParams {
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params
}

#[tokio::test]
async fn a_host_of_an_own_authority_is_trusted_once_that_is_named() {
    let (authority, port) = with_own_authority();
    let url = format!("https://localhost:{port}/");
    let error = call(&http_with(&[], &Clock::system()), &url, Trust::Admin).await.expect_err("nobody vouches for it");
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");

    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("ca.pem");
    std::fs::write(&file, authority).expect("written");
    let changes = [("CA_FILE", file.to_str().expect("plain"))];
    let answer = call(&http_with(&changes, &Clock::system()), &url, Trust::Admin).await.expect("trusted");
    assert_eq!(answer.body, "secret");

    std::fs::write(&file, "no certificate").expect("written");
    let error = Http::new(&settings(&changes), Clock::system()).expect_err("refused").to_string();
    assert!(error.contains("ca.pem") && error.contains("BEGIN CERTIFICATE"), "{error}");
}
