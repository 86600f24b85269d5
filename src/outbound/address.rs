//! What kind of place an address is. Pure.
//!
//! An IPv6 address may carry an IPv4 address that a router or a kernel on the way takes out again; such an address is judged by
//! both.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What kind of place an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// Anywhere on the internet.
    Public,
    /// This machine, or a network of our own: ticket systems live there, and so does what trusts everybody near it.
    Private,
    /// What answers with the secrets of the machine we run on, or is no single machine. Never called.
    Never,
}

/// Says what kind of place an address is.
pub(super) fn place(address: IpAddr) -> Place {
    match address {
        IpAddr::V4(v4) => place_v4(v4),
        IpAddr::V6(v6) => carried(v6).map_or(Place::Public, place_v4).max(place_v6(v6)),
    }
}

/// Metadata services outside the link-local ranges: those of four clouds, and the host behind the machines of another.
const METADATA_V4: [Ipv4Addr; 3] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(192, 0, 0, 192)];
const METADATA_V6: [Ipv6Addr; 2] =
    [Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)];

fn place_v4(v4: Ipv4Addr) -> Place {
    let [a, b, c, _] = v4.octets();
    let this_network = a == 0;
    if this_network || v4.is_link_local() || v4.is_multicast() || v4.is_broadcast() || METADATA_V4.contains(&v4) {
        return Place::Never;
    }
    let shared = a == 100 && b & 0xc0 == 64;
    let assignments = (a, b, c) == (192, 0, 0);
    let benchmark = a == 198 && b & 0xfe == 18;
    let reserved = a >= 240;
    let private = v4.is_private() || v4.is_loopback() || v4.is_documentation();
    if private || shared || assignments || benchmark || reserved { Place::Private } else { Place::Public }
}

fn place_v6(v6: Ipv6Addr) -> Place {
    let link_local = v6.is_unicast_link_local();
    if v6.is_unspecified() || v6.is_multicast() || link_local || METADATA_V6.contains(&v6) {
        return Place::Never;
    }
    let [first, second, third, ..] = v6.segments();
    let site_local = first & 0xffc0 == 0xfec0;
    let documentation = (first, second) == (0x2001, 0xdb8);
    // A translator of one's own may lead anywhere in one's own network.
    let local_translator = (first, second, third) == (0x64, 0xff9b, 1);
    let private = v6.is_loopback() || v6.is_unique_local() || site_local || documentation || local_translator;
    if private { Place::Private } else { Place::Public }
}

/// Returns the IPv4 address within an IPv6 address, if it has one.
pub(super) fn carried(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let segments = v6.segments();
    let at = |index: usize| {
        let [a, b] = segments[index].to_be_bytes();
        let [c, d] = segments[index + 1].to_be_bytes();
        Ipv4Addr::new(a, b, c, d)
    };
    match segments {
        // Loopback and "unspecified" look like the old compatible form, and are not.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        // 6to4.
        [0x2002, ..] => Some(at(1)),
        // Teredo hides the address of the client behind its complement.
        [0x2001, 0, ..] => Some(Ipv4Addr::from(!u32::from(at(6)))),
        // Compatible and mapped, translated, NAT64, ISATAP.
        [0, 0, 0, 0, 0, 0 | 0xffff, ..]
        | [0, 0, 0, 0, 0xffff, 0, ..]
        | [0x64, 0xff9b, 0, 0, 0, 0, ..]
        | [_, _, _, _, 0 | 0x200, 0x5efe, ..] => Some(at(6)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_range_is_its_kind_of_place() {
        for (expected, addresses) in [
            (
                Place::Public,
                &[
                    "8.8.8.8",
                    "100.63.255.255",
                    "100.128.0.1",
                    "172.32.0.1",
                    "192.0.1.1",
                    "198.20.0.1",
                    "223.255.255.255",
                    "2606:4700::1111",
                    "::ffff:8.8.8.8",
                    "64:ff9b::808:808",
                    "2002:808:808::1",
                ][..],
            ),
            (
                Place::Private,
                &[
                    "127.0.0.1",
                    "127.255.255.254",
                    "10.1.2.3",
                    "172.16.0.1",
                    "172.31.255.255",
                    "192.168.0.1",
                    "100.64.0.1",
                    "100.127.255.255",
                    "192.0.0.8",
                    "198.18.0.1",
                    "198.19.255.255",
                    "203.0.113.7",
                    "240.0.0.1",
                    "::1",
                    "fd12::1",
                    "fc00::1",
                    "fec0::1",
                    "2001:db8::1",
                    "64:ff9b:1::1",
                    "::ffff:10.0.0.1",
                    "::10.0.0.1",
                    "::ffff:0:10.0.0.1",
                    "64:ff9b::a00:1",
                    "2002:a00:1::1",
                    "2002:7f00:1::",
                    "2001:0:1:2:3:4:f5ff:fffe",
                    "2001:470::5efe:10.0.0.1",
                ],
            ),
            (
                Place::Never,
                &[
                    "169.254.169.254",
                    "169.254.0.1",
                    "0.0.0.0",
                    "0.1.2.3",
                    "100.100.100.200",
                    "168.63.129.16",
                    "192.0.0.192",
                    "224.0.0.1",
                    "239.255.255.255",
                    "255.255.255.255",
                    "::",
                    "fe80::1",
                    "febf::1",
                    "ff02::1",
                    "fd00:ec2::254",
                    "fd20:ce::254",
                    "::ffff:169.254.169.254",
                    "::169.254.169.254",
                    "64:ff9b::a9fe:a9fe",
                    "2002:a9fe:a9fe::1",
                    "2001:0:1:2:3:4:5601:5601",
                    "fd00::5efe:169.254.169.254",
                    "::ffff:0.0.0.0",
                ],
            ),
        ] {
            for text in addresses {
                assert_eq!(place(text.parse().expect("an address")), expected, "{text}");
            }
        }
    }

    proptest! {
        /// No way of carrying an address makes a worse place better.
        #[test]
        fn a_carried_address_is_judged_as_itself(bits in any::<u32>()) {
            let v4 = Ipv4Addr::from(bits);
            let [a, b] = [(bits >> 16) as u16, bits as u16];
            for v6 in [
                Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, a, b),
                Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, a, b),
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, a, b),
                Ipv6Addr::new(0x2002, a, b, 0, 0, 0, 0, 1),
                Ipv6Addr::new(0x2001, 0, 1, 2, 3, 4, !a, !b),
            ] {
                prop_assert_eq!(carried(v6), Some(v4));
                prop_assert_eq!(place(IpAddr::V6(v6)), place(IpAddr::V4(v4)));
            }
        }
    }
}
