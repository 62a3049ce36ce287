//! Freehold's HTTP face: accept loop, hosts, extractors, handlers and problems.
//!
//! A listener is [`serve::serve`] of an [`edge::Edge`] around routers that [`fallback::finish`] has finished; for the
//! public one [`faces::Faces`] picks the router by host.
//!
//! **Invariant.** Every answer that a service behind the edge gives, and every refusal before it, carries the security
//! headers and an `x-request-id`, and no failure says more than its [`problem::Problem`].

pub mod access;
pub mod access_log;
pub mod account;
pub mod admission;
pub mod advice;
pub mod api_host;
pub mod api_keys;
pub mod arrival;
pub mod audit;
pub mod auth;
pub mod billing;
pub mod body;
pub mod breakers;
pub mod caller;
pub mod certificates;
pub mod client_address;
pub mod config;
pub mod csp_reports;
pub mod disclosure;
pub mod domains;
pub mod edge;
pub mod faces;
pub mod fallback;
#[cfg(feature = "test-faults")]
pub(crate) mod fault;
pub mod faults;
pub mod forward;
pub mod headers;
pub mod help;
pub mod host;
pub mod http_date;
pub mod integrations;
pub mod invitations;
pub mod me;
pub mod members;
pub mod oauth;
pub mod openapi;
pub mod operators;
pub mod origin;
pub mod pages;
pub mod payouts;
pub mod plan;
pub mod private;
pub mod problem;
pub mod public;
pub mod query;
pub mod rate_limits;
pub mod readiness;
pub mod redirect;
pub mod registration;
pub mod request_id;
pub mod second_factor;
pub mod security;
pub mod security_reports;
mod series;
pub mod serve;
pub mod settings;
pub mod signing_keys;
pub mod totp;
#[cfg(feature = "waf")]
pub mod waf;
pub mod webhooks;
