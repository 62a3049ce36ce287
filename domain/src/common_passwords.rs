//! The passwords that everybody tries first, known without asking anybody: a few hundred words with the usual disguises,
//! runs along the keyboard, and short pieces said again and again.
//!
//! Compared after NFC and case folding. A password is common if it is
//! - a run along the digits, the alphabet or a row of the keyboard, either way: `qwertyuiop12345`;
//! - a piece of at most four characters, repeated: `abc1abc1abc1`;
//! - a word of the list, once or again and again, with digits and marks behind: `P@ssw0rd2024!!!`, `welcome-welcome`.
//!
//! The list is no substitute for the breached ones, only for asking nobody.
//!
//! Source: NIST SP 800-63B-4 §3.1.1.2 (commonly used and expected values; repetitive and sequential characters).

use unicode_normalization::UnicodeNormalization;

use crate::password::Password;
use crate::secret::Secret;

mod words;

use words::WORDS;

/// Longest piece whose repetition is common.
const PIECE_CHARS_MAX: usize = 4;
/// Most digits that disguise a word, unless they are a run or a repetition.
const DIGITS_MAX: usize = 8;
/// Most marks that disguise a word.
const MARKS_MAX: usize = 4;
/// A run along these, in either direction and round the end, is common.
const TRACKS: [&str; 6] = [
    "1234567890",
    "0123456789",
    "abcdefghijklmnopqrstuvwxyz",
    "qwertyuiopasdfghjklzxcvbnm",
    "qwertzuiopasdfghjklyxcvbnm",
    "azertyuiopqsdfghjklmwxcvbn",
];
/// Fewest characters along one track.
const RUN_CHARS_MIN: usize = 3;

/// Whether `password` is one of those that are tried first.
#[must_use]
pub fn is_common(password: &Password) -> bool {
    let folded = folded(password);
    let chars = Secret::new(folded.expose().chars().collect::<Vec<char>>());
    let chars = chars.expose().as_slice();
    is_of_runs(chars) || is_repetition(chars) || is_word(chars)
}

/// Case folded (by way of upper case, so that `ß` and `SS` are the same), in NFC.
fn folded(password: &Password) -> Secret<String> {
    let text = password.expose().expose();
    // Room for the longest folding and the longest NFC (three times the bytes each), so that growing leaves no copy.
    let mut cased = Secret::new(String::with_capacity(3 * text.len()));
    cased.expose_mut().extend(text.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase));
    let mut folded = Secret::new(String::with_capacity(3 * cased.expose().len()));
    folded.expose_mut().extend(cased.expose().nfc());
    folded
}

/// Whether the text is made of runs alone.
fn is_of_runs(mut text: &[char]) -> bool {
    while !text.is_empty() {
        let longest = TRACKS.iter().map(|track| run(text, track)).max().unwrap_or_default();
        if longest < RUN_CHARS_MIN {
            return false;
        }
        text = text.get(longest..).unwrap_or_default();
    }
    true
}

/// How many characters at the start of `text` follow one another on `track`, in one direction.
fn run(text: &[char], track: &str) -> usize {
    let length = track.len();
    let place = |c: &char| track.chars().position(|on_track| on_track == *c);
    let along = |step: usize| {
        let steps = text.windows(2).take_while(|pair| {
            let mut places = pair.iter().map(place);
            matches!((places.next().flatten(), places.next().flatten()), (Some(a), Some(b)) if (a + step) % length == b)
        });
        1 + steps.count()
    };
    along(1).max(along(length - 1))
}

/// Whether the text is a short piece, said at least twice.
fn is_repetition(text: &[char]) -> bool {
    (1..=PIECE_CHARS_MAX.min(text.len() / 2)).any(|length| {
        let piece = text.get(..length).unwrap_or_default();
        text.iter().zip(piece.iter().cycle()).all(|(c, expected)| c == expected)
    })
}

/// Whether the text is a disguised word.
fn is_word(text: &[char]) -> bool {
    [text, without_tail(text)].into_iter().any(|text| {
        // Marks stand between words, or for letters.
        let between: Vec<char> = text.iter().copied().filter(|c| !is_mark(*c)).map(undisguised).collect();
        let within: Vec<char> = text.iter().copied().map(undisguised).collect();
        [between, within].into_iter().map(Secret::new).any(|text| is_of_words(text.expose()))
    })
}

