//! The control socket: how the command line speaks to the server that owns a data directory.
//!
//! A connection carries one request, a line of JSON, and its replies, lines of JSON; then the server closes it. The
//! last reply is [`Reply::Done`] or [`Reply::Refused`]; without one the outcome is unknown. The socket has mode 0600
//! in a directory of mode 0700: whoever can connect may do everything.

mod client;
mod server;
#[cfg(test)]
mod tests;
mod wire;

pub use client::ask;
pub use server::{bind, serve_control};
pub use wire::{Reply, Request};
