//! Which addresses are never called: those that answer with the secrets of the machine we run on.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// The metadata service of one large cloud, which is not link-local over IPv6.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
/// The metadata service of another cloud.
const METADATA_V4: Ipv4Addr = Ipv4Addr::new(100, 100, 100, 200);

/// Says whether an address may be called. Private and loopback ones may: ticket systems live there.
pub(super) fn may_call(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !v4.is_link_local() && !v4.is_unspecified() && !v4.is_broadcast() && v4 != METADATA_V4,
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => may_call(IpAddr::V4(v4)),
            None => !v6.is_unicast_link_local() && !v6.is_unspecified() && v6 != METADATA_V6,
        },
    }
}

/// Says whether a url names an address that must not be called; names are judged when they are resolved.
pub(super) fn names_refused_address(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(v4)) => !may_call(IpAddr::V4(v4)),
        Some(Host::Ipv6(v6)) => !may_call(IpAddr::V6(v6)),
        Some(Host::Domain(_)) | None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_and_link_local_addresses_are_refused() {
        for (text, allowed) in [
            ("127.0.0.1", true),
            ("10.1.2.3", true),
            ("::1", true),
            ("fd12::1", true),
            ("8.8.8.8", true),
            ("169.254.169.254", false),
            ("::ffff:169.254.169.254", false),
            ("fe80::1", false),
            ("fd00:ec2::254", false),
            ("100.100.100.200", false),
            ("0.0.0.0", false),
        ] {
            assert_eq!(may_call(text.parse().expect("an address")), allowed, "{text}");
        }
        let hidden = Url::parse("http://0xa9fea9fe/latest").expect("a url");
        assert!(names_refused_address(&hidden), "the number 0xa9fea9fe is 169.254.169.254");
    }
}
