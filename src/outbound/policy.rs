//! Who may call what: the kind of place, the class of the caller, and what the settings allow. Pure.

use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};
use url::{Host, Url};

use super::address::{Place, carried, place};

/// Who has chosen the address of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trust {
    /// An administrator has set it up: private addresses are allowed unless `outbound.private` says otherwise.
    Admin,
    /// An ordinary user has typed it: private addresses are refused unless `outbound.allow` names them.
    User,
}

/// Whether an administrator may set up private addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Private {
    /// Ticket systems live there.
    Allow,
    /// Only those that `outbound.allow` names.
    Deny,
}

/// A name or a network that may be called although it is private.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allowed {
    /// A host, in lower case.
    Name(String),
    /// A network: its first address and how many bits of it count.
    Network(IpAddr, u8),
}

impl FromStr for Allowed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let wrong = |cure: &str| Err(format!("{text:?} {cure}"));
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let Ok(address) = address.trim_matches(['[', ']']).parse::<IpAddr>() else {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            if bits.is_some() || text.is_empty() || !text.chars().all(plain) {
                return wrong("is neither a host nor a network: write it as hooks.internal or 10.1.0.0/16");
            }
            return Ok(Self::Name(plain_name(text)));
        };
        let whole = if address.is_ipv4() { 32 } else { 128 };
        let Some(bits) = bits.map_or(Some(whole), |bits| bits.parse().ok().filter(|bits| *bits <= whole)) else {
            return wrong(&format!("is no network: behind the slash stands a number from 0 to {whole}"));
        };
        if place(address) == Place::Never && bits > 0 {
            return wrong(
                "is link-local, a metadata service or no single machine: it is never called, whatever is allowed",
            );
        }
        Ok(Self::Network(address, bits))
    }
}

impl<'de> Deserialize<'de> for Allowed {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        String::deserialize(reader)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Allowed {
    pub(super) fn covers(&self, name: Option<&str>, address: IpAddr) -> bool {
        match self {
            Self::Name(allowed) => name.is_some_and(|name| plain_name(name) == *allowed),
            Self::Network(first, bits) => {
                let carried = match address {
                    IpAddr::V6(v6) => carried(v6).map(IpAddr::V4),
                    IpAddr::V4(_) => None,
                };
                within(*first, *bits, address) || carried.is_some_and(|carried| within(*first, *bits, carried))
            }
        }
    }
}

/// Returns a name as it is compared: in lower case, without the dot at the end that means the root.
pub(super) fn plain_name(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

fn within(first: IpAddr, bits: u8, address: IpAddr) -> bool {
    let same = |one: u128, other: u128, width: u32| {
        let shift = width - u32::from(bits).min(width);
        shift == width || one >> shift == other >> shift
    };
    match (first, address) {
        (IpAddr::V4(first), IpAddr::V4(address)) => same(u32::from(first).into(), u32::from(address).into(), 32),
        (IpAddr::V6(first), IpAddr::V6(address)) => same(first.into(), address.into(), 128),
        _ => false,
    }
}

/// Why an address is not called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Whatever the settings say.
    #[error("link-local or metadata address, which is never called: give the address of the real system")]
    Never,
    /// Private, and the settings do not allow it for an administrator.
    #[error("private address, and outbound.private is \"deny\": an administrator may name it in outbound.allow")]
    Denied,
    /// Private, and typed by an ordinary user.
    #[error("private address, which is not called on behalf of users: an administrator may name it in outbound.allow")]
    Private,
    /// Its address cannot be told here, and only the proxy would know it.
    #[error(
        "name that cannot be resolved here, so it cannot be judged: an administrator may name it in outbound.allow"
    )]
    Unknown,
}

/// What the settings allow.
#[derive(Debug, Clone)]
pub(super) struct Policy {
    pub(super) private: Private,
    pub(super) allow: Vec<Allowed>,
}

impl Policy {
    /// Judges an address, reached by a name if there is one.
    pub(super) fn judge(&self, trust: Trust, name: Option<&str>, address: IpAddr) -> Result<(), Refusal> {
        match (place(address), trust, self.private) {
            (Place::Never, ..) => Err(Refusal::Never),
            (Place::Public, ..) | (Place::Private, Trust::Admin, Private::Allow) => Ok(()),
            (Place::Private, ..) if self.allow.iter().any(|allowed| allowed.covers(name, address)) => Ok(()),
            (Place::Private, Trust::Admin, Private::Deny) => Err(Refusal::Denied),
            (Place::Private, Trust::User, _) => Err(Refusal::Private),
        }
    }

