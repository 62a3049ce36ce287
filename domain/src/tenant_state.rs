//! Whether a tenant is served, as its operator decided.

use std::fmt;
use std::str::FromStr;

/// What an operator has made of a tenant. Quarantine is not here: the tree imposes it, no operator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TenantState {
    /// Served.
    #[default]
    Active,
    /// Nothing is served; every request is answered `tenant-suspended` before any store access.
    Suspended,
    /// Safe methods only.
    ReadOnly,
    /// Being moved away: answered 503 until it is elsewhere.
    Draining,
    /// Taken out of service for a while by the operator: answered 503.
    Held,
}

/// The text names no state.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("is not a tenant state")]
pub struct NotAState;

impl TenantState {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Active, Self::Suspended, Self::ReadOnly, Self::Draining, Self::Held];

    /// The name in rows and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::ReadOnly => "read-only",
            Self::Draining => "draining",
            Self::Held => "held",
        }
    }
}

impl fmt::Display for TenantState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for TenantState {
    type Err = NotAState;

    fn from_str(text: &str) -> Result<Self, NotAState> {
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or(NotAState)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_reads_back() {
        for state in TenantState::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
        }
        assert_eq!("quarantined".parse::<TenantState>(), Err(NotAState));
    }
}
