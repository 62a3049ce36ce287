//! Logs: JSON lines on stderr, each with its fields at the top level.

use crate::config::LogFilter;

/// Sends every log line that `filter` lets through to stderr.
pub fn to_stderr(filter: &LogFilter) {
    let lines = tracing_subscriber::fmt().json().flatten_event(true).with_current_span(true).with_span_list(false);
    // A second subscriber cannot be set; the first one stands.
    drop(lines.with_env_filter(filter.filter()).with_writer(std::io::stderr).try_init());
}
