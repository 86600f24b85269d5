//! The section `[outbound]` of the settings. `config/default.toml` gives every value.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use url::{Host, Url};

use super::policy::{Allowed, Private, plain_name};
use crate::base::Secret;

/// How other systems are called.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Whether an administrator may set up private addresses.
    pub private: Private,
    /// Names and networks that may be called although they are private.
    pub allow: Vec<Allowed>,
    /// Through what calls go, if not directly.
    #[serde(deserialize_with = "optional_proxy")]
    pub proxy: Option<Proxy>,
    /// What is called directly all the same: hosts with all below them, and networks.
    pub no_proxy: Vec<Direct>,
    /// Certificates to trust beside those of the system; empty if there are none.
    pub ca_file: PathBuf,
    /// How long a connection may take to come about, in seconds.
    pub connect_timeout_s: u64,
    /// How long a call may take in all, in seconds.
    pub timeout_s: u64,
    /// The largest answer that is read.
    pub max_answer_bytes: usize,
    /// How many calls to one host are under way at once.
    pub per_host: usize,
    /// After how many failures in a row a host is left alone; 0 means never.
    pub circuit_failures: u32,
    /// For how long, in seconds.
    pub circuit_open_s: u64,
}

impl Settings {
    pub(super) fn connect_timeout(&self) -> Duration {
        Duration::from_secs(self.connect_timeout_s)
    }

    pub(super) fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_s)
    }

    /// Returns the proxy through which a url is called; `None` if it is called directly.
    pub(super) fn proxy_for(&self, url: &Url) -> Option<&Proxy> {
        self.proxy.as_ref().filter(|_| !self.no_proxy.iter().any(|direct| direct.covers(url)))
    }
}

/// A proxy: its address, and who we are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Scheme, host and port.
    pub url: Url,
    /// User and password.
    pub login: Option<(String, Secret)>,
}

impl Proxy {
    /// Reads `http://USER:PASSWORD@HOST:PORT`; no part of the text is in the error, because it may hold a password.
    fn read(text: &str) -> Result<Self, &'static str> {
        let cure = "it is no address of a proxy: write it as http://HOST:PORT or http://USER:PASSWORD@HOST:PORT, https also goes; \
                    signs such as / or @ in a password are written as %2F or %40";
        let mut url = Url::parse(text).map_err(|_| cure)?;
        if !matches!(url.scheme(), "http" | "https")
            || url.host().is_none()
            || url.path() != "/"
            || url.query().is_some()
        {
            return Err(cure);
        }
        let plain = |text: &str| percent_decode(text).ok_or(cure);
        let login = match (url.username(), url.password()) {
            ("", None) => None,
            (user, password) => Some((plain(user)?, Secret::new(plain(password.unwrap_or_default())?))),
        };
        url.set_username("").and_then(|()| url.set_password(None)).map_err(|()| cure)?;
        Ok(Self { url, login })
    }
}

/// Reads `%2F` and its like.
fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

fn optional_proxy<'de, D: Deserializer<'de>>(reader: D) -> Result<Option<Proxy>, D::Error> {
    let text = String::deserialize(reader)?;
    if text.is_empty() {
        return Ok(None);
    }
    Proxy::read(&text).map(Some).map_err(serde::de::Error::custom)
}

/// What is called without the proxy: a host with all below it, or a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Direct(Allowed);

impl<'de> Deserialize<'de> for Direct {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        let text = String::deserialize(reader)?;
        text.trim_start_matches('.').parse().map(Self).map_err(serde::de::Error::custom)
    }
}

impl Direct {
    fn covers(&self, url: &Url) -> bool {
        match (url.host(), &self.0) {
            (Some(Host::Domain(name)), Allowed::Name(known)) => {
                let name = plain_name(name);
                name.strip_suffix(known.as_str()).is_some_and(|below| below.is_empty() || below.ends_with('.'))
            }
            // A network covers addresses in urls; names are not resolved for this.
            (Some(Host::Ipv4(v4)), network) => network.covers(None, v4.into()),
            (Some(Host::Ipv6(v6)), network) => network.covers(None, v6.into()),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_read_and_its_password_is_kept_apart() {
        let proxy = Proxy::read("http://desk:p%40ss%2Fword@proxy.internal:3128").expect("a proxy");
        assert_eq!(proxy.url.as_str(), "http://proxy.internal:3128/");
        assert_eq!(proxy.login, Some(("desk".to_owned(), Secret::new("p@ss/word"))));
        assert_eq!(Proxy::read("https://proxy.internal").expect("a proxy").login, None);
        for wrong in [
            "proxy:3128",
            "socks5://p",
            "http://",
            "http://u:hidden@h/path",
            "http://u:hidden%4@h",
            "http://u:hid/den@h",
        ] {
            assert!(!Proxy::read(wrong).expect_err("no proxy").contains("hid"), "{wrong}");
        }
        assert!(!format!("{proxy:?}").contains("p@ss"), "{proxy:?}");
    }

    #[test]
    fn hosts_and_networks_are_called_directly() {
        let direct = [".internal", "jira.example.com", "10.0.0.0/8"].map(|text| {
            Direct::deserialize(serde::de::value::StrDeserializer::<serde::de::value::Error>::new(text))
                .expect("a host")
        });
        for (url, expected) in [
            ("http://a.internal/", true),
            ("http://internal/", true),
            ("http://notinternal/", false),
            ("https://jira.example.com/", true),
            ("https://x.JIRA.example.com./", true),
            ("https://example.com/", false),
            ("http://10.2.3.4/", true),
            ("http://[::ffff:10.2.3.4]/", true),
            ("http://11.2.3.4/", false),
        ] {
            let url = Url::parse(url).expect("a url");
            assert_eq!(direct.iter().any(|direct| direct.covers(&url)), expected, "{url}");
        }
    }
}
