//! Every rule of Freehold and all of its cryptography, as pure values and state machines.
//!
//! Time, randomness and stored rows come in as arguments; a new state or a decision goes out. Nothing here
//! reads a clock, a random generator, a socket or a file.

pub mod access_token;
pub mod acme;
pub mod api_key;
pub mod attempts;
pub mod audit;
pub mod backup_code;
pub mod breached;
pub mod breaker;
pub mod challenge;
pub mod common_passwords;
pub mod csp_report;
pub mod custom_domain;
pub mod delivery;
pub mod device_cookie;
pub mod disclosure;
pub mod email;
pub mod email_change;
pub mod fair_queue;
pub mod gcra;
pub mod id;
pub mod inbox;
pub mod integration;
pub mod keys;
pub mod known_client;
pub mod letter;
pub mod lockout;
pub mod oauth;
pub mod one_time_token;
pub mod password;
pub mod penalty;
pub mod policy;
pub mod public_address;
pub mod public_url;
pub mod refresh_token;
pub mod registration;
pub mod request_filter;
pub mod restart;
pub mod revocation;
pub mod rfc3339;
pub mod rich_text;
pub mod role;
pub mod rotation;
pub mod secret;
pub mod security_report;
pub mod settings;
pub mod shadow;
pub mod signing_rotation;
pub mod slug;
pub mod stripe;
pub mod subject;
pub mod tenant_state;
pub mod text;
pub mod tier;
pub mod time;
pub mod token_family;
pub mod totp;
pub mod waf;
pub mod webhook;
pub mod webhook_out;
pub mod weight;

mod a_labels;
mod base32;
mod stored_hash;
