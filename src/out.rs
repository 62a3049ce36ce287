//! Everything the program says: results on stdout, one JSON object or word a line; the rest on stderr. Only this file prints.

use std::fmt;
use std::io::{self, IsTerminal as _, Write};

use serde::Serialize;

/// How wide a bar is.
const BAR_CELLS: u64 = 30;

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

/// How far long work is, drawn on one line of a terminal; nothing where stderr is none.
pub struct Bar {
    what: &'static str,
    total: u64,
    is_drawn: bool,
}

impl Bar {
    /// A bar that is full at `total`.
    #[must_use]
    pub fn new(what: &'static str, total: u64) -> Self {
        Self { what, total, is_drawn: io::stderr().is_terminal() && total > 0 }
    }

    /// Whether anybody can see it.
    #[must_use]
    pub const fn is_drawn(&self) -> bool {
        self.is_drawn
    }

    /// Draws it as it is with so much done.
    pub fn show(&mut self, done: u64) {
        if self.is_drawn {
            let _ = write!(io::stderr().lock(), "\r{}", self.line(done));
        }
    }

    fn line(&self, done: u64) -> String {
        let filled = done.saturating_mul(BAR_CELLS) / self.total.max(1);
        let cell = |n| if n < filled { '#' } else { '.' };
        let cells: String = (0..BAR_CELLS).map(cell).collect();
        format!("[{cells}] {done} of {} {}", self.total, self.what)
    }
}

/// Leaves its line.
impl Drop for Bar {
    fn drop(&mut self) {
        if self.is_drawn {
            let _ = writeln!(io::stderr().lock());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_fills_up_and_not_over() {
        let bar = Bar { what: "done", total: 60, is_drawn: false };
        assert_eq!(bar.line(0), "[..............................] 0 of 60 done");
        assert_eq!(bar.line(31), "[###############...............] 31 of 60 done");
        assert_eq!(bar.line(90), "[##############################] 90 of 60 done");
        let bar = Bar { what: "done", total: 0, is_drawn: false };
        assert_eq!(bar.line(0), "[..............................] 0 of 0 done");
    }
}
