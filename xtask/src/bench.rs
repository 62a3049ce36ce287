//! The benches: one for each promised number. The one of a panicking actor needs the injected failures.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;

use crate::process;

/// Every bench.
pub(crate) fn all(args: &[OsString]) -> Result<ExitCode> {
    one("*", args)
}

/// The bench of this name (a pattern may name several).
pub(crate) fn one(name: &str, args: &[OsString]) -> Result<ExitCode> {
    process::run_as_ours(
        process::cargo(&["bench", "--locked", "--features", "test-faults", "--bench", name, "--"]).args(args),
    )
}
