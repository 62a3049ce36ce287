//! PgBouncer: transaction mode, every database and every account, few server connections, so that clients share them.
//!
//! It is ended by SIGKILL: it has nothing to save, and what other signals mean differs between its versions.

use std::fs;

use anyhow::{Context, Result};
use rustix::process::Signal;

use super::account::Account;
use super::postgres::is_ready;
use super::server::{Folder, Server};
use crate::prerequisites::Programs;

/// The running pooler.
pub(super) struct PgBouncer {
    server: Server,
}

impl PgBouncer {
    pub(super) fn start(programs: &Programs, account: &Account, folder: &Folder, postgres_port: u16) -> Result<Self> {
        let file = folder.path().join("pgbouncer.ini");
        let command = |port: u16| {
            fs::write(&file, settings(port, postgres_port))?;
            account.own(&file)?;
            let mut command = account.command("KILL", &programs.pgbouncer);
            command.arg(&file).current_dir(folder.path());
            Ok(command)
        };
        let server =
            Server::start(&folder.path().join("pgbouncer.log"), Signal::KILL, command, |port| is_ready(programs, port))
                .context("PgBouncer does not start")?;
        Ok(Self { server })
    }

    pub(super) fn port(&self) -> u16 {
        self.server.port()
    }
}

/// `auth_user` lets it look up accounts that the tests create; nobody is asked for a password.
fn settings(port: u16, postgres_port: u16) -> String {
    format!(
        "\
[databases]
* = host=127.0.0.1 port={postgres_port} auth_user=postgres

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
admin_users = postgres
pool_mode = transaction
default_pool_size = 4
max_client_conn = 1000
ignore_startup_parameters = extra_float_digits
"
    )
}
