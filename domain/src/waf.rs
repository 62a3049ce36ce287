//! What is done with a request that the rules of the feature `waf` match: nothing, a count, or a refusal.
//!
//! The server has a mode for every tenant, and an operator may give one tenant another. A server without rules has none,
//! whatever a tenant was given.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What is done with a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// It is not looked at.
    #[default]
    Off,
    /// It goes on, and what matches is counted.
    Detect,
    /// It is refused where the rules refuse it, and where they cannot be asked.
    Block,
}

impl Mode {
    /// Every mode.
    pub const ALL: [Self; 3] = [Self::Off, Self::Detect, Self::Block];

    /// Its word in settings and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Detect => "detect",
            Self::Block => "block",
        }
    }

    /// What holds for a tenant: the mode it was given, or that of the `server`, which is `None` without rules.
    #[must_use]
    pub fn in_force(server: Option<Self>, given: Option<Self>) -> Self {
        server.map_or(Self::Off, |server| given.unwrap_or(server))
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is no mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be off, detect or block")]
pub struct NoMode;

impl FromStr for Mode {
    type Err = NoMode;

    fn from_str(text: &str) -> Result<Self, NoMode> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == text).ok_or(NoMode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_read_as_it_is_written() {
        for mode in Mode::ALL {
            assert_eq!(mode.as_str().parse(), Ok(mode));
            assert_eq!(serde_json::to_value(mode).expect("a word"), mode.as_str());
        }
        for text in ["", "on", "Block", "block "] {
            assert_eq!(text.parse::<Mode>(), Err(NoMode), "{text}");
        }
    }

    #[test]
    fn what_a_tenant_was_given_comes_before_the_servers_and_needs_rules() {
        for (server, given, in_force) in [
            (None, None, Mode::Off),
            (None, Some(Mode::Block), Mode::Off),
            (Some(Mode::Detect), None, Mode::Detect),
            (Some(Mode::Off), Some(Mode::Block), Mode::Block),
            (Some(Mode::Block), Some(Mode::Off), Mode::Off),
        ] {
            assert_eq!(Mode::in_force(server, given), in_force, "{server:?} {given:?}");
        }
    }
}
