//! The programs the tests need: PostgreSQL 15 or newer, PgBouncer, nginx, Caddy and pebble (a certificate authority for tests);
//! the OWASP Core Rule Set; Redis; Node.js for an `OpenID` provider; and Node.js, Python and Chromium for what judges the server from
//! outside.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{out, process};

const POSTGRES_VERSION_MIN: u32 = 15;
const POSTGRES_PROGRAMS: [&str; 4] = ["initdb", "postgres", "pg_ctl", "pg_isready"];
const PACKAGES: [&str; 9] = [
    "postgresql", "pgbouncer", "nginx", "caddy", "pebble", "modsecurity-crs", "redis-server", "faketime",
    "libmimalloc2.0",
];
const REMEDY: &str = "install PostgreSQL 15 or newer (initdb, postgres), pgbouncer, nginx, caddy, pebble (with \
                       pebble-challtestsrv), the OWASP Core Rule Set 3, Redis 7, libfaketime and mimalloc 2, on Debian: apt-get install postgresql \
                       pgbouncer nginx caddy pebble modsecurity-crs redis-server faketime \
                       libmimalloc2.0";
/// Where Debian has the Core Rule Set and what gives a program another clock, and the tests look for them.
const FILES: [&str; 4] = [
    "/etc/modsecurity/crs/crs-setup.conf",
    "/usr/share/modsecurity-crs/rules",
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/x86_64-linux-gnu/libmimalloc.so.2.0",
];
const NPM_REMEDY: &str = "install Node.js 20 or newer with npm, on Debian: apt-get install nodejs npm";
const PYTHON_REMEDY: &str = "install Python 3.10 or newer with venv, on Debian: apt-get install python3 python3-venv";
const CXX_REMEDY: &str = "install a C++ compiler, on Debian: apt-get install g++";
const CHROMIUM_REMEDY: &str = "install Chromium, on Debian: apt-get install chromium";
/// A machine that has just started may be updating itself, and a download may fail once.
const APT_LOCK_WAIT: &str = "DPkg::Lock::Timeout=180";
const APT_RETRIES: &str = "Acquire::Retries=3";
/// While this file exists and says 101, Debian's packages start no service.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Where the programs are.
pub(crate) struct Programs {
    /// The folder of PostgreSQL's programs.
    pub(crate) postgres_bin: PathBuf,
    pub(crate) pgbouncer: PathBuf,
    pub(crate) nginx: PathBuf,
    pub(crate) caddy: PathBuf,
    pub(crate) pebble: PathBuf,
    /// The DNS server that comes with pebble.
    pub(crate) challtestsrv: PathBuf,
    pub(crate) redis: PathBuf,
}

/// Finds the programs.
///
/// # Errors
/// One is missing: one line that says what to install.
pub(crate) fn find() -> Result<Programs> {
    let programs = ["pgbouncer", "nginx", "caddy", "pebble", "pebble-challtestsrv", "redis-server"].map(process::find);
    let (
        Some(postgres_bin),
        [Some(pgbouncer), Some(nginx), Some(caddy), Some(pebble), Some(challtestsrv), Some(redis)],
    ) = (newest_postgres(), programs)
    else {
        bail!(REMEDY)
    };
    if FILES.iter().any(|path| !Path::new(path).exists()) {
        bail!(REMEDY)
    }
    Ok(Programs { postgres_bin, pgbouncer, nginx, caddy, pebble, challtestsrv, redis })
}

/// Finds the programs; on a Debian-like machine that is ours, installs the missing ones first.
///
/// # Errors
/// One is missing and cannot be installed.
pub(crate) fn find_or_install() -> Result<Programs> {
    if let Ok(programs) = find() {
        return Ok(programs);
    }
    if process::is_root() && process::find("apt-get").is_some() {
        out::note(&format!("installing {}", PACKAGES.join(", ")));
        install(&PACKAGES).context(REMEDY)?;
    }
    find()
}

/// npm, beside a Node.js; on a Debian-like machine that is ours, installs them first.
///
/// # Errors
/// They are missing and cannot be installed.
pub(crate) fn find_or_install_npm() -> Result<PathBuf> {
    let found = || process::find("npm").filter(|_| process::find("node").is_some());
    if found().is_none() && process::is_root() && process::find("apt-get").is_some() {
        out::note("installing nodejs and npm");
        install(&["nodejs", "npm"]).context(NPM_REMEDY)?;
    }
    found().context(NPM_REMEDY)
}

