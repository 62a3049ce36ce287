//! What anybody tells of a weakness: bounded, sealed, and to be answered within two days.
//!
//! Received(t) --answer--> Answered          overdue: Received(t), now >= t + 48 h
//!
//! Nothing of a report is believed or shown as anything but text.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::keys::{Place, Sealable};
use crate::secret::Secret;
use crate::text::OneLine;
use crate::time::UnixMs;

/// Within how long whoever told of a weakness has a first answer.
pub const ANSWERED_WITHIN: Duration = Duration::from_hours(48);
/// How many may wait for an answer.
pub const OPEN_MAX: i64 = 500;
/// How long one that was answered is kept.
pub const ANSWERED_KEPT: Duration = Duration::from_hours(365 * 24);
/// Most characters of a report.
pub const TEXT_CHARS_MAX: usize = 10_000;
/// Most characters of what was answered.
pub const NOTE_CHARS_MAX: usize = 2_000;

/// Who tells, in their own words: a name, an address, or both.
pub type Reporter = OneLine<254>;
/// The text of a report.
pub type ReportText = Lines<TEXT_CHARS_MAX>;
/// What was answered.
pub type Note = Lines<NOTE_CHARS_MAX>;

/// Text of 1 to `MAX` characters on one line or several: no control characters but line ends and tabs.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Lines<const MAX: usize>(String);

/// The text is not of that kind. The messages are fit for a problem's `errors[].message`.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotLines {
    /// There is no text, or only white space.
    #[error("must not be empty")]
    Empty,
    /// It has more characters than this.
    #[error("must have at most {0} characters")]
    TooLong(usize),
    /// It holds a control character that ends no line.
    #[error("must not contain control characters")]
    Control,
}

impl<const MAX: usize> Lines<MAX> {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> TryFrom<String> for Lines<MAX> {
    type Error = NotLines;

    fn try_from(text: String) -> Result<Self, NotLines> {
        if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
            return Err(NotLines::Control);
        }
        if text.chars().nth(MAX).is_some() {
            return Err(NotLines::TooLong(MAX));
        }
        if text.trim().is_empty() { Err(NotLines::Empty) } else { Ok(Self(text)) }
    }
}

impl<const MAX: usize> From<Lines<MAX>> for String {
    fn from(lines: Lines<MAX>) -> Self {
        lines.0
    }
}

/// It may be personal, and says how to break in.
impl<const MAX: usize> fmt::Debug for Lines<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[text]")
    }
}

/// What somebody tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityReport {
    /// Who, if they say so.
    #[serde(default)]
    pub reporter: Option<Reporter>,
    /// What.
    pub text: ReportText,
    /// The host at whose form it was told.
    pub host: String,
}

impl SecurityReport {
    /// Where the report of the row with this id is sealed.
    #[must_use]
    pub const fn place(row: &[u8; 16]) -> Place<'_> {
        Place { table: "security_report", column: "report_sealed", row }
    }

    /// Where what was answered to it is sealed.
    #[must_use]
    pub const fn note_place(row: &[u8; 16]) -> Place<'_> {
        Place { table: "security_report", column: "note_sealed", row }
    }
}

impl Sealable for SecurityReport {
    fn to_plaintext(&self) -> Secret<Vec<u8>> {
        Secret::new(serde_json::to_vec(self).unwrap_or_default()) // texts alone: cannot fail
    }

    fn from_plaintext(plaintext: &[u8]) -> Option<Self> {
        serde_json::from_slice(plaintext).ok()
    }
}

/// How a report stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It waits for its first answer, and not for too long yet.
    Open,
    /// It has waited for too long.
    Overdue,
    /// It was answered.
    Answered,
}

impl Standing {
    /// How a report stands at `now` that was received and answered then.
    #[must_use]
    pub fn of(received: UnixMs, answered: Option<UnixMs>, now: UnixMs) -> Self {
        match answered {
            Some(_) => Self::Answered,
            None if now >= due(received) => Self::Overdue,
            None => Self::Open,
        }
    }

    /// Its name in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Overdue => "overdue",
            Self::Answered => "answered",
        }
    }
}

/// Until when a report that was received then has its first answer.
#[must_use]
pub fn due(received: UnixMs) -> UnixMs {
    received.plus(ANSWERED_WITHIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_overdue_after_48_hours_and_never_once_it_is_answered() {
        const HOUR_MS: i64 = 3_600_000;
        let at = |hours: i64, more: i64| UnixMs::new(hours * HOUR_MS + more);
        for (answered, now, wanted) in [
            (None, at(0, 0), Standing::Open),
            (None, at(48, -1), Standing::Open),
            (None, at(48, 0), Standing::Overdue),
            (None, at(4_800, 0), Standing::Overdue),
            (Some(at(1, 0)), at(2, 0), Standing::Answered),
            (Some(at(72, 0)), at(73, 0), Standing::Answered),
        ] {
            assert_eq!(Standing::of(at(0, 0), answered, now), wanted, "{now:?}");
        }
    }

    #[test]
    fn a_report_has_lines_and_nothing_that_steers_a_terminal() {
        let lines = |text: &str| Lines::<5>::try_from(text.to_owned()).map(|lines| lines.0);
        assert_eq!(lines("a\r\n\tb").as_deref(), Ok("a\r\n\tb"));
        assert_eq!(lines("äöüßx").as_deref(), Ok("äöüßx"));
        assert_eq!(lines("äöüßxy"), Err(NotLines::TooLong(5)));
        assert_eq!(lines(" \n"), Err(NotLines::Empty));
        for c in ['\0', '\u{1b}', '\u{7f}', '\u{9b}'] {
            assert_eq!(lines(&format!("a{c}")), Err(NotLines::Control), "{c:?}");
        }
    }

    #[test]
    fn a_report_survives_its_seal_and_is_not_shown() {
        let report = SecurityReport {
            reporter: Some("Eve <eve@example.com>".parse().unwrap()),
            text: "an open\ndoor".to_owned().try_into().unwrap(),
            host: "acme.example.com".to_owned(),
        };
        assert!(SecurityReport::from_plaintext(report.to_plaintext().expose()).as_ref() == Some(&report));
        let shown = format!("{report:?}");
        assert!(!shown.contains("eve") && !shown.contains("door"), "{shown}");
    }
}