/// What is left of a word before the digits and marks behind it.
fn without_tail(text: &[char]) -> &[char] {
    let text = without_marks(text);
    let digits = text.iter().rev().take_while(|c| c.is_ascii_digit()).count();
    let (rest, tail) = text.split_at(text.len() - digits);
    if digits <= DIGITS_MAX || is_of_runs(tail) || is_repetition(tail) { without_marks(rest) } else { text }
}

fn without_marks(text: &[char]) -> &[char] {
    let marks = text.iter().rev().take_while(|c| is_mark(**c)).count().min(MARKS_MAX);
    text.get(..text.len() - marks).unwrap_or_default()
}

const fn is_mark(c: char) -> bool {
    c.is_ascii_punctuation() || c == ' '
}

/// The letter that a digit or a mark stands for. `i`, `l` and `1` look alike, and are taken as one.
const fn undisguised(c: char) -> char {
    match c {
        '@' | '4' => 'a',
        '3' => 'e',
        '1' | '!' | 'l' => 'i',
        '0' => 'o',
        '5' | '$' => 's',
        '7' => 't',
        other => other,
    }
}

/// Whether the text is one word, again and again.
fn is_of_words(text: &[char]) -> bool {
    WORDS.iter().any(|word| {
        let mut rest = after(text, word);
        while let Some(more) = rest.filter(|rest| !rest.is_empty()) {
            rest = after(more, word);
        }
        rest.is_some()
    })
}

/// What follows `word` at the start of the text.
fn after<'a>(text: &'a [char], word: &str) -> Option<&'a [char]> {
    let mut rest = text;
    for letter in word.chars() {
        let (first, others) = rest.split_first()?;
        if *first != undisguised(letter) {
            return None;
        }
        rest = others;
    }
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn common(text: &str) -> bool {
        is_common(&Password::new(text).unwrap())
    }

    #[test]
    fn what_everybody_tries_first_is_common() {
        for text in [
            "password",
            "PASSWORD",
            "Passw0rd",
            "P@ssw0rd2024!!!",
            "p@$$w0rd",
            "password1234567890",
            "password00000000000",
            "123456789012345",
            "987654321987654",
            "qwertyuiopasdfg",
            "qwertyuiop12345",
            "mnbvcxzlkjhgfds",
            "azertyuiop",
            "abcdefghijklmnop",
            "zyxwvutsrqponmlk",
            "aaaaaaaaaaaaaaa",
            "abc1abc1abc1abc1",
            "1212121212121212",
            "....",
            "letmein",
            "LetMeIn!",
            "letmeinletmeinletmein",
            "welcome-welcome",
            "Welcome to 2024",
            "iloveyou forever",
            "iloveyou",
            "ILoveYou2!",
            "administrator1",
            "Football.2023",
            "1q2w3e4r5t6y7u8i",
            "area51area51",
            "ſunſhine",
            "SUN-SHINE",
            "mot de passe",
        ] {
            assert!(common(text), "{text}");
        }
    }

    #[test]
    fn what_only_looks_a_little_like_it_is_not() {
        for text in [
            "quite another passphrase",
            "another correct horse",
            "correct horse of acme",
            "password of the old mill",
            "dragon4839105577123",
            "tsunami glacier violin",
            "abcxq",
            "sunshine dragon",
            "xk3Qz9!pLw2",
            "пароль на каждый день",
            "1",
        ] {
            assert!(!common(text), "{text}");
        }
    }

    #[test]
    fn the_list_is_of_words_in_the_folding_that_is_compared() {
        assert!(WORDS.len() >= 300, "{}", WORDS.len());
        assert!(WORDS.windows(2).all(|pair| pair[0] < pair[1]), "sorted, none twice");
        for word in WORDS {
            assert!(word.len() >= 4 && word.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9')), "{word}");
            assert!(common(&word.to_uppercase()) && common(&format!("{word}{word}{word}!")), "{word}");
        }
    }
}
