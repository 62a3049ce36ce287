//! Everything the program says: results on stdout, one JSON object or word a line; the rest on stderr. Only this file prints.

use std::fmt;
use std::io::{self, Write};

use serde::Serialize;

/// Writes `result` to stdout as one line of JSON.
///
/// # Errors
/// What stdout answers (its reader may be gone), or a value JSON cannot hold.
pub fn result(result: &impl Serialize) -> io::Result<()> {
    write_line(io::stdout().lock(), &serde_json::to_string(result)?)
}

/// Writes one word to stdout as a line.
///
/// # Errors
/// What stdout answers (its reader may be gone).
pub fn word(word: &str) -> io::Result<()> {
    write_line(io::stdout().lock(), word)
}

/// Writes `message` and a newline to stderr. If nobody reads that there is nobody to tell.
pub fn notice(message: &impl fmt::Display) {
    let _ = write_line(io::stderr().lock(), &message.to_string());
}

fn write_line(mut to: impl Write, line: &str) -> io::Result<()> {
    // One write: lines of several threads or processes do not mix.
    to.write_all(format!("{line}\n").as_bytes())?;
    to.flush()
}