/// A Python that can make virtual environments; on a Debian-like machine that is ours, installs it first.
///
/// # Errors
/// It is missing and cannot be installed.
pub(crate) fn find_or_install_python() -> Result<PathBuf> {
    let can = |python: &Path| process::output(Command::new(python).args(["-c", "import ensurepip, venv"])).is_ok();
    let found = || process::find("python3").filter(|python| can(python));
    if found().is_none() && process::is_root() && process::find("apt-get").is_some() {
        out::note("installing python3 and python3-venv");
        install(&["python3", "python3-venv"]).context(PYTHON_REMEDY)?;
    }
    found().context(PYTHON_REMEDY)
}

/// A C++ compiler, for libFuzzer; on a Debian-like machine that is ours, installs it first.
///
/// # Errors
/// It is missing and cannot be installed.
pub(crate) fn find_or_install_cxx() -> Result<PathBuf> {
    if process::find("c++").is_none() && process::is_root() && process::find("apt-get").is_some() {
        out::note("installing g++");
        install(&["g++"]).context(CXX_REMEDY)?;
    }
    process::find("c++").context(CXX_REMEDY)
}

/// Chromium; on a Debian-like machine that is ours, installs it first.
///
/// # Errors
/// It is missing and cannot be installed.
pub(crate) fn find_or_install_chromium() -> Result<PathBuf> {
    if process::find("chromium").is_none() && process::is_root() && process::find("apt-get").is_some() {
        out::note("installing chromium");
        install(&["chromium"]).context(CHROMIUM_REMEDY)?;
    }
    process::find("chromium").context(CHROMIUM_REMEDY)
}

fn newest_postgres() -> Option<PathBuf> {
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let on_path = process::find("initdb").and_then(|link| link.canonicalize().ok()?.parent().map(Path::to_path_buf));
    debian
        .map(|entry| entry.path().join("bin"))
        .chain(on_path)
        .filter(|bin| POSTGRES_PROGRAMS.iter().all(|program| bin.join(program).is_file()))
        .filter_map(|bin| Some((version(&bin)?, bin)))
        .filter(|(major, _)| *major >= POSTGRES_VERSION_MIN)
        .max()
        .map(|(_, bin)| bin)
}

fn version(bin: &Path) -> Option<u32> {
    process::output(Command::new(bin.join("postgres")).arg("--version")).ok().as_deref().and_then(major)
}

/// The 15 of `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
fn major(version: &str) -> Option<u32> {
    let digits = |word: &str| word.split(|c: char| !c.is_ascii_digit()).next().and_then(|major| major.parse().ok());
    version.split_whitespace().find_map(digits)
}

fn install(packages: &[&str]) -> Result<()> {
    let _quiet = NoServices::begin()?;
    let apt = |args: &[&str]| {
        let mut command = Command::new("apt-get");
        command.args(["-o", APT_LOCK_WAIT, "-o", APT_RETRIES]).args(args).env("DEBIAN_FRONTEND", "noninteractive");
        process::run(&mut command)
    };
    if let Err(error) = apt(&["update"]) {
        out::note(&format!("{error:#}: trying with the lists at hand"));
    }
    apt(&[["install", "-y", "--no-install-recommends"].as_slice(), packages].concat())
}

/// Keeps the packages from starting servers of their own while it lives.
struct NoServices {
    ours: bool,
}

impl NoServices {
    fn begin() -> Result<Self> {
        let ours = !Path::new(POLICY).exists();
        if ours {
            fs::write(POLICY, "#!/bin/sh\nexit 101\n")?;
            fs::set_permissions(POLICY, fs::Permissions::from_mode(0o755))?;
        }
        Ok(Self { ours })
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.ours && fs::remove_file(POLICY).is_err() {
            out::note(&format!("cannot remove {POLICY}: remove it by hand, or no package starts its service"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_every_form() {
        assert_eq!(major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"), Some(15));
        assert_eq!(major("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(major("postgres"), None);
    }
}
