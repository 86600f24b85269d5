//! From where a request comes, which a proxy in front of us may tell.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, header};

use super::problem::Problem;
use super::request_id::RequestId;
use crate::app::App;
use crate::config::Network;

const FORWARDED_FOR: &str = "x-forwarded-for";
const FORWARDED_PROTO: &str = "x-forwarded-proto";

/// From where a request comes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The address of the client; `None` where there is no connection, as in tests.
    pub address: Option<IpAddr>,
    /// Whether the client speaks HTTPS, with a proxy that we trust.
    pub secure: bool,
    /// What the client calls itself.
    pub user_agent: Option<String>,
    /// The id of the request.
    pub request_id: Option<String>,
}

impl Origin {
    /// Reads it from a request.
    pub(super) fn of(headers: &HeaderMap, extensions: &Extensions, trusted: &[Network]) -> Self {
        let peer = extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
        let told = |name: &str| -> Vec<&str> {
            headers
                .get_all(name)
                .iter()
                .filter_map(|value| value.to_str().ok())
                .flat_map(|text| text.split(','))
                .collect()
        };
        let is_proxied = peer.is_some_and(|peer| is_trusted(peer, trusted));
        let user_agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        Self {
            address: peer.map(|peer| client(peer, &told(FORWARDED_FOR), trusted)),
            secure: is_proxied && told(FORWARDED_PROTO).first().is_none_or(|scheme| scheme.trim() != "http"),
            user_agent: user_agent.map(str::to_owned),
            request_id: extensions.get::<RequestId>().map(|id| id.0.clone()),
        }
    }
}

impl FromRequestParts<App> for Origin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        Ok(Self::of(&parts.headers, &parts.extensions, &app.config.server.trusted_proxies))
    }
}

fn is_trusted(address: IpAddr, trusted: &[Network]) -> bool {
    trusted.iter().any(|network| network.contains(address))
}

/// Finds the client: each proxy that we trust names the one before it, and the first that we do not trust is the client. What stands
/// further left was written by the client itself, so it counts for nothing.
fn client(peer: IpAddr, told: &[&str], trusted: &[Network]) -> IpAddr {
    let mut client = peer;
    for text in told.iter().rev() {
        if !is_trusted(client, trusted) {
            break;
        }
        let text = text.trim();
        let read = text.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()));
        let Some(address) = read else { break };
        client = address;
    }
    client.to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_believed_only_through_proxies_that_are_trusted() {
        let trusted = [Network::read("10.0.0.0/8").expect("a network")];
        for (peer, told, expected) in [
            ("192.0.2.1", &[][..], "192.0.2.1"),
            ("192.0.2.1", &["203.0.113.9"], "192.0.2.1"),
            ("10.0.0.1", &["203.0.113.9"], "203.0.113.9"),
            ("::ffff:10.0.0.1", &["203.0.113.9"], "203.0.113.9"),
            ("10.0.0.1", &["198.51.100.1", " 203.0.113.9", " 10.0.0.2"], "203.0.113.9"),
            ("10.0.0.1", &["203.0.113.9:4711"], "203.0.113.9"),
            ("10.0.0.1", &["203.0.113.9", "nonsense"], "10.0.0.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
        ] {
            let found = client(peer.parse().expect("an address"), told, &trusted);
            assert_eq!(found.to_string(), expected, "{peer} {told:?}");
        }
    }

    #[test]
    fn only_a_trusted_proxy_makes_a_request_secure() {
        let trusted = [Network::read("10.0.0.1").expect("a network")];
        for (peer, scheme, secure) in [
            ("10.0.0.1:1", Some("https"), true),
            ("10.0.0.1:1", Some("http"), false),
            ("10.0.0.1:1", None, true),
            ("192.0.2.1:1", Some("https"), false),
        ] {
            let (mut headers, mut extensions) = (HeaderMap::new(), Extensions::new());
            extensions.insert(ConnectInfo::<SocketAddr>(peer.parse().expect("an address")));
            if let Some(scheme) = scheme {
                headers.insert(FORWARDED_PROTO, scheme.parse().expect("a header"));
            }
            assert_eq!(Origin::of(&headers, &extensions, &trusted).secure, secure, "{peer} {scheme:?}");
        }
    }
}
