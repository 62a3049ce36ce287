//! Freehold's HTTP face: accept loop, hosts, extractors, handlers and problems.
//!
//! A listener is [`serve::serve`] of an [`edge::Edge`] around routers that [`fallback::finish`] has finished; for the
//! public one [`faces::Faces`] picks the router by host.
//!
//! **Invariant.** Every answer that a service behind the edge gives, and every refusal before it, carries the security
//! headers and an `x-request-id`, and no failure says more than its [`problem::Problem`].

pub mod access_log;
pub mod ambient;
pub mod body;
pub mod client_address;
pub mod edge;
pub mod faces;
pub mod fallback;
pub mod faults;
pub mod headers;
pub mod host;
pub mod origin;
pub mod problem;
pub mod query;
pub mod request_id;
pub mod serve;
