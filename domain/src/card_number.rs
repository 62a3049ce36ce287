//! Numbers that look like those of payment cards: free fields refuse them, so that none is ever stored (PCI DSS 4.0, 3.2).

/// Digits of a card's number (ISO/IEC 7812-1).
const DIGITS: std::ops::RangeInclusive<usize> = 13..=19;

/// Whether `text` has what may be a card's number: so many digits and no more, with single spaces, dots or hyphens between them, whose
/// check digit is right (Luhn). One in ten numbers of that length is taken for one by chance.
#[must_use]
pub fn is_in(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_gap = |byte: u8| matches!(byte, b' ' | b'-' | b'.');
    let mut digits: Vec<u32> = vec![];
    let mut gap = 0;
    for byte in bytes.iter().copied().chain([b'x']) {
        if byte.is_ascii_digit() {
            digits.push(u32::from(byte - b'0'));
            gap = 0;
        } else if is_gap(byte) && gap == 0 && !digits.is_empty() {
            gap = 1;
        } else {
            if DIGITS.contains(&digits.len()) && is_checked(&digits) {
                return true;
            }
            digits.clear();
            gap = 0;
        }
    }
    false
}

/// Whether the last digit is the check digit of those before it.
fn is_checked(digits: &[u32]) -> bool {
    let doubled = |digit: u32| if digit > 4 { 2 * digit - 9 } else { 2 * digit };
    let sum: u32 =
        digits.iter().rev().enumerate().map(|(n, digit)| if n % 2 == 1 { doubled(*digit) } else { *digit }).sum();
    sum.is_multiple_of(10) && digits.iter().any(|digit| *digit != 0)
}

#[cfg(test)]
mod tests {
    use super::is_in;

    #[test]
    fn what_looks_like_a_card_is_found_wherever_it_stands() {
        for text in [
            "4242424242424242",
            "4242 4242 4242 4242",
            "card: 4000-0566-5566-5556!",
            "378282246310005",
            "x5555555555554444y",
            "6011.1111.1111.1117",
            "4222222222222",
            "é4242424242424242é",
        ] {
            assert!(is_in(text), "{text}");
        }
        for text in [
            "",
            "4242424242424241",
            "424242424242",
            "4242  4242  4242  4242",
            "0000000000000000",
            "4242/4242/4242/4242",
            "2026-11-27",
            "CRM",
        ] {
            assert!(!is_in(text), "{text}");
        }
    }
}
