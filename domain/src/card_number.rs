//! Numbers that look like those of payment cards: free fields refuse them, so that none is ever stored (PCI DSS 4.0, 3.2).

/// Digits of a card's number (ISO/IEC 7812-1).
const DIGITS: std::ops::RangeInclusive<usize> = 13..=19;

/// Most characters between two groups of digits of one number.
const GAP_MAX: usize = 2;

/// Whether `text` has what may be a card's number: groups of digits with at most two separators between, of which some that follow each
/// other have as many digits as a card and the right check digit (Luhn). So a number is found after another, and before the month, year
/// and code that are often written behind it. One in ten numbers of that length is taken for one by chance.
#[must_use]
pub fn is_in(text: &str) -> bool {
    let mut run: Vec<Vec<u32>> = vec![];
    let mut gap = GAP_MAX + 1;
    for c in text.chars().chain(['x']) {
        if let Some(digit) = digit(c) {
            match run.last_mut().filter(|_| gap == 0) {
                Some(group) => group.push(digit),
                None => run.push(vec![digit]),
            }
            gap = 0;
        } else if is_separator(c) && gap < GAP_MAX {
            gap += 1;
        } else {
            if has_number(&run) {
                return true;
            }
            run.clear();
            gap = GAP_MAX + 1;
        }
    }
    false
}

/// Whether groups that follow each other are a number.
fn has_number(run: &[Vec<u32>]) -> bool {
    (0..run.len()).any(|first| {
        let mut digits: Vec<u32> = vec![];
        run.iter().skip(first).any(|group| {
            digits.extend(group);
            DIGITS.contains(&digits.len()) && is_checked(&digits)
        })
    })
}

/// Digits of the scripts in which such numbers are written.
fn digit(c: char) -> Option<u32> {
    const ZEROS: [char; 4] = ['0', '\u{660}', '\u{6f0}', '\u{ff10}'];
    ZEROS.into_iter().find_map(|zero| u32::from(c).checked_sub(u32::from(zero)).filter(|digit| *digit < 10))
}

fn is_separator(c: char) -> bool {
    c.is_whitespace() || matches!(c, '-' | '.' | '_' | '/' | ':' | ',' | '|' | '+' | '\u{2010}'..='\u{2015}')
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
            "4242  4242  4242  4242",
            "4242/4242/4242/4242",
            "1 4242424242424242",
            "id 7 4242 4242 4242 4242",
            "4242 4242 4242 4242 12/27 123",
            "4242\u{a0}4242\u{2011}4242_4242",
            "４２４２４２４２４２４２４２４２",
            "٤٢٤٢ ٤٢٤٢ ٤٢٤٢ ٤٢٤٢",
        ] {
            assert!(is_in(text), "{text}");
        }
        for text in [
            "",
            "4242424242424241",
            "424242424242",
            "4242   4242   4242   4242",
            "0000000000000000",
            "a4242b4242c4242d4242",
            "99999999994242424242424242",
            "2026-11-27",
            "CRM",
        ] {
            assert!(!is_in(text), "{text}");
        }
    }
}
