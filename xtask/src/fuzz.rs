//! `cargo xtask fuzz [TARGET] [SECONDS]`: what reads bytes of strangers, under libFuzzer, in `fuzz/`.
//!
//! The coverage that libFuzzer goes by is LLVM's own, which a stable compiler adds when it is asked to; so neither a nightly one
//! nor cargo-fuzz is needed. What a run finds worth keeping is kept under `target/`, for the next one.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::{out, prerequisites, process};

/// How long each target runs where nobody says.
pub(crate) const SECONDS: u32 = 5;

/// Its workspace.
pub(crate) const MANIFEST: &str = "fuzz/Cargo.toml";
const TARGETS: &str = "fuzz/fuzz_targets";
const SEEDS: &str = "fuzz/seeds";
const INPUT_BYTES_MAX: u32 = 4_096;
/// Counters for each edge, where they are, and what is compared: what cargo-fuzz asks for, too.
const COVERAGE: [&str; 6] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cdebuginfo=line-tables-only",
];

/// Builds all targets, and runs each for so many seconds, or one.
///
/// # Errors
/// There is no such target, one cannot be built, or one finds something: libFuzzer has said what, and where its input is.
pub(crate) fn run(named: Option<&str>, seconds: u32) -> Result<()> {
    let targets: Vec<_> = targets()?.into_iter().filter(|target| named.is_none_or(|named| named == target)).collect();
    if targets.is_empty() {
        bail!("no such target in {TARGETS}");
    }
    let home = env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from).join("fuzz");
    let host = host()?;
    build(&home, &host)?;
    for target in targets {
        let (corpus, found) = (home.join("corpus").join(&target), home.join("found"));
        fs::create_dir_all(&corpus).and_then(|()| fs::create_dir_all(&found))?;
        let mut artifacts = OsString::from("-artifact_prefix=");
        artifacts.push(found.join(format!("{target}-")));
        let mut command = process::tethered("TERM", home.join(&host).join("release").join(&target));
        command.args([format!("-max_total_time={seconds}"), format!("-max_len={INPUT_BYTES_MAX}")]);
        command.arg("-verbosity=0").arg("-print_final_stats=1").arg(artifacts).arg(&corpus);
        command.args([Path::new(SEEDS).join(&target)].iter().filter(|seeds| seeds.is_dir()));
        let begun = Instant::now();
        let output = command.output().with_context(|| format!("cannot start {target}"))?;
        let said = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            bail!("{target}: {}\n{said}", output.status);
        }
        let runs = said.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
        let runs = runs.with_context(|| format!("{target} does not say what it did:\n{said}"))?.trim();
        out::note(&format!("{target}: {runs} inputs in {:.1} s", begun.elapsed().as_secs_f32()));
    }
    Ok(())
}

/// The names of the targets, each a file.
fn targets() -> Result<Vec<String>> {
    let entries = fs::read_dir(TARGETS).with_context(|| format!("cannot read {TARGETS}"))?;
    let mut names: Vec<_> = entries
        .flatten()
        .filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".rs")?.to_owned()))
        .collect();
    names.sort();
    Ok(names)
}

/// With a `--target`, so that only what runs in the targets is counted, and no build script.
fn build(home: &Path, host: &str) -> Result<()> {
    prerequisites::find_or_install_cxx()?;
    let args = ["build", "--release", "--bins", "--locked", "--manifest-path", MANIFEST, "--target", host];
    let mut cargo = process::cargo(&args);
    cargo.env("RUSTFLAGS", COVERAGE.join(" ")).arg("--target-dir").arg(home);
    process::run(&mut cargo)
}

/// What this machine is to rustc.
fn host() -> Result<String> {
    let version = process::output(Command::new("rustc").arg("-vV"))?;
    let line = version.lines().find_map(|line| line.strip_prefix("host: "));
    line.map(str::to_owned).context("rustc does not say what its host is")
}
