//! What a key may be used for: a closed list.

use std::fmt;
use std::str::FromStr;

/// One thing that keys may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Conversations of the embedded assistant.
    Chat,
    /// Reporting what visitors do.
    Events,
    /// Reading what is known of the product's pages.
    SchemaRead,
    /// Reporting what the product's pages consist of.
    SchemaWrite,
    /// Reading how the tenant is set up.
    Config,
}

/// The text names no scope.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("is not a known scope")]
pub struct NotAScope;

impl Scope {
    /// Every scope, in the order in which they are told.
    pub const ALL: [Self; 5] = [Self::Chat, Self::Events, Self::SchemaRead, Self::SchemaWrite, Self::Config];

    /// The name in rows and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Events => "events",
            Self::SchemaRead => "schema:read",
            Self::SchemaWrite => "schema:write",
            Self::Config => "config",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl FromStr for Scope {
    type Err = NotAScope;

    fn from_str(text: &str) -> Result<Self, NotAScope> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text).ok_or(NotAScope)
    }
}

/// A set of scopes. Its text has their names with spaces between, as the `scope` of RFC 6749 §3.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    /// Every scope.
    #[must_use]
    pub fn all() -> Self {
        Scope::ALL.into_iter().collect()
    }

    /// Whether `scope` is among them.
    #[must_use]
    pub const fn has(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }

    /// Which they are, in the order of [`Scope::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.has(*scope))
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | scope.bit()))
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.iter().map(Scope::as_str).collect();
        f.write_str(&names.join(" "))
    }
}

impl FromStr for Scopes {
    type Err = NotAScope;

    fn from_str(text: &str) -> Result<Self, NotAScope> {
        text.split(' ').map(str::parse::<Scope>).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_reads_back() {
        for bits in 1..1_u8 << Scope::ALL.len() {
            let set: Scopes = Scope::ALL.into_iter().filter(|scope| bits & scope.bit() != 0).collect();
            assert_eq!(set.to_string().parse(), Ok(set));
            assert_eq!(set.iter().count(), bits.count_ones() as usize);
            assert!(Scope::ALL.into_iter().all(|scope| set.has(scope) == (bits & scope.bit() != 0)));
        }
        assert_eq!(Scopes::all().to_string(), "chat events schema:read schema:write config");
        for bad in ["", " ", "chat,events", "chat  events", "Chat", "schema", "admin"] {
            assert_eq!(bad.parse::<Scopes>(), Err(NotAScope), "{bad}");
        }
    }
}
