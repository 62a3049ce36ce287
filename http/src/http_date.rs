//! Points in time as headers write them (RFC 9110 §5.6.7).

use freehold_domain::time::UnixMs;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

/// The point with this text, to the second.
#[must_use]
pub fn parse(text: &str) -> Option<UnixMs> {
    let at = OffsetDateTime::parse(text, &Rfc2822).ok()?;
    at.unix_timestamp().checked_mul(1_000).map(UnixMs::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preferred_form_is_read() {
        assert_eq!(parse("Sun, 06 Nov 1994 08:49:37 GMT"), Some(UnixMs::new(784_111_777_000)));
        for bad in ["", "1994-11-06", "Sun, 06 Nov 1994", "Sun, 31 Feb 1994 08:49:37 GMT"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
