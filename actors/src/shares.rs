//! What tenants share, and what one of them can have of it: hashes ([`crate::password_pool`]), places for requests in flight
//! ([`crate::gate`]), connections of the database ([`freehold_storage::Store`]) and calls to services outside.
//!
//! Who has its share is refused like anybody who comes when there is nothing left, and counted by what it asked for.

use freehold_domain::weight::Weight;

use crate::gate;
use crate::metric;
use crate::node::Node;

/// How much of each one tenant of some weight can have at once, and how much there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Places in the hash queue.
    pub hashes: usize,
    /// All of them.
    pub hashes_all: usize,
    /// Those that are kept for tenants that have none: who has none finds one while fewer tenants than this have any.
    pub hashes_reserve: usize,
    /// Passwords that are hashed at once.
    pub hash_threads: usize,
    /// Places for requests in flight.
    pub places: u32,
    /// All of them.
    pub places_all: u32,
    /// Connections of the database; `None` where each tenant has a file of its own.
    pub connections: Option<usize>,
    /// Calls to services outside.
    pub outbound: u32,
}

impl Bounds {
    /// What holds on this node.
    #[must_use]
    pub fn on(node: &Node, weight: Weight) -> Self {
        let hashes = node.pool.places();
        Self {
            hashes: hashes.most_of_one(weight),
            hashes_all: hashes.all(),
            hashes_reserve: hashes.reserve(),
            hash_threads: node.pool.threads(),
            places: gate::tenant_max(weight),
            places_all: gate::NODE_MAX,
            connections: node.store.connections_of_one_max(),
            outbound: gate::OUTBOUND_MAX,
        }
    }
}

/// What tenants share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Places in the hash queue.
    Hashes,
    /// Places for requests in flight.
    Places,
    /// Connections of the database.
    Connections,
    /// Calls to services outside.
    Outbound,
}

impl Resource {
    /// Its word in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hashes => "hashes",
            Self::Places => "places",
            Self::Connections => "connections",
            Self::Outbound => "outbound",
        }
    }

    /// Counts a request that was refused because its tenant has its share.
    pub(crate) fn refused(self) {
        metrics::counter!(metric::SHARE_REFUSED, "resource" => self.as_str()).increment(1);
    }

    /// Sets the count of those that were, where somebody else keeps it.
    pub(crate) fn refused_so_far(self, count: u64) {
        metrics::counter!(metric::SHARE_REFUSED, "resource" => self.as_str()).absolute(count);
    }
}
