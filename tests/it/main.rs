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
mod drain;
mod full;
mod keepsakes;
mod kill;
mod lockout;
mod outage;
mod password;
mod quarantine;
mod rate_limits;
mod refresh;
mod restart;
mod sessions;
mod smoke;
mod stall;
mod supervision;
mod tenants_apart;
mod two_nodes;
mod watch;
