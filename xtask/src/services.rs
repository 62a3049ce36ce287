//! A throw-away PostgreSQL with a PgBouncer before it, for as long as the tests run; and where the programs are that tests
//! start by themselves: an `OpenID` provider, what signs webhooks, and what judges the server from outside.
//!
//! They belong to a keeper, this program in a process of its own (and out of reach of Ctrl-C), which stops them and
//! removes their folder when its stdin ends. That happens however we end, so nothing has to catch a signal.

mod account;
mod keeper;
mod pgbouncer;
mod postgres;
mod server;

use std::env;
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};

use crate::npm::Packages;
use crate::{out, prerequisites, process, verifiers};

pub(crate) use keeper::{KEEPER, keep};

/// The `OpenID` provider of the tests.
const OIDC: Packages =
    Packages { what: "the OpenID provider of the tests", source: "tests/it/oauth", home: "target/oidc-provider" };

/// What providers give out to sign and verify their webhooks.
const SDKS: Packages =
    Packages { what: "the webhook libraries of providers", source: "tests/it/webhooks", home: "target/webhook-sdks" };

/// The running services; dropping them stops them.
pub(crate) struct Services {
    keeper: Child,
    env: Vec<(String, String)>,
}

impl Services {
    /// Starts both and waits until they answer.
    ///
    /// # Errors
    /// One does not start; the keeper has said why on stderr.
    pub(crate) fn start() -> Result<Self> {
        let oidc = OIDC.find_or_install()?;
        let sdks = SDKS.find_or_install()?;
        let verifiers = verifiers::find_or_install()?;
        let mut keeper = Command::new(env::current_exe()?)
            .arg(KEEPER)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the keeper of the services")?;
        let stdout = keeper.stdout.take().context("the keeper has no stdout")?;
        let mut services = Self { keeper, env: Vec::new() };
        for line in BufReader::new(stdout).lines() {
            let line = line?;
            if line == keeper::READY {
                services.env.push(("FREEHOLD_TEST_OIDC_DIR".to_owned(), oidc.display().to_string()));
                services.env.push(("FREEHOLD_TEST_WEBHOOK_SDKS".to_owned(), sdks.display().to_string()));
                services.env.extend(verifiers);
                return Ok(services);
            }
            let (name, value) = line.split_once('=').with_context(|| format!("the keeper says {line:?}"))?;
            services.env.push((name.to_owned(), value.to_owned()));
        }
        bail!("PostgreSQL and PgBouncer did not start")
    }

    /// Tells `command` where the services are.
    pub(crate) fn reach<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.envs(self.env.iter().map(|(name, value)| (name, value)))
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let ended_well = self.keeper.wait().is_ok_and(|status| status.success());
        if !ended_well && !self.env.is_empty() {
            out::note("the keeper of the services did not end well: look for a left-over postgres or pgbouncer");
        }
    }
}

/// `cargo xtask services -- CMD...`
pub(crate) fn beside(command: &[OsString]) -> Result<ExitCode> {
    let Some((program, args)) = command.split_first() else {
        bail!("name a command: cargo xtask services -- CMD...");
    };
    prerequisites::find_or_install()?;
    let services = Services::start()?;
    process::run_as_ours(services.reach(process::tethered("TERM", program).args(args)))
}
