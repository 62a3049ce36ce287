//! Points in time as providers write them: RFC 3339, and Intuit's `-0700` without a colon.

use crate::time::UnixMs;

const DAY_S: i64 = 86_400;

/// The point with this text; what is finer than a millisecond is cut. `None` for what is no such text or before 1970.
pub(super) fn parse(text: &str) -> Option<UnixMs> {
    let (date, rest) = text.split_at_checked(10)?;
    let (time, rest) = rest.strip_prefix(['T', 't', ' '])?.split_at_checked(8)?;
    let days = days(date)?;
    let seconds = match parts(time, ':')? {
        [hour @ 0..=23, minute @ 0..=59, second @ 0..=60] => hour * 3_600 + minute * 60 + second,
        _ => return None,
    };
    let (digits, offset) = rest.strip_prefix('.').map_or(("", rest), split_digits);
    let ms: i64 = digits.chars().chain("000".chars()).take(3).collect::<String>().parse().ok()?;
    let at = (days * DAY_S + seconds - offset_s(offset)?) * 1_000 + ms;
    (at >= 0).then(|| UnixMs::new(at))
}

/// `Z`, `+hh:mm` or `+hhmm`, in seconds.
fn offset_s(text: &str) -> Option<i64> {
    if matches!(text, "Z" | "z") {
        return Some(0);
    }
    let (sign, clock) = text.strip_prefix('+').map(|rest| (1, rest)).or_else(|| Some((-1, text.strip_prefix('-')?)))?;
    let (hour, minute) = clock.split_at_checked(2)?;
    let (hour, minute) =
        (number(hour)?, number(minute.strip_prefix(':').unwrap_or(minute)).filter(|_| clock.len() > 3)?);
    (hour < 24 && minute < 60).then_some(sign * (hour * 3_600 + minute * 60))
}

/// Days from 1970-01-01 to `yyyy-mm-dd`, by the rule that a year which begins in March ends with the leap day.
fn days(text: &str) -> Option<i64> {
    let [year, month @ 1..=12, day] = parts(text, '-')? else { return None };
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    Some(
        365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + (153 * month + 2) / 5 + day
            - 719_469,
    )
}

/// Three numbers of digits alone.
fn parts(text: &str, between: char) -> Option<[i64; 3]> {
    let numbers: Option<Vec<_>> = text.split(between).map(number).collect();
    numbers?.try_into().ok()
}

fn number(text: &str) -> Option<i64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// The digits that a text begins with, and what follows: nothing good, if there are none.
fn split_digits(text: &str) -> (&str, &str) {
    let offset = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let digits = text.strip_suffix(offset).unwrap_or_default();
    if digits.is_empty() { ("", "") } else { (digits, offset) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_providers_write_them() {
        for (text, ms) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2026-09-21T16:00:00.123456789Z", 1_790_006_400_123), // Shopify
            ("2026-09-21T12:00:00.000Z", 1_789_992_000_000),       // Square
            ("2015-10-05T14:42:19-0700", 1_444_081_339_000),       // Intuit
            ("2026-09-21T12:00:00-04:00", 1_790_006_400_000),
            ("2024-02-29T23:59:59.9+23:59", 1_709_164_859_900),
            ("2000-03-01T00:00:00Z", 951_868_800_000),
            ("9999-12-31T23:59:59.999Z", UnixMs::MAX.get()),
        ] {
            assert_eq!(parse(text).map(UnixMs::get), Some(ms), "{text}");
        }
        for bad in [
            "",
            "2026-09-21",
            "2026-09-21T12:00:00",
            "2026-09-21T12:00:00.Z",
            "2026-02-29T00:00:00Z",
            "2100-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-01-32T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:60:00Z",
            "+026-01-01T00:00:00Z",
            "2026-01-01T00:00:00+1",
            "2026-01-01T00:00:00+24:00",
            "2026-01-01T00:00:00+00:60",
            "1969-12-31T23:59:59Z",
            "2026-01-01T00:00:00Zz",
            "2026-01-01T00:00:00+ 1:00",
            "２０２６-01-01T00:00:00Z",
            "1789992000",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
