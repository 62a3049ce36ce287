//! Logs: JSON lines on stderr, each with its fields at the top level. Panics are among them.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::{self, PanicHookInfo};

use crate::config::LogFilter;

/// Sends every log line that `filter` lets through to stderr.
pub fn to_stderr(filter: &LogFilter) {
    let lines = tracing_subscriber::fmt().json().flatten_event(true).with_current_span(true).with_span_list(false);
    // A second subscriber cannot be set; the first one stands.
    drop(lines.with_env_filter(filter.filter()).with_writer(std::io::stderr).try_init());
    panic::set_hook(Box::new(log_panic));
}

/// Rust's own hook writes lines that are not JSON.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let message = panic.payload_as_str().unwrap_or("not a text");
    #[cfg(feature = "waf")]
    let message = if freehold_http::waf::is_inspecting() { "while a request was compared with rules" } else { message };
    let place = panic.location().map(tracing::field::display);
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| tracing::field::display(backtrace));
    tracing::error!(panic = message, place, backtrace, "a panic");
}
