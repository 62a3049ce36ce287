//! One-line text: names, titles, reasons. Bounded, and without what could break a line, a header or a log.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::card_number;

/// Text on one line: 1 to `MAX` characters (code points), no control characters (so no NUL, CR or LF), no line or
/// paragraph separator, nothing hidden but the joiners that some scripts are written with. Kept as it was given; `Debug`
/// hides it, because it may be somebody's name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OneLine<const MAX: usize>(String);

/// The text is not one line of allowed length. The messages are fit for a problem's `errors[].message`.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotOneLine {
    /// There is no text, or only white space.
    #[error("must not be empty")]
    Empty,
    /// It has more characters than this.
    #[error("must have at most {0} characters")]
    TooLong(usize),
    /// It holds a control character, a hidden one or a line separator.
    #[error("must not contain line breaks or control characters")]
    Control,
}

impl<const MAX: usize> OneLine<MAX> {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> TryFrom<String> for OneLine<MAX> {
    type Error = NotOneLine;

    fn try_from(text: String) -> Result<Self, NotOneLine> {
        if text.chars().any(is_unfit) {
            return Err(NotOneLine::Control);
        }
        if text.chars().nth(MAX).is_some() {
            return Err(NotOneLine::TooLong(MAX));
        }
        if text.trim().is_empty() { Err(NotOneLine::Empty) } else { Ok(Self(text)) }
    }
}

/// Why a text that somebody writes as they like was not taken.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotFree<E> {
    /// It has what looks like the number of a payment card.
    #[error("must not contain what looks like the number of a card")]
    CardNumber,
    /// It is not what the field wants.
    #[error("{0}")]
    Other(E),
}

/// A text that somebody writes as they like, as it comes in: with no number of a payment card in it, which is for the provider of
/// payments alone (PCI DSS 4.0, 3.2). What is stored is read without this.
///
/// # Errors
/// [`NotFree`], whose text does not repeat what was written.
pub fn free<T: TryFrom<String>>(text: String) -> Result<T, NotFree<T::Error>> {
    if card_number::is_in(&text) {
        return Err(NotFree::CardNumber);
    }
    text.try_into().map_err(NotFree::Other)
}

/// Text as it may stand in HTML, between tags and in quoted attributes.
#[must_use]
pub fn escape_html(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

/// Format characters that show nothing or turn the reading direction: with them two different texts look the same.
pub(crate) const fn is_hidden(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

fn is_unfit(c: char) -> bool {
    let (separates, joins) = (matches!(c, '\u{2028}' | '\u{2029}'), matches!(c, '\u{200c}' | '\u{200d}'));
    c.is_control() || separates || (is_hidden(c) && !joins)
}

impl<const MAX: usize> FromStr for OneLine<MAX> {
    type Err = NotOneLine;

    fn from_str(text: &str) -> Result<Self, NotOneLine> {
        text.to_owned().try_into()
    }
}

impl<const MAX: usize> From<OneLine<MAX>> for String {
    fn from(line: OneLine<MAX>) -> Self {
        line.0
    }
}

impl<const MAX: usize> fmt::Debug for OneLine<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[one line]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_become_markup() {
        assert_eq!(escape_html("<img src=x onerror='a'>&\""), "&lt;img src=x onerror=&#39;a&#39;&gt;&amp;&quot;");
    }

    #[test]
    fn what_is_written_freely_names_no_card() {
        assert_eq!(free::<OneLine<40>>("paid by 4242 4242 4242 4242".to_owned()), Err(NotFree::CardNumber));
        assert_eq!(free::<OneLine<3>>("four".to_owned()), Err(NotFree::Other(NotOneLine::TooLong(3))));
        assert_eq!(free::<OneLine<3>>("Ada".to_owned()).unwrap().as_str(), "Ada");
    }

    #[test]
    fn length_counts_characters() {
        assert_eq!("äöü".parse::<OneLine<3>>().unwrap().as_str(), "äöü");
        assert_eq!("äöüx".parse::<OneLine<3>>(), Err(NotOneLine::TooLong(3)));
        assert_eq!("".parse::<OneLine<3>>(), Err(NotOneLine::Empty));
        assert_eq!("  ".parse::<OneLine<3>>(), Err(NotOneLine::Empty));
    }

    #[test]
    fn nothing_that_breaks_a_line() {
        for c in ['\0', '\r', '\n', '\t', '\u{1b}', '\u{7f}', '\u{85}', '\u{2028}', '\u{2029}'] {
            assert_eq!(format!("a{c}b").parse::<OneLine<9>>(), Err(NotOneLine::Control), "{c:?}");
        }
    }

    #[test]
    fn nothing_that_hides_or_turns_what_is_read() {
        for c in
            "\u{ad}\u{61c}\u{200b}\u{200e}\u{200f}\u{202a}\u{202e}\u{2060}\u{2066}\u{2069}\u{feff}\u{e0041}".chars()
        {
            assert_eq!(format!("a{c}b").parse::<OneLine<9>>(), Err(NotOneLine::Control), "{c:?}");
        }
        // Persian and Indian names need the joiners, families of emoji too.
        for name in ["علی\u{200c}رضا", "ශ්\u{200d}රී", "👩\u{200d}👧"] {
            assert_eq!(name.parse::<OneLine<9>>().unwrap().as_str(), name);
        }
    }

    #[test]
    fn json_in_and_out() {
        let line: OneLine<5> = serde_json::from_str(r#""Zoë""#).unwrap();
        assert_eq!(serde_json::to_string(&line).unwrap(), r#""Zoë""#);
        let refused = serde_json::from_str::<OneLine<2>>(r#""Zoë""#).unwrap_err();
        assert!(refused.to_string().starts_with("must have at most 2 characters"), "{refused}");
    }
}
