//! Packages from npm that tests run: what a `package-lock.json` pins, in a folder under `target/`. No script of a package is
//! run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::{out, pinned, prerequisites, process};

const LOCK: &str = "package-lock.json";
const FILES: [&str; 2] = ["package.json", LOCK];

/// The packages of one lock.
pub(crate) struct Packages {
    /// What they are to the tests.
    pub(crate) what: &'static str,
    /// The folder of the lock.
    pub(crate) source: &'static str,
    /// The folder that gets them.
    pub(crate) home: &'static str,
}

impl Packages {
    /// The folder that holds them; what is missing or of another version is installed first.
    ///
    /// # Errors
    /// There is no Node.js, or npm cannot install.
    pub(crate) fn find_or_install(&self) -> Result<PathBuf> {
        let (source, home) = (Path::new(self.source), Path::new(self.home));
        let lock = fs::read_to_string(source.join(LOCK)).with_context(|| format!("cannot read {}", self.source))?;
        pinned::installed(home, &lock, || {
            let npm = prerequisites::find_or_install_npm()?;
            out::note(&format!("installing {} from npm", self.what));
            for file in FILES {
                fs::copy(source.join(file), home.join(file))?;
            }
            let args = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
            process::run(Command::new(npm).args(args).current_dir(home))
        })
    }
}
