//! What a check found, and all of them together.

use serde::Serialize;

use crate::cli::Exit;
use crate::failure::Failure;
use crate::out;

/// A line of the report.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    check: &'static str,
    ok: bool,
    found: String,
    /// Nothing where there is nothing to do.
    remedy: Option<String>,
}

impl Finding {
    /// As it should be.
    pub(super) fn good(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, ok: true, found: found.into(), remedy: None }
    }

    /// Not as it should be, and what to do.
    pub(super) fn bad(check: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, ok: false, found: found.into(), remedy: Some(remedy.into()) }
    }

    #[cfg(test)]
    pub(super) const fn is_good(&self) -> bool {
        self.ok
    }
}

/// Tells findings as they come, and remembers whether one was bad.
#[derive(Debug, Default)]
pub(super) struct Report {
    bad: usize,
}

impl Report {
    /// Tells one.
    ///
    /// # Errors
    /// Exit 69 when nobody reads it.
    pub(super) fn tell(&mut self, finding: &Finding) -> Result<(), Failure> {
        self.bad += usize::from(!finding.ok);
        out::result(finding).map_err(|error| Failure::new(Exit::Unavailable, error))
    }

    /// Whether all was well.
    ///
    /// # Errors
    /// `exit` when it was not.
    pub(super) fn end(self, exit: Exit) -> Result<(), Failure> {
        match self.bad {
            0 => Ok(()),
            1 => Err(Failure::new(exit, "one finding: its remedy stands beside it")),
            bad => Err(Failure::new(exit, format!("{bad} findings: the remedy of each stands beside it"))),
        }
    }
}
