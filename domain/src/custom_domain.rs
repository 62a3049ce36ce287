//! Custom domains: names of a tenant's own that lead to it, once it has proved that they are its.
//!
//! ```text
//! claimed --proof--> attached --proof gone for so long--> claimed --a week--> forgotten
//! ```
//!
//! Anybody may claim a name; claiming holds nothing. A name is attached to one tenant at a time, the first to prove it, and
//! to no other until it is detached. The proof is a text at a name below the domain (TXT), or a page of it over HTTP; either
//! is enough, and one must stay. A name server that does not answer proves nothing and disproves nothing.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;

use crate::a_labels::a_labels;
use crate::base32;
use crate::time::UnixMs;

/// How long a claim is kept that nobody proves, and a name that was detached.
pub const CLAIM_KEPT: Duration = Duration::from_hours(7 * 24);
/// Most names that one tenant has, claimed and attached.
pub const DOMAINS_MAX: i64 = 20;
/// Between two looks that somebody asks for.
pub const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Where the page of a proof is, over HTTP.
pub const PROOF_PATH: &str = "/.well-known/freehold-domain-verification";

/// Most characters of a name as somebody writes it.
const TEXT_CHARS_MAX: usize = 253;
const TXT_LABEL: &str = "_freehold";
const TXT_KEY: &str = "freehold-domain-verification=";
/// With the label of the proof before it, a name has 253 characters at most (RFC 1035 §2.3.4).
const CHARS_MAX: usize = 253 - TXT_LABEL.len() - 1;
/// Names that are for a machine or a site of its own (RFC 6761, RFC 6762, RFC 7686, RFC 8375, RFC 9476).
const SPECIAL: [&str; 8] = ["alt", "arpa", "internal", "invalid", "local", "localhost", "onion", "localdomain"];

/// A name that can be a custom domain: A-labels in lower case, at least two of them, and no public suffix.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct DomainName(Box<str>);

/// The text cannot be a custom domain. The messages are fit for a problem's `errors[].message`.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotADomain {
    /// It is no name of the DNS, or one label.
    #[error("must be a domain name such as shop.example.com, without scheme, port and path")]
    Shape,
    /// Everybody's customers have names under it (Public Suffix List).
    #[error("is a suffix under which others have their names: name a domain under it")]
    PublicSuffix,
    /// It means something else everywhere.
    #[error("is reserved for special use")]
    SpecialUse,
}

impl DomainName {
    /// The name in A-labels.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is this domain or a name under it.
    #[must_use]
    pub fn is_within(&self, domain: &str) -> bool {
        let front = self.0.strip_suffix(domain);
        front.is_some_and(|front| front.is_empty() || front.ends_with('.'))
    }

    /// The name at which the DNS has the text of the proof.
    #[must_use]
    pub fn txt_name(&self) -> String {
        format!("{TXT_LABEL}.{}", self.0)
    }
}

impl FromStr for DomainName {
    type Err = NotADomain;

    fn from_str(text: &str) -> Result<Self, NotADomain> {
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.chars().nth(TEXT_CHARS_MAX).is_some() {
            return Err(NotADomain::Shape);
        }
        let name = a_labels(text).ok_or(NotADomain::Shape)?;
        let last = name.rsplit('.').next().unwrap_or_default();
        // What browsers take for an address (WHATWG URL, "ends in a number").
        let is_number = last.bytes().all(|byte| byte.is_ascii_digit())
            || last.strip_prefix("0x").is_some_and(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
        if name.len() > CHARS_MAX || is_number {
            return Err(NotADomain::Shape);
        }
        if SPECIAL.contains(&last) {
            return Err(NotADomain::SpecialUse);
        }
        if !name.contains('.') {
            return Err(NotADomain::Shape);
        }
        psl::domain(name.as_bytes()).ok_or(NotADomain::PublicSuffix)?;
        Ok(Self(name.into()))
    }
}

impl TryFrom<String> for DomainName {
    type Error = NotADomain;

