//! Why a command failed: an exit code and lines for stderr.

use std::fmt::Display;

use freehold_storage::Chain;

use crate::cli::Exit;
use crate::config::Faults;
use crate::out;

/// A failed command.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What to print on stderr.
    pub message: String,
}

impl Failure {
    /// A failure with this exit code.
    pub fn new(exit: Exit, message: impl Display) -> Self {
        Self { exit, message: message.to_string() }
    }

    /// Prints it and gives the exit code.
    #[must_use]
    pub fn report(&self) -> Exit {
        out::notice(&self.message);
        self.exit
    }
}

impl From<Faults> for Failure {
    fn from(faults: Faults) -> Self {
        Self::new(Exit::Config, faults)
    }
}

/// An error with its causes on one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    Chain(error).to_string()
}
