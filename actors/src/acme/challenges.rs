//! The answers to HTTP challenges (RFC 8555 §8.3): what an authority asks of a host, any node answers from the store.

use std::fmt;
use std::sync::Arc;

use freehold_domain::acme::ChallengeToken;
use freehold_storage::{Chain, acme};
use tokio::sync::Semaphore;

use crate::node::Node;

/// How many look-ups go on at once: whoever asks need not prove anything.
const LOOKS_MAX: usize = 16;

/// Where answers are looked up.
#[derive(Clone)]
pub struct Challenges {
    node: Arc<Node>,
    places: Arc<Semaphore>,
}

/// There is no answer now.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum NoAnswer {
    /// To that question of that host, none at all.
    #[error("no such challenge")]
    Unknown,
    /// Too many ask, or the store is away.
    #[error("the challenge could not be looked up")]
    Unavailable,
}

impl fmt::Debug for Challenges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Challenges").field("places", &self.places.available_permits()).finish_non_exhaustive()
    }
}

impl Challenges {
    /// Those of this node's store.
    #[must_use]
    pub fn of(node: Arc<Node>) -> Self {
        Self { node, places: Arc::new(Semaphore::new(LOOKS_MAX)) }
    }

    /// What is answered to whoever asks `host` for this token.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub async fn answer(&self, host: &str, token: &ChallengeToken) -> Result<String, NoAnswer> {
        let _place = self.places.try_acquire().map_err(|_| NoAnswer::Unavailable)?;
        let now = self.node.ambient.now();
        let found =
            async { acme::challenge_answer(&mut self.node.store.keys_read().await?, token.as_str(), host, now).await };
        match found.await {
            Ok(found) => found.ok_or(NoAnswer::Unknown),
            Err(error) => {
                tracing::warn!(error = %Chain(&error), "a challenge could not be looked up");
                Err(NoAnswer::Unavailable)
            }
        }
    }
}
