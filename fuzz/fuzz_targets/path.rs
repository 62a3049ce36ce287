//! Paths and queries: nothing that climbs or hides a control character passes, however often it is escaped.
#![no_main]

use freehold_domain::request_filter::probe;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|target: &str| {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let found = probe(path, query);
    let climbs = path.split(['/', '\\']).any(|segment| segment == "..");
    let hides = path.chars().any(|c| c < ' ' || c == '\u{7f}');
    assert!(found.is_some() || !(climbs || hides), "{path:?}");
    if !path.contains('%') {
        let escape = |byte| if byte == b'/' { "/".to_owned() } else { format!("%{byte:02x}") };
        let once: String = path.bytes().map(escape).collect();
        let twice = once.replace('%', "%25");
        let expected = probe(path, None);
        assert_eq!((probe(&once, None), probe(&twice, None)), (expected, expected), "{path:?}");
    }
});
