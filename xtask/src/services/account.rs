//! Who runs the servers: we ourselves, or an account without rights when we are root (PostgreSQL refuses root).

use std::os::unix::fs::chown;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;

const NAMES: [&str; 2] = ["postgres", "nobody"];

/// The account of the servers.
pub(super) enum Account {
    Ourselves,
    Other { user_id: u32, group_id: u32 },
}

impl Account {
    /// # Errors
    /// We are root and there is no other account, or no `setpriv` to change to it.
    pub(super) fn find() -> Result<Self> {
        if !process::is_root() {
            return Ok(Self::Ourselves);
        }
        if process::find("setpriv").is_none() {
            bail!("PostgreSQL does not run as root: install setpriv (package util-linux), or run this as another user");
        }
        let id =
            |name: &str, what: &str| process::output(Command::new("id").args([what, name])).ok()?.trim().parse().ok();
        NAMES
            .iter()
            .find_map(|name| Some(Self::Other { user_id: id(name, "-u")?, group_id: id(name, "-g")? }))
            .context("PostgreSQL does not run as root and there is neither an account `postgres` nor `nobody`")
    }

    /// A command of this account that receives `signal` when we end.
    pub(super) fn command(&self, signal: &str, program: &Path) -> Command {
        match self {
            Self::Ourselves => process::tethered(signal, program),
            Self::Other { user_id, group_id } => {
                let mut command = process::tether(signal).unwrap_or_else(|| Command::new("setpriv"));
                command.args([format!("--reuid={user_id}"), format!("--regid={group_id}")]);
                command.args(["--clear-groups", "--"]).arg(program);
                command
            }
        }
    }

    /// Gives `path` to this account.
    pub(super) fn own(&self, path: &Path) -> Result<()> {
        match self {
            Self::Ourselves => Ok(()),
            Self::Other { user_id, group_id } => chown(path, Some(*user_id), Some(*group_id))
                .with_context(|| format!("cannot give {} away", path.display())),
        }
    }
}
