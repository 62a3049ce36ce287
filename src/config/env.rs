//! The environment as an argument, so that a test needs no real one.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;

/// What every variable of ours begins with.
pub(super) const PREFIX: &str = "FREEHOLD_";

/// Variables that only tests and fault injection read; no setting is called so.
const FOREIGN: [&str; 2] = ["FREEHOLD_TEST_", "FREEHOLD_FAULT_"];

/// The environment variables that begin with `FREEHOLD_`. `Debug` shows names, never values.
#[derive(Clone, Default)]
pub struct Env(BTreeMap<String, OsString>);

impl Env {
    /// The environment of this process. The only place that reads it.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the place in config/ that reads the environment")]
    pub fn from_process() -> Self {
        std::env::vars_os().map(|(name, value)| (name.to_string_lossy().into_owned(), value)).collect()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &OsString)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }
}

impl<N: Into<String>, V: Into<OsString>> FromIterator<(N, V)> for Env {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        let ours = |name: &String| name.starts_with(PREFIX) && !FOREIGN.iter().any(|foreign| name.starts_with(foreign));
        Self(
            variables
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .filter(|(name, _)| ours(name))
                .collect(),
        )
    }
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
