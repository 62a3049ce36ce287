//! Reports of browsers: bounded in number and length, without what may be secret, and read back as they were sealed.
#![no_main]

use freehold_domain::csp_report::{LIST, REPORTS_MAX, SINGLE, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    for media_type in [SINGLE, LIST] {
        let Ok(reports) = parse(media_type, body) else { continue };
        assert!(reports.len() <= REPORTS_MAX);
        for report in reports {
            for text in [&report.directive, &report.blocked, &report.document] {
                assert!(text.chars().count() <= 300 && !text.contains(['?', '#']), "{text:?}");
            }
            let _ = report.is_about("acme.example.com");
            assert!(!report.identity().is_empty());
        }
    }
});
