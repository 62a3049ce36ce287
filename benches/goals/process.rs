//! Processes under test: Freehold's own binary and the reference servers, each in a process of its own.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use freehold::clock::AMBIENT;
use serde_json::Value;

use crate::{estate, machine, reference};

/// The tiers that a bench without limits switches off.
const TIERS: [&str; 6] = ["ADDRESS", "LOGIN_ADDRESS", "LOGIN_ACCOUNT", "REFRESH", "API_MEMBER", "API_TENANT"];

/// A new folder under the system's temporary one; removed when dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let path = std::env::temp_dir().join(format!("freehold-bench-{:016x}", u64::from_ne_bytes(AMBIENT.random())));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    /// One more with the same files in it, which nobody has open.
    pub(crate) fn copy_of(other: &Self) -> Self {
        let copy = Self::new();
        let done = Command::new("cp").arg("-r").arg(other.data_dir()).arg(copy.data_dir()).status();
        assert!(done.unwrap().success());
        copy
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.0.join("data")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// On which cores a process runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cores {
    /// The first alone, so that it has one worker.
    First,
    /// Whichever there are.
    All,
}

/// A process that listens. Dropped, it is killed.
pub(crate) struct Process {
    child: Child,
    /// Where it answers.
    pub(crate) http: SocketAddr,
    /// Freehold's private listener.
    pub(crate) private: Option<SocketAddr>,
}

impl Process {
    /// Starts Freehold over a data directory, with no log and no limits but those of `env`.
    pub(crate) fn freehold(folder: &Folder, cores: Cores, env: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_freehold"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("FREEHOLD_")) {
            command.env_remove(name);
        }
        command
            .arg("serve")
            .env_remove("RUST_BACKTRACE") // whoever sets it wants ours, and does not pay for it at every panic
            .env("FREEHOLD_PROFILE", "development")
            .env("FREEHOLD_LOG", "off")
            .env("FREEHOLD_HTTP_LISTEN", "127.0.0.1:0")
            .env("FREEHOLD_PRIVATE_LISTEN", "127.0.0.1:0")
            .env("FREEHOLD_PLATFORM_PUBLIC_URL", estate::PUBLIC_URL)
            .env("FREEHOLD_KEYS_MASTER", estate::MASTER)
            .env("FREEHOLD_DATA_DIR", folder.data_dir())
            .envs(TIERS.map(|tier| (format!("FREEHOLD_LIMITS_{tier}"), "off")))
            .envs(env.iter().copied());
        let errors = folder.path().join("errors");
        command.stderr(File::create(&errors).unwrap());
        Self::started(command, cores).unwrap_or_else(|| panic!("{}", fs::read_to_string(errors).unwrap()))
    }

    /// Starts a reference server.
    pub(crate) fn reference(role: &str, args: &[&str], cores: Cores) -> Self {
        Self::started(reference::command(role, args), cores).unwrap()
    }

    /// `None` when it did not say where it listens.
    fn started(mut command: Command, cores: Cores) -> Option<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        // A child inherits the cores of the thread that starts it.
        let spawned = thread::spawn(move || {
            if cores == Cores::First {
                machine::pin(true);
            }
            command.spawn().unwrap()
        });
        let mut child = spawned.join().unwrap();
        let said = said(&mut child);
        let address = |key: &str| said.get(key)?.as_str()?.parse().ok();
        let Some(http) = address("http") else {
            drop(child.kill());
            drop(child.wait());
            return None;
        };
        Some(Self { http, private: address("private"), child })
    }

    /// What `measured` cost this process, in microseconds of CPU.
    pub(crate) async fn cpu_us_of(&self, measured: impl Future<Output = usize>) -> f64 {
        let before = machine::cpu_us(self.child.id());
        let requests = measured.await;
        (machine::cpu_us(self.child.id()) - before) as f64 / requests as f64
    }

    /// How many files and sockets it has open.
    pub(crate) fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    /// The most memory it has had.
    pub(crate) fn peak_bytes(&self) -> u64 {
        machine::memory(self.child.id(), &machine::Memory::Peak)
    }
}

/// The first line it prints, as JSON; `null` when that is none.
fn said(child: &mut Child) -> Value {
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap_or_default()
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