    fn try_from(text: String) -> Result<Self, NotADomain> {
        text.parse()
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the owner of a name shows there: another one for each tenant and name. Known to everybody who looks, so no secret;
/// random, so that nobody shows it by accident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge(String);

impl Challenge {
    /// A challenge from bytes fresh from the system's random generator.
    #[must_use]
    pub fn from_random(random: &[u8; 20]) -> Self {
        Self(base32::encode(base32::CROCKFORD, random).to_ascii_lowercase())
    }

    /// One that is stored.
    #[must_use]
    pub const fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// What the page of the proof holds, and nothing else but white space around it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text that the DNS must have.
    #[must_use]
    pub fn txt(&self) -> String {
        format!("{TXT_KEY}{}", self.0)
    }

    /// What the texts that the DNS has are: the proof, that of somebody else, or none at all.
    #[must_use]
    pub fn seen_in<'a>(&self, texts: impl IntoIterator<Item = &'a [u8]>) -> Seen {
        let own = self.txt();
        let mut seen = Seen::Nothing;
        for text in texts.into_iter().map(<[u8]>::trim_ascii) {
            if text == own.as_bytes() {
                return Seen::Proof;
            }
            if text.starts_with(TXT_KEY.as_bytes()) {
                seen = Seen::Other;
            }
        }
        seen
    }

    /// Whether a page is the proof.
    #[must_use]
    pub fn is_page(&self, page: &str) -> bool {
        page.trim() == self.0
    }
}

/// What a look at one of the two places found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The proof.
    Proof,
    /// Something else.
    Other,
    /// Nothing.
    Nothing,
    /// There was no answer, or none that says whether there is something.
    NoAnswer,
    /// The name leads to an address that nothing is fetched from.
    Forbidden,
}

impl Seen {
    /// Its name in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Proof => "proof",
            Self::Other => "other",
            Self::Nothing => "nothing",
            Self::NoAnswer => "no_answer",
            Self::Forbidden => "forbidden_address",
        }
    }
}

/// What a look at both found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// In the DNS.
    pub txt: Seen,
    /// Over HTTP.
    pub http: Seen,
}

/// What a look says of the proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It is there.
    Proved,
    /// It is not.
    Absent,
    /// Nobody can say.
    Unknown,
}

impl Look {
    /// What it says. Whoever has the name decides in the DNS: without its word nothing is known to be gone, and where it names
    /// somebody else a page proves nothing, for that may be one of ours which outlived a change of owner.
    #[must_use]
    pub const fn finding(self) -> Finding {
        match (self.txt, self.http) {
            (Seen::Other, _) => Finding::Absent,
            (Seen::Proof, _) | (_, Seen::Proof) => Finding::Proved,
            (Seen::NoAnswer, _) => Finding::Unknown,
            (Seen::Nothing | Seen::Forbidden, _) => Finding::Absent,
        }
    }
}

/// How often the proof of a name is looked at, and how long it may be gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Between two looks while all is well.
    pub recheck: Duration,
    /// Between two looks while it is gone, or nobody can say.
    pub retry: Duration,
    /// How long it may be gone before the name is detached.
    pub detach_after: Duration,
}

/// What becomes of a name that is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It stays, and is looked at again then.
    Stays {
        /// Since when the proof is gone, if so.
        failing_since: Option<UnixMs>,
        /// When to look again.
        look_at: UnixMs,
    },
    /// It leads nowhere from now on.
    Detached,
}

