//! Which addresses a call that a tenant asked for may go to: those that the whole Internet routes, and no other.
//!
//! What is refused is what the IANA registries of special-purpose addresses call not globally reachable (RFC 6890 and its
//! successors), multicast, and every IPv6 address that carries an IPv4 one which is refused: mapped, compatible, NAT64,
//! 6to4 and Teredo.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether the whole Internet routes it.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let refused = match address.octets() {
        [0 | 10 | 127 | 224..=255, ..] => true, // this network, private, loopback, multicast, reserved
        [100, 64..=127, ..] => true,            // shared by a provider's customers (RFC 6598)
        [169, 254, ..] => true,                 // link local, metadata of clouds
        [172, 16..=31, ..] | [192, 168, ..] => true,
        [192, 0, 0, _] | [192, 0, 2, _] => true, // protocols (RFC 6890), documentation
        [192, 88, 99, _] => true,                // 6to4 relays, given up (RFC 7526)
        [198, 18..=19, ..] => true,              // benches (RFC 2544)
        [198, 51, 100, _] | [203, 0, 113, _] => true,
        _ => false,
    };
    !refused
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let v4 = |high: u16, low: u16| {
        let [[a, b], [c, d]] = [high.to_be_bytes(), low.to_be_bytes()];
        Ipv4Addr::new(a, b, c, d)
    };
    match (a, b) {
        (0x0064, 0xff9b) if [c, d, e, f] == [0; 4] => is_public_v4(v4(g, h)), // NAT64 (RFC 6052)
        (0x2002, _) => is_public_v4(v4(b, c)),                                // 6to4 (RFC 3056)
        (0x2001, 0) => is_public_v4(v4(c, d)) && is_public_v4(v4(!g, !h)),    // Teredo (RFC 4380)
        (0x2001, 0x0001..=0x01ff) => false,                                   // protocols (RFC 2928)
        (0x2001, 0x0db8) | (0x3fff, 0x0000..=0x0fff) => false,                // documentation (RFC 3849, RFC 9637)
        (0x2000..=0x3fff, _) => true,                                         // what is given out (RFC 4291 §2.4)
        _ => false, // unspecified, loopback, mapped, unique local, link local, multicast and everything else
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
}
