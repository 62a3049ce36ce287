//! `log`: which events are written.

use tracing_subscriber::EnvFilter;

use super::values::Values;

const LOG: &str = "log";
pub(super) const SETTINGS: &[&str] = &[LOG];

/// Which events are written to stderr: text that is known to be a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter(String);

impl LogFilter {
    /// The filter `text` is; `None` if it is not one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        EnvFilter::try_new(text).is_ok().then(|| Self(text.to_owned()))
    }

    /// The filter, for the subscriber.
    #[must_use]
    pub fn filter(&self) -> EnvFilter {
        if cfg!(feature = "waf") {
            // The engine may say what it found in a request; what matters of it is told by the server.
            EnvFilter::new(format!("{},zentinel_modsec=off", self.0))
        } else {
            EnvFilter::new(&self.0)
        }
    }

    /// The text it was read from.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

pub(super) fn read(values: &mut Values) -> Option<LogFilter> {
    values.read(
        LOG,
        "a log filter",
        "write a level, or target=level with commas between: info,freehold=debug",
        LogFilter::parse,
    )
}
