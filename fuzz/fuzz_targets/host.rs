//! Hosts: what is one is in lower case, is read again as the same, and leads to one place.
#![no_main]

use freehold_http::host::{Authority, Place, Platform};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(host) = Authority::parse(text) else { return };
    let name = host.host();
    assert!(!name.contains(|c: char| c.is_ascii_uppercase() || "/@?#%\\ ".contains(c) || c.is_control()), "{name:?}");
    assert_eq!(Authority::parse(name).expect("a host").host(), name);
    let platform = Platform::new("example.com").expect("a domain");
    if let Place::Tenant(slug) = platform.place(&host) {
        assert_eq!(format!("{slug}.example.com"), name);
    }
});
