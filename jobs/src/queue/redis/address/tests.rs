use proptest::prelude::*;

use super::*;

fn parse(url: &str) -> Address {
    Address::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"))
}

fn host(name: &str, port: u16) -> (String, u16) {
    (name.to_owned(), port)
}

#[test]
fn each_kind_of_address_is_read() {
    let one = parse("redis://user:pa%40ss@10.0.0.1/2");
    assert_eq!((one.layout, one.hosts), (Layout::One, vec![host("10.0.0.1", 6379)]));
    let login = one.server.redis_settings();
    assert_eq!((login.username(), login.password(), login.db()), (Some("user"), Some("pa@ss"), 2));

    let sentinel = parse("redis+sentinel://:p@s1,s2:7/1?service=desk&sentinel_user=su&sentinel_password=s%26p");
    assert_eq!(sentinel.layout, Layout::Sentinel("desk".to_owned()));
    assert_eq!(sentinel.hosts, [host("s1", 26379), host("s2", 7)]);
    assert_eq!((sentinel.sentinel.username(), sentinel.sentinel.password()), (Some("su"), Some("s&p")));
    assert_eq!((sentinel.user(), sentinel.server.redis_settings().db()), ("default", 1));

    let cluster = parse("rediss+cluster://[::1]:7000,node-2.example:7001");
    assert_eq!((cluster.layout.clone(), cluster.hosts.len()), (Layout::Cluster, 2));
    assert_eq!(cluster.shown, "rediss+cluster://[::1]:7000,node-2.example:7001");
    assert!(matches!(cluster.at_host("h", 1).addr(), ConnectionAddr::TcpTls { insecure: false, .. }));
    assert!(matches!(parse("redis://h").at_host("h", 1).addr(), ConnectionAddr::Tcp(..)));
}

#[test]
fn every_scheme_is_read() {
    for scheme in SCHEMES {
        let service = if scheme.ends_with("sentinel") { "?service=m" } else { "" };
        assert_eq!(parse(&format!("{scheme}://h:1{service}")).shown, format!("{scheme}://h:1"));
    }
}

#[test]
fn a_socket_shows_its_path_and_no_password() {
    let socket = parse("redis+unix:///run/redis.sock?db=1&pass=secret");
    assert_eq!((socket.shown.as_str(), socket.hosts.len()), ("redis+unix:///run/redis.sock", 0));
}

#[test]
fn what_is_wrong_is_answered_with_what_is_right() {
    for (url, what, right) in [
        ("localhost:6379", "no scheme", "redis://user"),
        ("mysql://h", "scheme is not known", "redis+cluster://"),
        ("redisx://h", "scheme is not known", "redis+cluster://"),
        ("redis://", "host or port", "redis://user"),
        ("redis://h:port", "host or port", "redis://user"),
        ("redis://h1,h2", "several hosts", "redis://user"),
        ("redis://h/zero", "number of the database", "redis://user"),
        ("redis://h?service=x", "only Sentinels", "redis://user"),
        ("redis://h?ca=/etc/ca.pem", "second s", "redis://user"),
        ("rediss://h?ca=/does/not/exist", "cannot read /does/not/exist", "rediss://user"),
        ("rediss://h?cert=/dev/null", "together", "rediss://user"),
        ("redis://u:a/b@h", "%2F", "redis://user"),
        ("redis://u:a#b@h", "%23", "redis://user"),
        ("redis+sentinel://h", "name of the master", "service=mymaster"),
        ("redis+cluster://h/3", "only database 0", "redis+cluster://user"),
    ] {
        let error = Address::parse(url).expect_err(url);
        assert!(error.contains(what) && error.contains(right), "{url}: {error}");
    }
}

proptest! {
    #[test]
    fn no_part_of_a_password_is_shown(
        form in prop::sample::select(vec!["redis://", "rediss://", "redis+sentinel://", "redis+cluster://", "nonsense://", ""]),
        password in "[:/?#@&=%,]{0,3}S3CRET[:/?#@&=%,]{0,3}S3CRET",
        rest in prop::sample::select(vec!["h", "h:1", "h/x", "h?service=m", "h:x", ""]),
    ) {
        match Address::parse(&format!("{form}user:{password}@{rest}")) {
            Ok(address) => {
                let shown = format!("{} {:?}", address.shown, address);
                prop_assert!(!shown.contains("S3CRET"), "{}", shown);
            }
            Err(error) => prop_assert!(!error.contains("S3CRET"), "{}", error),
        }
    }
}
