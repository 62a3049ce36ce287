//! Which addresses a call that a tenant asked for may go to: those that the whole Internet routes, and no other.
//!
//! What is refused is what the IANA registries of special-purpose addresses call not globally reachable (RFC 6890 and its
//! successors), multicast, and every IPv6 address that carries an IPv4 one which is refused: mapped, compatible, NAT64,
//! 6to4 and Teredo.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::Ipv4Net;

/// Whether the whole Internet routes it.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// Networks of IPv4 that are not: this network, private, a provider's customers (RFC 6598), loopback, link local with the
/// metadata of clouds, what Azure keeps for its hosts, private, protocols, documentation, 6to4 relays (RFC 7526), private, benches (RFC 2544), documentation
/// twice, multicast and reserved.
const NOT_PUBLIC_V4: [Ipv4Net; 15] = [
    v4([0, 0, 0, 0], 8),
    v4([10, 0, 0, 0], 8),
    v4([100, 64, 0, 0], 10),
    v4([127, 0, 0, 0], 8),
    v4([169, 254, 0, 0], 16),
    v4([168, 63, 129, 16], 32),
    v4([172, 16, 0, 0], 12),
    v4([192, 0, 0, 0], 24),
    v4([192, 0, 2, 0], 24),
    v4([192, 88, 99, 0], 24),
    v4([192, 168, 0, 0], 16),
    v4([198, 18, 0, 0], 15),
    v4([198, 51, 100, 0], 24),
    v4([203, 0, 113, 0], 24),
    v4([224, 0, 0, 0], 3),
];

const fn v4([a, b, c, d]: [u8; 4], bits: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), bits)
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !NOT_PUBLIC_V4.iter().any(|network| network.contains(&address))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let carried = |high: u16, low: u16| is_public_v4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    match segments {
        // ISATAP, whatever its prefix (RFC 5214).
        [_, _, _, _, 0 | 0x0200, 0x5efe, high, low] if !carried(high, low) => false,
        // NAT64 (RFC 6052) and 6to4 (RFC 3056).
        [0x0064, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => carried(high, low),
        // Teredo, which carries the client's address inverted (RFC 4380).
        [0x2001, 0, server_high, server_low, _, _, high, low] => {
            carried(server_high, server_low) && carried(!high, !low)
        }
        // Protocols (RFC 2928) and documentation (RFC 3849, RFC 9637).
        [0x2001, 0x0001..=0x01ff | 0x0db8, ..] | [0x3fff, 0x0000..=0x0fff, ..] => false,
        // What is given out (RFC 4291 §2.4); not: unspecified, loopback, mapped, unique local, link local, multicast.
        [first, ..] => (0x2000..=0x3fff).contains(&first),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_internet_routes_is_public_and_nothing_else() {
        let public = |text: &str| is_public(text.parse().expect(text));
        for text in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.0.1",
            "172.32.0.1",
            "192.167.0.1",
            "192.0.1.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2001:4860:4860::8888",
            "2002:0101:0101::1",
            "64:ff9b::1.1.1.1",
        ] {
            assert!(public(text), "{text}");
        }
        for text in [
            "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.255.255.255", "169.254.169.254",
            "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1",
            "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "::", "::1",
            "::ffff:127.0.0.1", "::ffff:1.1.1.1", "::1.1.1.1", "64:ff9b::10.0.0.1", "64:ff9b::127.0.0.1",
            "64:ff9b:1::1", "2002:7f00:0001::1", "2002:0a00:0001::1", "2001:0:7f00:1::1", "2001::1", "2001:db8::1",
            "2001:20::1", "3fff::1", "fc00::1", "fd00::1", "fe80::1", "fec0::1", "ff02::1", "100::1", "4000::1",
        ] {
            assert!(!public(text), "{text}");
        }
        // Teredo carries the client's address inverted.
        assert!(!public("2001:0:101:101::f5ff:fffe"), "10.0.0.1 behind a public server");
    }
    #[test]
    fn what_wraps_an_address_and_what_a_cloud_keeps_for_itself_is_not_public() {
        let public = |text: &str| is_public(text.parse().expect(text));
        for text in ["168.63.129.16", "2606:4700::5efe:7f00:1", "2606:4700::200:5efe:10.0.0.1"] {
            assert!(!public(text), "{text}");
        }
        assert!(public("168.63.129.17") && public("2606:4700::5efe:101:101"));
    }
}