    /// Judges the address that stands in a url; a name is judged when it is resolved.
    pub(super) fn judge_literal(&self, trust: Trust, url: &Url) -> Result<(), Refusal> {
        match url.host() {
            Some(Host::Ipv4(v4)) => self.judge(trust, None, v4.into()),
            Some(Host::Ipv6(v6)) => self.judge(trust, None, v6.into()),
            Some(Host::Domain(_)) | None => Ok(()),
        }
    }

    /// Says whether a name may be called wherever it leads to, except where nobody may call.
    pub(super) fn allows_name(&self, name: &str) -> bool {
        let name = plain_name(name);
        self.allow.iter().any(|allowed| matches!(allowed, Allowed::Name(known) if *known == name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(private: Private, allow: &[&str]) -> Policy {
        Policy { private, allow: allow.iter().map(|text| text.parse().expect("a name or a network")).collect() }
    }

    #[test]
    fn the_class_of_the_caller_and_the_settings_decide() {
        let allow = ["hooks.internal", "10.1.0.0/16", "fd12::/32"];
        for (private, trust, name, address, expected) in [
            (Private::Allow, Trust::Admin, None, "10.9.0.1", Ok(())),
            (Private::Allow, Trust::Admin, None, "127.0.0.1", Ok(())),
            (Private::Allow, Trust::Admin, None, "169.254.169.254", Err(Refusal::Never)),
            (Private::Deny, Trust::Admin, None, "10.9.0.1", Err(Refusal::Denied)),
            (Private::Deny, Trust::Admin, None, "10.1.9.9", Ok(())),
            (Private::Deny, Trust::Admin, None, "8.8.8.8", Ok(())),
            (Private::Allow, Trust::User, None, "8.8.8.8", Ok(())),
            (Private::Allow, Trust::User, None, "127.0.0.1", Err(Refusal::Private)),
            (Private::Allow, Trust::User, None, "10.2.0.1", Err(Refusal::Private)),
            (Private::Allow, Trust::User, None, "10.1.255.255", Ok(())),
            (Private::Allow, Trust::User, None, "::ffff:10.1.0.1", Ok(())),
            (Private::Allow, Trust::User, None, "fd12::7", Ok(())),
            (Private::Allow, Trust::User, None, "fd13::7", Err(Refusal::Private)),
            (Private::Allow, Trust::User, Some("hooks.internal"), "192.168.1.1", Ok(())),
            (Private::Allow, Trust::User, Some("Hooks.Internal."), "192.168.1.1", Ok(())),
            (Private::Allow, Trust::User, Some("hooks.internal"), "169.254.169.254", Err(Refusal::Never)),
            (Private::Allow, Trust::User, Some("evil.hooks.internal"), "192.168.1.1", Err(Refusal::Private)),
        ] {
            let found = policy(private, &allow).judge(trust, name, address.parse().expect("an address"));
            assert_eq!(found, expected, "{private:?} {trust:?} {name:?} {address}");
        }
    }

    #[test]
    fn an_address_in_a_url_is_found_however_it_is_written() {
        let policy = policy(Private::Allow, &[]);
        for url in
            ["http://0xa9fea9fe/", "http://2852039166/", "http://0251.0376.0251.0376/", "http://[::ffff:a9fe:a9fe]/"]
        {
            let url = Url::parse(url).expect("a url");
            assert_eq!(policy.judge_literal(Trust::Admin, &url), Err(Refusal::Never), "{url}");
        }
        let local = Url::parse("http://127.1:8080/").expect("a url");
        assert_eq!(policy.judge_literal(Trust::User, &local), Err(Refusal::Private));
    }

    #[test]
    fn what_is_allowed_is_a_name_or_a_network() {
        assert_eq!("Hooks.Internal".parse(), Ok(Allowed::Name("hooks.internal".into())));
        assert_eq!("10.0.0.1".parse(), Ok(Allowed::Network([10, 0, 0, 1].into(), 32)));
        for (text, cure) in [
            ("10.0.0.0/33", "from 0 to 32"),
            ("10.0.0.0/x", "from 0 to 32"),
            ("http://a", "neither a host nor a network"),
            ("*.internal", "neither"),
            ("", "neither"),
            ("a/8", "neither"),
            ("169.254.0.0/16", "never called"),
        ] {
            let error = text.parse::<Allowed>().expect_err("refused");
            assert!(error.contains(cure), "{text}: {error}");
        }
        assert!(within([0, 0, 0, 0].into(), 0, [8, 8, 8, 8].into()));
    }
}
