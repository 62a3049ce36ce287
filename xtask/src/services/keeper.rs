//! The process that holds the services: it says where they are, waits for the end of its stdin, stops them.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::{Context, Result};

use super::account::Account;
use super::pgbouncer::PgBouncer;
use super::postgres::Postgres;
use super::server::Folder;
use crate::prerequisites;

/// The hidden verb that runs the keeper.
pub(crate) const KEEPER: &str = "keep-services";
/// The line after the last `NAME=value`.
pub(super) const READY: &str = "ready";

/// Runs the keeper.
pub(crate) fn keep() -> Result<ExitCode> {
    let programs = prerequisites::find()?;
    let account = Account::find()?;
    let folder = Folder::create(&account)?; // first made, last dropped
    let postgres = Postgres::start(&programs, &account, &folder)?;
    let pgbouncer = PgBouncer::start(&programs, &account, &folder, postgres.port())?;
    for (name, value) in [
        ("FREEHOLD_TEST_PG_SUPER_URL", format!("postgres://postgres@127.0.0.1:{}/postgres", postgres.port())),
        ("FREEHOLD_TEST_PGBOUNCER_URL", format!("postgres://postgres@127.0.0.1:{}/postgres", pgbouncer.port())),
        ("FREEHOLD_TEST_PG_PID", postgres.pid().to_string()),
        ("FREEHOLD_TEST_PG_BIN", programs.postgres_bin.display().to_string()),
        ("FREEHOLD_TEST_NGINX", programs.nginx.display().to_string()),
        ("FREEHOLD_TEST_CADDY", programs.caddy.display().to_string()),
        ("FREEHOLD_TEST_PEBBLE", programs.pebble.display().to_string()),
        ("FREEHOLD_TEST_CHALLTESTSRV", programs.challtestsrv.display().to_string()),
        ("FREEHOLD_TEST_REDIS", programs.redis.display().to_string()),
    ] {
        writeln!(io::stdout(), "{name}={value}")?; // fails when nobody wants the services any more
    }
    writeln!(io::stdout(), "{READY}")?;
    io::copy(&mut io::stdin(), &mut io::sink()).context("cannot wait for the end of stdin")?;
    drop(pgbouncer);
    drop(postgres);
    Ok(ExitCode::SUCCESS)
}
