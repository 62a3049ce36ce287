//! Shared counters: whether their keeper counts.

use super::finding::Finding;
use crate::config::Config;
use crate::failure::chain;

const CHECK: &str = "shared-counters";

/// Asks the keeper as a node would, if there is one.
pub(super) async fn look(config: &Config) -> Vec<Finding> {
    let Some(rule) = &config.counters else { return vec![] };
    let remedy = "see that FREEHOLD_REDIS_URL names it, with user and password, that its certificate is good, and that it may write";
    vec![match rule.greet().await {
        Ok(()) => Finding::good(CHECK, "what FREEHOLD_REDIS_URL names counts".to_owned()),
        Err(error) => {
            Finding::bad(CHECK, format!("what FREEHOLD_REDIS_URL names does not count: {}", chain(&error)), remedy)
        }
    }]
}
