//! What every test stands on: a server process, a database for it, and clients.

mod asked;
mod client;
mod database;
mod effort;
mod folder;
mod mail;
mod proxy;
mod redis;
mod server;
mod smtp;
mod tls;
mod together;

use freehold_domain::rfc3339;
use freehold_domain::time::UnixMs;
use serde_json::Value;

pub(crate) use asked::{Asked, pairs};
pub(crate) use client::{Answer, Conn, Session};
pub(crate) use database::Database;
pub(crate) use effort::{Effort, STATEMENTS_LOGGED, headers_seen};
pub(crate) use folder::Folder;
pub(crate) use mail::Mail;
pub(crate) use proxy::{Line, Proxy};
pub(crate) use redis::Redis;
pub(crate) use server::{MASTER, Options, Server, Tenant, freehold};
pub(crate) use smtp::{Mode as SmtpMode, Smtp};
pub(crate) use tls::{Authority, Files, connect};
pub(crate) use together::{open_many, open_split, post_at_once, winner};

/// The time that an answer tells; its text is longer or shorter by the zeros at its end.
pub(crate) fn time(told: &Value) -> UnixMs {
    told.as_str().and_then(rfc3339::parse).unwrap_or_else(|| panic!("not a time: {told}"))
}

/// The engines a test runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
}

/// Runs a test body once on each engine, as two tests.
macro_rules! on_both_engines {
    ($($name:ident)*) => {$(
        mod $name {
            #[tokio::test(flavor = "multi_thread")]
            async fn sqlite() {
                super::$name($crate::support::Engine::Sqlite).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn postgres() {
                super::$name($crate::support::Engine::Postgres).await;
            }
        }
    )*};
}
pub(crate) use on_both_engines;
