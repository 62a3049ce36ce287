//! One server process, the folder it lives in, and the ports.

use std::fs::{self, DirBuilder, File};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use std::{env, process};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::account::Account;
use crate::out;

const PORT_TRIES: u32 = 5;
const READY_WITHIN: Duration = Duration::from_mins(1);
const STOPPED_WITHIN: Duration = Duration::from_secs(10);
const POLL_EVERY: Duration = Duration::from_millis(20);
const LOG_LINES_SHOWN: usize = 12;

/// A folder of our own, removed with everything in it when dropped.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn create(account: &Account) -> Result<Self> {
        let path = env::temp_dir().join(format!("freehold-services-{}", process::id()));
        DirBuilder::new().mode(0o700).create(&path).with_context(|| format!("cannot make {}", path.display()))?;
        let folder = Self(path);
        account.own(&folder.0)?;
        Ok(folder)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            out::note(&format!("cannot remove {}: {error}", self.0.display()));
        }
    }
}

/// A running server, stopped when dropped.
pub(super) struct Server {
    child: Child,
    stop_signal: Signal,
    port: u16,
}

impl Server {
    /// Starts what `command` builds for a free port and waits until `answers` says yes for that port. When the port
    /// was taken in between, tries another.
    pub(super) fn start(
        log: &Path,
        stop_signal: Signal,
        command: impl Fn(u16) -> Result<Command>,
        answers: impl Fn(u16) -> bool,
    ) -> Result<Self> {
        for attempt in 1.. {
            let port = free_port()?;
            let file = File::create(log)?;
            let mut command = command(port)?;
            let child = command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).spawn()?;
            let mut server = Self { child, stop_signal, port };
            match server.wait_ready(&answers) {
                Ok(()) => return Ok(server),
                Err(_) if attempt < PORT_TRIES && log_text(log).contains("Address already in use") => {}
                Err(error) => bail!("{error}\n{}", last_lines(&log_text(log))),
            }
        }
        bail!("no free port")
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn wait_ready(&mut self, answers: impl Fn(u16) -> bool) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < READY_WITHIN {
            if let Some(status) = self.child.try_wait()? {
                bail!("the server ended at its start: {status}");
            }
            if answers(self.port) {
                return Ok(());
            }
            sleep(POLL_EVERY);
        }
        bail!("the server does not answer after {} s", READY_WITHIN.as_secs())
    }

    fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)) | Err(_))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.has_ended() {
            return;
        }
        let pid = Pid::from_child(&self.child);
        // A test may have stopped it; a stopped process quits only when it goes on.
        let asked = kill_process(pid, self.stop_signal).and_then(|()| kill_process(pid, Signal::CONT));
        let begun = Instant::now();
        while asked.is_ok() && begun.elapsed() < STOPPED_WITHIN {
            if self.has_ended() {
                return;
            }
            sleep(POLL_EVERY);
        }
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait().map(drop)) {
            out::note(&format!("cannot stop process {}: {error}", self.child.id()));
        }
    }
}

/// A loopback port that was free a moment ago.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn log_text(log: &Path) -> String {
    fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().rev().take(LOG_LINES_SHOWN).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_log_keeps_its_order() {
        let text = (0..20).map(|n| format!("line {n}")).collect::<Vec<_>>().join("\n");
        let shown = last_lines(&text);
        assert!(shown.starts_with("line 8\n") && shown.ends_with("\nline 19"), "{shown}");
    }
}
