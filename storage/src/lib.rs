//! Freehold's storage: one SQL text on SQLite and PostgreSQL, and a tenant in no query.
//!
//! A [`Store`] begins transactions; the functions of the row modules run in them. Which engine is underneath is known
//! to `tenant_tx` alone. A transaction on a tenant's store reaches that tenant's rows and no others: on SQLite the
//! tenant is a file, on PostgreSQL row-level security binds the transaction to the tenant that began it.
//!
//! Rows carry ids, times, text and bytes; what they mean is the business of the rules. Sealed and hashed values stay so.

pub mod acme;
pub mod api_key;
pub mod audit;
pub mod breaker;
pub mod change;
pub mod csp_report;
pub mod custom_domain;
pub mod directory;
pub mod due;
pub mod family;
pub mod feed;
pub mod identity;
pub mod integration;
pub mod invitation;
pub mod known_client;
pub mod lockout;
pub mod mail;
pub mod master_check;
pub mod master_seal;
pub mod member;
pub mod migrate;
pub mod oauth;
pub mod one_time_token;
pub mod rate_limit;
pub mod root_key;
pub mod roster;
pub mod second_factor;
pub mod security_report;
pub mod setting;
pub mod signing_key;
pub mod sql;
pub mod stripe_account;
pub mod stripe_made;
pub mod stripe_subscription;
pub mod vitals;
pub mod webhook_endpoint;
pub mod webhook_event;
pub mod webhook_inbox;
pub mod webhook_message;
pub mod webhook_refusal;
pub mod webhook_source;

mod error;
mod postgres;
mod sqlite;
mod store;
mod tenant_tx;

pub use error::{Cause, Chain, OpenError, StoreError};
pub use postgres::{Transport, transport};
pub use store::{Pooler, PostgresOptions, SqliteOptions, Store};
pub use tenant_tx::{
    Cell, HasChanges, Isolation, Keys, KeysTx, Row, STORE_TIMEOUT, System, SystemTx, Tenant, TenantTx, Tx,
};

/// Every statement that both engines run, a list for each module: the tests prepare, plan and execute them all.
pub const STATEMENTS: &[&[sql::Statement]] = &[
    acme::ALL,
    api_key::ALL,
    audit::ALL,
    breaker::ALL,
    change::ALL,
    csp_report::ALL,
    custom_domain::ALL,
    directory::ALL,
    family::ALL,
    identity::ALL,
    integration::ALL,
    invitation::ALL,
    known_client::ALL,
    lockout::ALL,
    mail::ALL,
    master_check::ALL,
    master_seal::ALL,
    member::ALL,
    oauth::ALL,
    one_time_token::ALL,
    rate_limit::ALL,
    root_key::ALL,
    roster::ALL,
    second_factor::ALL,
    security_report::ALL,
    setting::ALL,
    signing_key::ALL,
    stripe_account::ALL,
    stripe_made::ALL,
    stripe_subscription::ALL,
    webhook_endpoint::ALL,
    webhook_event::ALL,
    webhook_inbox::ALL,
    webhook_message::ALL,
    webhook_refusal::ALL,
    webhook_source::ALL,
];

/// The statements that PostgreSQL alone runs.
pub const POSTGRES_STATEMENTS: &[&[sql::Statement]] = &[feed::ALL, due::ALL];