impl Rules {
    /// What becomes of an attached name of which the proof is gone since `failing_since`, after a look at `now`.
    #[must_use]
    pub fn after(&self, failing_since: Option<UnixMs>, finding: Finding, now: UnixMs) -> Next {
        match finding {
            Finding::Proved => Next::Stays { failing_since: None, look_at: now.plus(self.recheck) },
            Finding::Unknown => Next::Stays { failing_since, look_at: now.plus(self.retry) },
            Finding::Absent => {
                let since = failing_since.unwrap_or(now).min(now);
                let end = since.plus(self.detach_after);
                if now >= end && failing_since.is_some() {
                    return Next::Detached;
                }
                Next::Stays { failing_since: Some(since), look_at: now.plus(self.retry).min(end.max(now)) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: UnixMs = UnixMs::new(1_700_000_000_000);
    const RULES: Rules = Rules {
        recheck: Duration::from_hours(24),
        retry: Duration::from_hours(1),
        detach_after: Duration::from_hours(72),
    };

    #[test]
    fn a_domain_has_one_text() {
        for (given, name) in [
            ("Shop.Example.COM", "shop.example.com"),
            ("example.com.", "example.com"),
            ("Bücher.example", "xn--bcher-kva.example"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("shop。example.com", "shop.example.com"),
            ("a.b.co.uk", "a.b.co.uk"),
            ("me.github.io", "me.github.io"),
        ] {
            assert_eq!(given.parse::<DomainName>().as_ref().map(DomainName::as_str), Ok(name), "{given}");
        }
    }

    #[test]
    fn what_cannot_be_a_custom_domain_is_named() {
        for (text, refusal) in [
            ("", NotADomain::Shape),
            ("example", NotADomain::Shape),
            ("https://example.com", NotADomain::Shape),
            ("example.com:443", NotADomain::Shape),
            ("example.com/", NotADomain::Shape),
            ("*.example.com", NotADomain::Shape),
            ("a_b.example.com", NotADomain::Shape),
            ("-a.example.com", NotADomain::Shape),
            ("a..example.com", NotADomain::Shape),
            ("user@example.com", NotADomain::Shape),
            ("exa mple.com", NotADomain::Shape),
            ("example.com..", NotADomain::Shape),
            ("xn--a.example", NotADomain::Shape),
            ("127.0.0.1", NotADomain::Shape),
            ("[::1]", NotADomain::Shape),
            ("a.1", NotADomain::Shape),
            ("a.0x1", NotADomain::Shape),
            ("a.0x", NotADomain::Shape),
            ("com", NotADomain::Shape),
            ("co.uk", NotADomain::PublicSuffix),
            ("github.io", NotADomain::PublicSuffix),
            ("localhost", NotADomain::SpecialUse),
            ("acme.localhost", NotADomain::SpecialUse),
            ("printer.local", NotADomain::SpecialUse),
            ("db.internal", NotADomain::SpecialUse),
            ("1.0.0.127.in-addr.arpa", NotADomain::SpecialUse),
        ] {
            assert_eq!(text.parse::<DomainName>(), Err(refusal), "{text}");
        }
        let long = vec!["a".repeat(60); 4].join(".") + ".com";
        assert_eq!(long.parse::<DomainName>(), Err(NotADomain::Shape));
        assert_eq!("a".repeat(100_000).parse::<DomainName>(), Err(NotADomain::Shape));
    }

    #[test]
    fn a_name_is_within_a_domain_by_whole_labels() {
        let within = |name: &str, domain: &str| name.parse::<DomainName>().expect(name).is_within(domain);
        assert!(within("example.com", "example.com") && within("a.example.com", "example.com"));
        assert!(!within("evilexample.com", "example.com") && !within("example.com", "a.example.com"));
    }

    #[test]
    fn a_proof_is_the_challenge_and_nothing_else() {
        let challenge = Challenge::from_random(&[7; 20]);
        assert_eq!(challenge.as_str().len(), 32);
        assert!(challenge.is_page(&format!("{}\n", challenge.as_str())));
        let other = Challenge::from_random(&[8; 20]);
        let seen = |texts: &[&str]| challenge.seen_in(texts.iter().map(|text| text.as_bytes()));
        let (own, theirs) = (challenge.txt(), other.txt());
        assert_eq!(seen(&[]), Seen::Nothing);
        assert_eq!(seen(&["v=spf1 -all", challenge.as_str(), ""]), Seen::Nothing, "of somebody else's business");
        assert_eq!(seen(&[&theirs]), Seen::Other);
        assert_eq!(seen(&[&format!("{own}x")]), Seen::Other);
        assert_eq!(seen(&["v=spf1 -all", &theirs, &own]), Seen::Proof);
        for page in
            [String::new(), challenge.txt(), other.as_str().to_owned(), format!("<p>{}</p>", challenge.as_str())]
        {
            assert!(!challenge.is_page(&page), "{page}");
        }
        assert_eq!("shop.test".parse::<DomainName>().expect("a name").txt_name(), "_freehold.shop.test");
    }

    #[test]
    fn one_proof_is_enough_and_without_the_dns_nothing_is_gone() {
        let finding = |txt, http| Look { txt, http }.finding();
        assert_eq!(finding(Seen::Proof, Seen::NoAnswer), Finding::Proved);
        assert_eq!(finding(Seen::NoAnswer, Seen::Proof), Finding::Proved);
        assert_eq!(finding(Seen::Nothing, Seen::NoAnswer), Finding::Absent);
        assert_eq!(finding(Seen::Other, Seen::Nothing), Finding::Absent);
        assert_eq!(finding(Seen::Other, Seen::Proof), Finding::Absent, "the DNS names somebody else");
        assert_eq!(finding(Seen::Nothing, Seen::Proof), Finding::Proved);
        assert_eq!(finding(Seen::NoAnswer, Seen::Nothing), Finding::Unknown);
    }

    #[test]
    fn a_name_is_detached_once_its_proof_is_gone_for_long() {
        let after = |since, finding, now| RULES.after(since, finding, now);
        let stays = |failing_since, look_at| Next::Stays { failing_since, look_at };
        let later = |seconds| NOW.plus(Duration::from_secs(seconds));
        assert_eq!(after(Some(NOW), Finding::Proved, later(9)), stays(None, later(9 + 86_400)));
        assert_eq!(after(None, Finding::Absent, NOW), stays(Some(NOW), later(3_600)));
        assert_eq!(after(None, Finding::Unknown, NOW), stays(None, later(3_600)));
        assert_eq!(after(Some(NOW), Finding::Unknown, later(900_000)), stays(Some(NOW), later(903_600)));
        // The last look is at the end itself.
        assert_eq!(after(Some(NOW), Finding::Absent, later(258_000)), stays(Some(NOW), later(259_200)));
        assert_eq!(after(Some(NOW), Finding::Absent, later(259_199)), stays(Some(NOW), later(259_200)));
        assert_eq!(after(Some(NOW), Finding::Absent, later(259_200)), Next::Detached);
    }

    proptest! {
        #[test]
        fn a_name_is_read_back(text in "\\PC{1,40}") {
            if let Ok(name) = text.parse::<DomainName>() {
                prop_assert_eq!(name.as_str().parse::<DomainName>(), Ok(name.clone()));
                prop_assert!(name.txt_name().len() <= 253);
            }
        }

        #[test]
        fn no_name_is_detached_that_was_proved_of_late(
            looks in prop::collection::vec((0_u64..200_000, 0_u8..3), 1..60),
        ) {
            let (mut failing, mut now, mut proved) = (None, NOW, NOW);
            for (passed, found) in looks {
                now = now.plus(Duration::from_secs(passed));
                let finding = [Finding::Proved, Finding::Absent, Finding::Unknown][usize::from(found)];
                if finding == Finding::Proved {
                    proved = now;
                }
                match RULES.after(failing, finding, now) {
                    Next::Detached => {
                        prop_assert!(now.since(proved) >= RULES.detach_after);
                        break;
                    }
                    Next::Stays { failing_since, look_at } => {
                        prop_assert!(look_at >= now && look_at <= now.plus(RULES.recheck));
                        failing = failing_since;
                    }
                }
            }
        }
    }
}
