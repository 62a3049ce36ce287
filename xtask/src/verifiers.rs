//! What judges the server from outside: programs from npm and `PyPI`, as `tests/it/verifiers/` pins them, and Chromium.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::npm::Packages;
use crate::{out, pinned, prerequisites, process};

const NPM: Packages =
    Packages { what: "what judges pages", source: "tests/it/verifiers", home: "target/verifiers/npm" };
const REQUIREMENTS: &str = "tests/it/verifiers/requirements.txt";
const VENV: &str = "target/verifiers/python";

/// Installs what is missing, and says where everything is in variables for the tests.
///
/// # Errors
/// Something is missing and cannot be installed.
pub(crate) fn find_or_install() -> Result<Vec<(String, String)>> {
    let chromium = prerequisites::find_or_install_chromium()?;
    let found = [
        ("FREEHOLD_TEST_CHROMIUM", chromium),
        ("FREEHOLD_TEST_VERIFIERS_NPM", NPM.find_or_install()?),
        ("FREEHOLD_TEST_VERIFIERS_PYTHON", python()?),
    ];
    Ok(found.map(|(name, path)| (name.to_owned(), path.display().to_string())).to_vec())
}

/// The virtual environment with the pinned packages.
fn python() -> Result<PathBuf> {
    let pins = fs::read_to_string(REQUIREMENTS).context("cannot read the requirements of the verifiers")?;
    let home = Path::new(VENV);
    pinned::installed(home, &pins, || {
        let python = prerequisites::find_or_install_python()?;
        out::note("installing what judges TLS and the interface from PyPI");
        process::run(Command::new(python).args(["-m", "venv", "--clear"]).arg(home))?;
        let mut pip = Command::new(home.join("bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes"]);
        pip.args(["--only-binary", ":all:", "--no-binary", "sslyze"]); // which is published as source alone
        process::run(pip.args(["-r", REQUIREMENTS]))
    })
}
