//! The `OpenID` provider of the tests: `oidc-provider` from npm, as `tests/it/oauth/package-lock.json` pins it, in a folder
//! under `target/`. No script of a package is run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::{out, prerequisites, process};

/// Tells the tests where it is.
pub(crate) const DIR_VAR: &str = "FREEHOLD_TEST_OIDC_DIR";

const HOME: &str = "target/oidc-provider";
const SOURCE: &str = "tests/it/oauth";
const LOCK: &str = "package-lock.json";
const FILES: [&str; 2] = ["package.json", LOCK];
/// Written last: what was cut off is installed anew.
const DONE: &str = "installed";

/// The folder that holds it; what is missing or of another version is installed first.
///
/// # Errors
/// There is no Node.js, or npm cannot install.
pub(crate) fn find_or_install() -> Result<PathBuf> {
    let home = Path::new(HOME);
    let lock = fs::read_to_string(Path::new(SOURCE).join(LOCK)).context("cannot read the lock of the provider")?;
    if fs::read_to_string(home.join(DONE)).ok().as_deref() != Some(&lock) {
        let npm = prerequisites::find_or_install_npm()?;
        out::note("installing the OpenID provider of the tests");
        fs::create_dir_all(home)?;
        for file in FILES {
            fs::copy(Path::new(SOURCE).join(file), home.join(file))?;
        }
        let args = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
        process::run(Command::new(npm).args(args).current_dir(home))?;
        fs::write(home.join(DONE), lock)?;
    }
    home.canonicalize().context("the folder of the provider is gone")
}
