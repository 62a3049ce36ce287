//! E-mail addresses, normalised so that one mailbox has one text.
//!
//! The local part: NFC, lower case, NFC again. The domain: the A-labels of RFC 5890, as UTS #46 makes them, so that
//! `bücher.example` and `xn--bcher-kva.example` are one. What is accepted is the dot-atom form of RFC 5322 §3.4.1 with the
//! Unicode of RFC 6531: no quoted local parts, no comments, no address literals. The domain may be a single label
//! (`localhost`).

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use unicode_normalization::UnicodeNormalization;

use crate::a_labels::a_labels;
use crate::text::is_hidden;

/// Fewest characters of an address.
pub const EMAIL_CHARS_MIN: usize = 3;
/// Most characters, and most bytes, of an address (RFC 5321 §4.5.3.1.3, erratum 1690).
pub const EMAIL_CHARS_MAX: usize = 254;

const LOCAL_BYTES_MAX: usize = 64;

/// A normalised e-mail address. Personal data: `Debug` hides it and there is no `Serialize`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Email(String);

/// The text is no e-mail address. The messages are fit for a problem's `errors[].message`.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotAnEmail {
    /// Fewer than 3 or more than 254 characters.
    #[error("must have 3 to 254 characters")]
    Length,
    /// White space, control or invisible characters, anywhere.
    #[error("must not contain spaces or invisible characters")]
    Invisible,
    /// Anything else that is not `local@domain`.
    #[error("must be an e-mail address")]
    Shape,
}

impl Email {
    /// The normalised address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Email {
    type Err = NotAnEmail;

    fn from_str(text: &str) -> Result<Self, NotAnEmail> {
        // Bounded before any work; normalising can change the length, so it is checked again below.
        if !(EMAIL_CHARS_MIN..=EMAIL_CHARS_MAX).contains(&text.chars().count()) {
            return Err(NotAnEmail::Length);
        }
        if text.chars().any(is_invisible) {
            return Err(NotAnEmail::Invisible);
        }
        let (local, domain) = text.split_once('@').ok_or(NotAnEmail::Shape)?;
        let local: String = local.nfc().collect::<String>().to_lowercase().nfc().collect();
        let domain = a_labels(domain).filter(|_| is_local(&local)).ok_or(NotAnEmail::Shape)?;
        let address = format!("{local}@{domain}");
        if address.len() > EMAIL_CHARS_MAX { Err(NotAnEmail::Length) } else { Ok(Self(address)) }
    }
}

impl TryFrom<String> for Email {
    type Error = NotAnEmail;

    fn try_from(text: String) -> Result<Self, NotAnEmail> {
        text.parse()
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[email]")
    }
}

fn is_invisible(c: char) -> bool {
    is_hidden(c) || c.is_whitespace() || c.is_control()
}

fn is_local(local: &str) -> bool {
    let atom = |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
    local.len() <= LOCAL_BYTES_MAX && local.split('.').all(|part| !part.is_empty() && part.chars().all(atom))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_mailbox_has_one_text() {
        for (given, normal) in [
            ("Ada@Example.COM", "ada@example.com"),
            ("a.b+tag@sub.example.org", "a.b+tag@sub.example.org"),
            ("root@localhost", "root@localhost"),
            ("JOSE\u{301}@example.com", "jos\u{e9}@example.com"),
            ("o'neil_{x}@ex-ample.com", "o'neil_{x}@ex-ample.com"),
            ("ÄRGER@MÜLLER.example", "ärger@xn--mller-kva.example"),
            ("ärger@xn--mller-kva.example", "ärger@xn--mller-kva.example"),
            ("a@mu\u{308}ller。Example", "a@xn--mller-kva.example"),
            ("a@ｅｘａｍｐｌｅ.com", "a@example.com"),
            ("a@faß.example", "a@xn--fa-hia.example"),
            ("a@b", "a@b"),
        ] {
            assert_eq!(given.parse::<Email>().unwrap().as_str(), normal);
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "abc", "@b.c", "aa@", "a@@b", "a@b@c", "a..b@c", ".a@c", "a.@c", "a@.c", "a@c.", "a@b..c", "a@-b", "a@b-",
            "\"a\"@b", "a,b@c", "<a@b>", "a@[1.2.3.4]", "a:b@c", "a;b@c", "a(b)@c", "a\\b@c", "a@b_c", "a@xn--a",
            "a@xn--\u{fc}", "a@b.c.", "a@c/d", "a@c%00",
        ] {
            assert_eq!(text.parse::<Email>(), Err(NotAnEmail::Shape), "{text}");
        }
        for text in [
            " a@b", "a@b ", "a b@c", "a@b\r\nBcc: x@y", "a\0@b", "a\u{200b}@b", "a\u{202e}@b", "a\u{a0}@b",
            "\u{feff}a@b",
        ] {
            assert_eq!(text.parse::<Email>(), Err(NotAnEmail::Invisible), "{text:?}");
        }
        let long = |local: usize| format!("{}@{}", "a".repeat(local), vec!["b".repeat(47); 4].join("."));
        assert!(long(62).parse::<Email>().is_ok());
        for text in [String::new(), "a@".into(), long(64 - 1), "ä".repeat(130) + "@b"] {
            assert!(text.parse::<Email>().is_err(), "{text}");
        }
        assert_eq!(format!("{}@b", "a".repeat(65)).parse::<Email>(), Err(NotAnEmail::Shape));
    }

    #[test]
    fn debug_and_errors_hide_it() {
        let email: Email = "ada@example.com".parse().unwrap();
        assert_eq!(format!("{email:?}"), "[email]");
        let refused = serde_json::from_str::<Email>(r#""ada.example.com""#).unwrap_err().to_string();
        assert!(refused.starts_with("must be an e-mail address") && !refused.contains("ada"), "{refused}");
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing(text in "\\PC{1,20}@\\PC{1,20}") {
            if let Ok(email) = text.parse::<Email>() {
                prop_assert_eq!(email.as_str().parse::<Email>(), Ok(email.clone()));
            }
        }
    }
}
