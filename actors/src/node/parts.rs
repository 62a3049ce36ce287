//! What a node is made of, before it is one.

use std::sync::Arc;

use freehold_domain::gcra::Unseen;
use freehold_domain::id::NodeId;
use freehold_domain::keys::MasterRing;
use freehold_storage::Store;

use super::Settings;
use crate::ambient::Ambient;
use crate::breached::Breached;
use crate::domain_proofs::DomainProofs;
use crate::integrations::Integrations;
use crate::mail::Post;
use crate::password_pool::PasswordPool;
use crate::providers::Providers;
use crate::public_client::PublicClient;
use crate::shared_counters::SharedCounters;
use crate::stripe::Stripe;

/// What a node is made of.
pub struct Parts {
    /// Which process this is.
    pub id: NodeId,
    /// Clocks and randomness.
    pub ambient: Ambient,
    /// What the operator has set.
    pub settings: Settings,
    /// The store, opened.
    pub store: Store,
    /// The master keys.
    pub ring: MasterRing,
    /// The hashing threads, started.
    pub pool: PasswordPool,
    /// Who carries letters.
    pub post: Post,
    /// The way to URLs that tenants named.
    pub public_client: PublicClient,
    /// Where passwords are looked up.
    pub breached: Breached,
    /// By whose word members sign in.
    pub providers: Providers,
    /// The services outside that tenants have connected.
    pub integrations: Integrations,
    /// The platform's account at Stripe, if it sells anything.
    pub stripe: Option<Stripe>,
    /// Where the proofs of custom domains are looked for.
    pub proofs: DomainProofs,
    /// Counters that are shared with other nodes, if they are.
    pub shared_counters: Option<Arc<SharedCounters>>,
    /// What is known of buckets without a saved level.
    pub unseen: Unseen,
}
