//! The black-box suite: the real binary over loopback, on SQLite and on PostgreSQL.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test fails by panicking, and makes its own servers and databases"
)]

mod support;

mod account;
mod acme;
mod api_keys;
mod audit;
mod bad_input;
mod billing;
mod breached_service;
mod command_line;
mod configuration;
mod csp_reports;
mod database_tls;
mod device;
mod doctor;
mod domains;
mod drain;
mod email_change;
mod fair_shares;
mod forward;
mod full;
mod gate;
mod graduated;
mod headers;
mod hostile;
mod hosts;
mod import;
mod integrations;
mod invitations;
mod keepsakes;
mod kill;
mod known_clients;
mod lockout;
mod logs;
mod mail;
mod master_keys;
mod members;
mod new_passwords;
mod oauth;
mod openapi;
mod operators;
mod origins;
mod outage;
mod password;
mod private_listener;
mod quarantine;
mod rate_limits;
mod raw;
mod rbac;
mod refresh;
mod restart;
mod second_factor;
mod second_factor_rule;
mod security_page;
mod security_reports;
mod sessions;
mod settings;
mod shadow;
mod shared_counters;
mod signing_keys;
mod smoke;
mod stall;
mod supervision;
mod sweeps;
mod tenants_apart;
mod tls;
mod tokens;
mod two_nodes;
mod verifiers;
#[cfg(feature = "waf")]
mod waf;
mod watch;
mod webhook_in;
mod webhook_out;
mod webhooks;
