//! A tenant's name in host names.

use std::fmt;
use std::str::FromStr;

/// Names that are never a tenant: the platform's own hosts, and those that mail and web conventions give a meaning.
pub const RESERVED: [&str; 37] = [
    "abuse", "account", "accounts", "admin", "administrator", "api", "app", "assets", "auth", "autoconfig",
    "autodiscover", "cdn", "console", "dashboard", "docs", "freehold", "ftp", "help", "isatap", "localhost", "login",
    "mail", "mta-sts", "ns1", "ns2", "oauth", "postmaster", "root", "sdk", "security", "smtp", "static", "status",
    "support", "system", "wpad", "www",
];

/// The name of the platform's own tenant, whose members are the operators.
const PLATFORM: &str = "admin";

/// A valid tenant slug: `^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`, one DNS label (RFC 1035 §2.3.1).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slug(Box<str>);

/// The text is not a slug.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("must be 1 to 63 of a-z, 0-9 and hyphen, begin with a letter and not end with a hyphen")]
pub struct NotASlug;

impl Slug {
    /// The platform's own tenant, whose members are the operators. Reserved like every name of the platform.
    #[must_use]
    pub fn platform() -> Self {
        Self(PLATFORM.into())
    }

    /// Whether it is [`Slug::platform`].
    #[must_use]
    pub fn is_platform(&self) -> bool {
        &*self.0 == PLATFORM
    }

    /// The label.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether no tenant may be called this.
    ///
    /// Labels with two hyphens in the third and fourth place, of which `xn--…` is Punycode, are reserved too (RFC 5891
    /// §4.2.3.1): a label that only looks like another is nobody's.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        self.0.get(2..4) == Some("--") || RESERVED.contains(&&*self.0)
    }
}

/// Names that no new tenant may have: those of the platform, and those that an operator adds.
#[derive(Clone, Debug, Default)]
pub struct ReservedNames {
    added: Vec<Slug>,
}

impl ReservedNames {
    /// Those of the platform and these.
    #[must_use]
    pub const fn with(added: Vec<Slug>) -> Self {
        Self { added }
    }

    /// Whether a new tenant may not be called this: it is one of the names, or reads like one.
    #[must_use]
    pub fn hold(&self, slug: &Slug) -> bool {
        let looks = skeleton(slug.as_str());
        let names = RESERVED.iter().copied().chain(self.added.iter().map(Slug::as_str));
        slug.is_reserved() || names.into_iter().any(|name| skeleton(name) == looks)
    }
}

/// What is left of a label for somebody who reads fast: digits are the letters they resemble, hyphens are nothing, and two
/// letters that run into one are that one (after Unicode Technical Standard #39 §4, for the characters of a slug).
fn skeleton(label: &str) -> String {
    let letter = |c: char| match c {
        '0' => 'o',
        '1' | 'i' => 'l',
        '3' => 'e',
        '4' => 'a',
        '5' => 's',
        '7' => 't',
        '8' => 'b',
        other => other,
    };
    let letters: String = label.chars().filter(|c| *c != '-').map(letter).collect();
    letters.replace("rn", "m").replace("vv", "w")
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Slug {
    type Err = NotASlug;

    fn from_str(text: &str) -> Result<Self, NotASlug> {
        let inside = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let valid = text.len() <= 63
            && text.bytes().next().is_some_and(|b| b.is_ascii_lowercase())
            && text.bytes().all(inside)
            && !text.ends_with('-');
        if valid { Ok(Self(text.into())) } else { Err(NotASlug) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_dns_label_and_nothing_else() {
        for good in ["a", "acme", "a-1", "a1", &"a".repeat(63)] {
            assert_eq!(good.parse::<Slug>().map(|s| s.to_string()), Ok(good.to_owned()));
        }
        for bad in ["", "1a", "-a", "a-", "A", "a.b", "a_b", "ä", "a b", "a\0", &"a".repeat(64)] {
            assert_eq!(bad.parse::<Slug>(), Err(NotASlug), "{bad}");
        }
    }

    #[test]
    fn reserved_names_are_sorted_valid_and_refused() {
        assert!(RESERVED.is_sorted());
        for name in RESERVED {
            assert!(name.parse::<Slug>().is_ok_and(|slug| slug.is_reserved()), "{name}");
        }
        assert!(Slug::platform().is_reserved() && Slug::platform().is_platform());
        assert!("xn--dmin-moa".parse::<Slug>().unwrap().is_reserved());
        assert!(!"acme".parse::<Slug>().unwrap().is_reserved());
    }

    #[test]
    fn what_reads_like_a_reserved_name_is_nobodys() {
        let names = ReservedNames::with(vec!["billing".parse().unwrap()]);
        for looks in [
            "admin", "adm1n", "admln", "ad-min", "adrnin", "ap1", "apl", "vvww", "rnail", "l0gin", "billing",
            "b1ll1ng", "bi-1ling",
        ] {
            assert!(names.hold(&looks.parse().unwrap()), "{looks}");
        }
        for own in ["acme", "admins", "apis", "mailer", "my-login", "bill", "shop", "w"] {
            assert!(!names.hold(&own.parse().unwrap()), "{own}");
        }
        assert!(!ReservedNames::default().hold(&"billing".parse().unwrap()));
    }
}
