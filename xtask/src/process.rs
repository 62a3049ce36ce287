//! Child processes: where programs are, how they start, what they say.

use std::env;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, ExitCode, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};

const TETHER: &str = "setpriv";

/// Runs `command` to its end.
///
/// # Errors
/// It cannot start, or does not end with success.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = status(command)?;
    if !status.success() {
        bail!("{}: {status}", text(command));
    }
    Ok(())
}

/// Runs `command` and answers as it did.
///
/// # Errors
/// It cannot start.
pub(crate) fn run_as_ours(command: &mut Command) -> Result<ExitCode> {
    let code = status(command)?.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// What `command` says on stdout.
///
/// # Errors
/// It cannot start, or does not end with success: then with what it says on stderr.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {}", text(command)))?;
    if !output.status.success() {
        bail!("{}: {}\n{}", text(command), output.status, String::from_utf8_lossy(&output.stderr).trim_end());
    }
    String::from_utf8(output.stdout).with_context(|| format!("{} does not speak UTF-8", text(command)))
}

/// `cargo` with these arguments, ending with us.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let mut command = tethered("TERM", "cargo");
    command.args(args);
    command
}

/// A command that receives `signal` when this process ends, however it ends (where `setpriv` can do that).
pub(crate) fn tethered(signal: &str, program: impl AsRef<OsStr>) -> Command {
    let Some(mut command) = tether(signal) else { return Command::new(program) };
    command.arg("--").arg(program);
    command
}

/// `setpriv --pdeathsig`, to which a program and changes of account can be added.
pub(crate) fn tether(signal: &str) -> Option<Command> {
    let setpriv = || {
        let mut command = Command::new(TETHER);
        command.args(["--pdeathsig", signal]);
        command
    };
    output(setpriv().arg("true")).ok().map(|_| setpriv())
}

/// The program of this name on `PATH`, or where Debian keeps programs for root.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]).map(|dir| dir.join(program)).find(|file| file.is_file())
}

/// Whether we may do everything.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn status(command: &mut Command) -> Result<ExitStatus> {
    command.status().with_context(|| format!("cannot start {}", text(command)))
}

/// The command as one would type it, without the tether.
fn text(command: &Command) -> String {
    let words: Vec<_> =
        std::iter::once(command.get_program()).chain(command.get_args()).map(OsStr::to_string_lossy).collect();
    let own = if words.first().is_some_and(|word| word == TETHER) {
        words.iter().position(|word| word == "--")
    } else {
        None
    };
    words.iter().skip(own.map_or(0, |dashes| dashes + 1)).map(AsRef::as_ref).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tether_is_not_shown() {
        assert_eq!(text(cargo(&["test", "--", "a"]).arg("b")), "cargo test -- a b");
        assert_eq!(text(Command::new("ls").args(["--", "a"])), "ls -- a");
    }
}
