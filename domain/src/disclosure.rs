//! Where whoever has found a weakness may tell of it, and until when that holds.
//!
//! Source: RFC 9116.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::email::Email;
use crate::time::UnixMs;

const DAY_MS: i64 = 24 * 3_600 * 1_000;
/// Most bytes of an address or a list of languages.
const URI_BYTES_MAX: usize = 1_024;
const LANGUAGES_MAX: usize = 16;

/// An https address: visible ASCII, nothing that ends a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpsUri(String);

/// The text is no https address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be an https address")]
pub struct NotHttps;

impl FromStr for HttpsUri {
    type Err = NotHttps;

    fn from_str(text: &str) -> Result<Self, NotHttps> {
        let rest = text.strip_prefix("https://").filter(|_| text.len() <= URI_BYTES_MAX).ok_or(NotHttps)?;
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let is_host =
            !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:".contains(&byte));
        let is_uri = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte);
        if is_host && rest.bytes().all(is_uri) { Ok(Self(text.to_owned())) } else { Err(NotHttps) }
    }
}

impl fmt::Display for HttpsUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where to tell: an https address, or a mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact(String);

/// The text is no contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be mailto: with an address, or an https address")]
pub struct NotAContact;

impl FromStr for Contact {
    type Err = NotAContact;

    /// A mailbox has letters, digits and `._+-` alone, so that nothing needs the percent signs of RFC 6068.
    fn from_str(text: &str) -> Result<Self, NotAContact> {
        let Some(address) = text.strip_prefix("mailto:") else {
            return text.parse::<HttpsUri>().map(|uri| Self(uri.0)).map_err(|_| NotAContact);
        };
        let email: Email = address.parse().map_err(|_| NotAContact)?;
        let is_plain = address.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._+-@".contains(&byte));
        if is_plain { Ok(Self(format!("mailto:{}", email.as_str()))) } else { Err(NotAContact) }
    }
}

impl Contact {
    /// The mailbox, if it is one.
    #[must_use]
    pub fn mailbox(&self) -> Option<Email> {
        self.0.strip_prefix("mailto:").and_then(|address| address.parse().ok())
    }
}

impl fmt::Display for Contact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Languages in which one may write, the tags of RFC 5646 with commas between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Languages(String);

/// The text is no list of language tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be language tags with commas between")]
pub struct NotLanguages;

impl FromStr for Languages {
    type Err = NotLanguages;

    fn from_str(text: &str) -> Result<Self, NotLanguages> {
        let tags: Vec<&str> = text.split(',').map(|tag| tag.trim_matches(' ')).collect();
        let good = text.len() <= URI_BYTES_MAX && tags.len() <= LANGUAGES_MAX && tags.iter().all(|tag| is_tag(tag));
        if good { Ok(Self(tags.join(", "))) } else { Err(NotLanguages) }
    }
}

impl fmt::Display for Languages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// RFC 5646 §2.1, without private and grandfathered tags: a language of two to eight letters, then parts of one to eight.
fn is_tag(tag: &str) -> bool {
    let mut parts = tag.split('-');
    let first = parts.next().unwrap_or_default();
    (2..=8).contains(&first.len())
        && first.bytes().all(|byte| byte.is_ascii_alphabetic())
        && parts.all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// Where to tell of a weakness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disclosure {
    /// The first is the one that is preferred.
    pub contacts: Vec<Contact>,
    /// How long what was read holds.
    pub holds: Duration,
    /// What happens then.
    pub policy: Option<HttpsUri>,
    /// In what languages.
    pub languages: Option<Languages>,
}

impl Disclosure {
    /// The mailbox that is preferred, if there is one.
    #[must_use]
    pub fn mailbox(&self) -> Option<Email> {
        self.contacts.iter().find_map(Contact::mailbox)
    }

    /// Until when what is read at `now` holds: so many days on, rounded down to the day. It is later than `now` where that
    /// is a day or more.
    #[must_use]
    pub fn expires(&self, now: UnixMs) -> UnixMs {
        let end = now.plus(self.holds).get();
        UnixMs::new(end - end.rem_euclid(DAY_MS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contacts_are_uris_on_one_line() {
        for (text, wanted) in [
            ("mailto:Security@Example.com", "mailto:security@example.com"),
            ("https://example.com/report?a=b#c", "https://example.com/report?a=b#c"),
            ("https://example.com:8443", "https://example.com:8443"),
        ] {
            assert_eq!(text.parse::<Contact>().map(|contact| contact.to_string()).as_deref(), Ok(wanted));
        }
        let mailbox = |text: &str| text.parse::<Contact>().ok().and_then(|contact| contact.mailbox());
        assert_eq!(mailbox("https://example.com/report"), None);
        assert_eq!(mailbox("mailto:a@example.com"), "a@example.com".parse().ok());
        for wrong in [
            "",
            "security@example.com",
            "mailto:",
            "mailto:nobody",
            "mailto:a@example.com?subject=x",
            "mailto:a@example.com\r\nExpires: never",
            "http://example.com",
            "https://",
            "https:///path",
            "https://user@example.com",
            "https://example.com/a b",
            "https://example.com/\r\nContact: mailto:eve@example.com",
            "https://example.com/\u{e4}",
            "tel:+1-201-555-0123",
        ] {
            assert_eq!(wrong.parse::<Contact>(), Err(NotAContact), "{wrong:?}");
        }
    }

    #[test]
    fn languages_are_tags() {
        assert_eq!(
            "en,de-AT , zh-Hant".parse::<Languages>().map(|list| list.to_string()).as_deref(),
            Ok("en, de-AT, zh-Hant")
        );
        for wrong in ["", "e", "en,", "en-", "english language", "en\r\n", "1a", "en_GB", "toolonglanguage"] {
            assert_eq!(wrong.parse::<Languages>(), Err(NotLanguages), "{wrong:?}");
        }
    }

    #[test]
    fn it_ends_at_midnight_and_always_later() {
        let of = |days: u64| Disclosure {
            contacts: vec![],
            holds: Duration::from_hours(24 * days),
            policy: None,
            languages: None,
        };
        let midnight = 20_000 * DAY_MS;
        for (now, days, end) in [
            (midnight, 1, midnight + DAY_MS),
            (midnight + DAY_MS - 1, 1, midnight + DAY_MS),
            (midnight + 1, 180, midnight + 180 * DAY_MS),
        ] {
            assert_eq!(of(days).expires(UnixMs::new(now)).get(), end);
            assert!(end > now);
        }
    }
}
