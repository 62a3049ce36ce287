//! The storage suite: the same bodies on SQLite, on PostgreSQL, and on PostgreSQL behind PgBouncer; then what each
//! engine alone must prove.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test fails by panicking, and makes its own databases"
)]

mod checks;
mod contract;
mod files;
mod fixture;
mod isolation;
mod migrations;
mod statements;
mod transactions;
