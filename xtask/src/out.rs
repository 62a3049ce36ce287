//! The one place that prints.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a script talks to a terminal")]

/// A line of the answer.
pub(crate) fn line(text: &str) {
    println!("{text}");
}

/// A line about the work, beside the answer.
pub(crate) fn note(text: &str) {
    eprintln!("{text}");
}
