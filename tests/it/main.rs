//! The black-box suite: the real binary over loopback, on SQLite and on PostgreSQL.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::missing_docs_in_private_items,
    reason = "a test fails by panicking, and makes its own servers and databases"
)]

mod support;

mod device;
mod smoke;
