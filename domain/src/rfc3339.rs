//! Points in time as JSON and queries write them: RFC 3339.

use crate::time::UnixMs;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// In UTC, with milliseconds where there are any.
#[must_use]
pub fn text(at: UnixMs) -> String {
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.get()) * 1_000_000);
    at.ok().and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_default()
}

/// The point with this text, whatever its offset; what is finer than a millisecond is cut.
#[must_use]
pub fn parse(text: &str) -> Option<UnixMs> {
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(at.unix_timestamp_nanos().div_euclid(1_000_000)).ok().map(UnixMs::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_back() {
        for ms in [0, 1, 1_800_000_000_000, 1_800_000_000_120] {
            assert_eq!(parse(&text(UnixMs::new(ms))), Some(UnixMs::new(ms)));
        }
        assert_eq!(text(UnixMs::new(1_800_000_000_120)), "2027-01-15T08:00:00.12Z");
        assert_eq!(parse("2027-01-15T09:00:00+01:00"), Some(UnixMs::new(1_800_000_000_000)));
        for bad in ["", "2027-01-15", "2027-01-15T08:00:00", "1800000000", "2027-01-15T09:00:00 01:00"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
