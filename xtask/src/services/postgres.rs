//! PostgreSQL: a new cluster whose superuser is `postgres`, without passwords, on loopback only.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use rustix::process::Signal;

use super::account::Account;
use super::server::{Folder, Server};
use crate::prerequisites::Programs;
use crate::process;

/// What makes it a test server; the rest, `fsync` above all, is as in production.
const SETTINGS: [&str; 3] = ["listen_addresses=127.0.0.1", "max_connections=300", "lc_messages=C"];

/// The running server.
pub(super) struct Postgres {
    server: Option<Server>,
    stop_what_is_left: Command,
    lock_file: PathBuf,
    port: u16,
    pid: u32,
}

impl Postgres {
    pub(super) fn start(programs: &Programs, account: &Account, folder: &Folder) -> Result<Self> {
        let bin = &programs.postgres_bin;
        let data = folder.path().join("postgres");
        let mut initdb = account.command("QUIT", &bin.join("initdb"));
        initdb.args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"]);
        process::output(initdb.arg("--pgdata").arg(&data).current_dir(folder.path()))?;

        let command = |port: u16| {
            let mut command = account.command("QUIT", &bin.join("postgres"));
            command.arg("-D").arg(&data).arg("-k").arg(folder.path()).args(["-p", &port.to_string()]);
            command.args(SETTINGS.iter().flat_map(|setting| ["-c", setting])).current_dir(folder.path());
            Ok(command)
        };
        let server =
            Server::start(&folder.path().join("postgres.log"), Signal::QUIT, command, |port| is_ready(programs, port))
                .context("PostgreSQL does not start")?;

        let mut stop_what_is_left = account.command("QUIT", &bin.join("pg_ctl"));
        stop_what_is_left
            .args(["stop", "--mode=immediate", "--silent", "--pgdata"])
            .arg(&data)
            .current_dir(folder.path());
        let (port, pid) = (server.port(), server.pid());
        Ok(Self { server: Some(server), stop_what_is_left, lock_file: data.join("postmaster.pid"), port, pid })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// The process of the postmaster.
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.server.take());
        // A test may have killed it and started another in its place.
        if self.lock_file.exists() {
            drop(process::output(&mut self.stop_what_is_left));
        }
    }
}

/// Whether the server on `port` (PgBouncer speaks the same) takes connections.
pub(super) fn is_ready(programs: &Programs, port: u16) -> bool {
    let mut pg_isready = Command::new(programs.postgres_bin.join("pg_isready"));
    pg_isready.args(["--quiet", "--host=127.0.0.1", "--username=postgres", "--dbname=postgres"]);
    process::output(pg_isready.arg(format!("--port={port}"))).is_ok()
}
