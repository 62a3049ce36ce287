//! The rules that requests are compared with, in a build with the feature `waf`; in another there are none.

#[cfg(feature = "waf")]
use std::{sync::Arc, thread};

#[cfg(feature = "waf")]
use freehold_http::waf::Waf;

#[cfg(feature = "waf")]
use crate::cli::Exit;
use crate::config::Config;
use crate::failure::Failure;

/// The rules, if there are any.
pub(crate) struct Rules {
    #[cfg(feature = "waf")]
    pub(crate) waf: Option<Arc<Waf>>,
}

impl Rules {
    /// A build without the feature has refused whatever is set.
    #[cfg(not(feature = "waf"))]
    #[expect(clippy::unnecessary_wraps, reason = "reading them can fail where there are any")]
    pub(crate) fn read(_: &Config) -> Result<Self, Failure> {
        Ok(Self {})
    }

    /// Reads the files that the configuration names.
    ///
    /// # Errors
    /// Exit 78 with everything that is wrong with them, a line each.
    #[cfg(feature = "waf")]
    pub(crate) fn read(config: &Config) -> Result<Self, Failure> {
        let Some(rules) = &config.waf else { return Ok(Self { waf: None }) };
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let waf = Waf::load(&rules.rules, threads).map_err(|faults| {
            let line = |fault| format!("FREEHOLD_WAF_RULES: {fault}; mend the file, or leave it out");
            Failure::new(Exit::Config, faults.iter().map(line).collect::<Vec<_>>().join("\n"))
        })?;
        let signatures = waf.signatures.join(" ");
        tracing::info!(waf.rules = waf.count, waf.signatures = signatures, "requests are compared with rules");
        if !waf.dead.is_empty() {
            let dead = waf.dead.join(" ");
            tracing::warn!(waf.rules = dead, "these rules never match: the engine does not know what they ask for");
        }
        Ok(Self { waf: Some(Arc::new(waf)) })
    }
}
