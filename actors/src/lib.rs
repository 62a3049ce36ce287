//! The supervised tree: the actors that own each tenant's state, and the operations that join tenant, store and rules.
//!
//! ```text
//! Root ── FrontEnd[0..64] ── Tenant ── RateLimits, Sessions, Lockouts, Breakers
//! ```
//!
//! A [`slot::TenantSlot`] is what the rest of the server sees of a tenant: its state, its gate, what its actors have
//! published, and the cells their machines live in. Only the actor of a cell takes it, but for
//! penalties and the shadow; anybody may read what is published.

pub mod acme;
pub mod ambient;
pub mod api_keys;
pub mod ask;
pub mod breached;
mod breaker;
pub mod breakers;
pub mod changes;
pub mod domain_proofs;
pub mod due;
pub mod fault;
pub mod feed;
pub mod front_end;
pub mod gate;
pub mod inbox;
pub mod integrations;
pub mod jobs;
pub mod levels;
pub mod lockouts;
pub mod mail;
pub mod metric;
mod names;
pub mod node;
pub mod ops;
pub mod outbound;
pub mod password_pool;
mod penalties;
mod plans;
pub mod providers;
pub mod public_client;
mod queue;
pub mod rate_limits;
pub mod root;
pub mod sessions;
mod shadow;
pub mod shared_counters;
pub mod shares;
pub mod slot;
pub mod stripe;
mod supervision;
pub mod tenant;
pub mod webhook_sources;
pub mod webhooks_out;
