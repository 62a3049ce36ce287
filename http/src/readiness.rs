//! Whether this node should get requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use freehold_actors::node::Node;

/// How long the store may take to answer.
const STORE_MAX: Duration = Duration::from_secs(5);

/// Whether the listeners accept, the store answers, and the node is not stopping. Clones share it.
#[derive(Clone)]
pub struct Readiness {
    node: Arc<Node>,
    accepting: Arc<AtomicBool>,
}

impl Readiness {
    /// Not ready yet: nothing accepts.
    #[must_use]
    pub fn new(node: Arc<Node>) -> Self {
        Self { node, accepting: Arc::default() }
    }

    /// The listeners accept, or no longer do.
    pub fn accepting(&self, accepting: bool) {
        self.accepting.store(accepting, Ordering::Release);
    }

    /// Why the node is not ready; empty when it is. Migrations are current whenever the store is open: it refuses to
    /// open otherwise.
    pub async fn reasons(&self) -> Vec<&'static str> {
        let mut reasons = vec![];
        if !self.accepting.load(Ordering::Acquire) {
            reasons.push("the listeners do not accept");
        }
        if !matches!(tokio::time::timeout(STORE_MAX, self.node.store.ping()).await, Ok(Ok(()))) {
            reasons.push("the store does not answer");
        }
        if !self.node.is_isolated() {
            reasons.push("the store does not keep tenants apart");
        }
        if self.node.is_rootless() {
            reasons.push("the tree has lost its root");
        }
        let (active, quarantined) = self.node.slots.census(self.node.ambient.now());
        if quarantined >= self.node.settings.suspect_from && quarantined * 10 >= active + quarantined {
            reasons.push("many tenants are quarantined");
        }
        reasons
    }
}
