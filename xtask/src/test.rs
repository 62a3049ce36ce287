//! `cargo xtask test`: everything a change must pass, one step after the other.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::services::Services;
use crate::{out, prerequisites, process, tidy};

const CLIPPY: [&str; 11] = [
    "clippy", "--workspace", "--all-targets", "--profile", "quick", "--features", "test-faults", "--locked", "--",
    "-D", "warnings",
];
const TEST: [&str; 7] = ["test", "--workspace", "--profile", "quick", "--features", "test-faults", "--locked"];
/// Where a copy of the `RustSec` advisory database is looked for when `FREEHOLD_ADVISORY_DB` names none.
const ADVISORIES: &str = "../shared/advisory-db";

/// All steps.
pub(crate) fn full(args: &[OsString]) -> Result<ExitCode> {
    let mut steps = Steps::of(7);
    let outcome =
        check(&mut steps, Depth::Full).and_then(|()| tests(&mut steps, args)).and_then(|()| advisories(&mut steps));
    steps.summary();
    outcome.map(|()| ExitCode::SUCCESS)
}

/// Without clippy and the advisories.
pub(crate) fn fast(args: &[OsString]) -> Result<ExitCode> {
    let mut steps = Steps::of(5);
    let outcome = check(&mut steps, Depth::Fast).and_then(|()| tests(&mut steps, args));
    steps.summary();
    outcome.map(|()| ExitCode::SUCCESS)
}

#[derive(Clone, Copy, PartialEq)]
enum Depth {
    Full,
    Fast,
}

fn check(steps: &mut Steps, depth: Depth) -> Result<()> {
    steps.run("prerequisites", || prerequisites::find_or_install().map(drop))?;
    steps.run("format", || process::run(&mut process::cargo(&["fmt", "--all", "--check"])))?;
    if depth == Depth::Full {
        steps.run("clippy", || process::run(&mut process::cargo(&CLIPPY)))?;
    }
    steps.run("tidy", tidy::check)
}

fn tests(steps: &mut Steps, args: &[OsString]) -> Result<()> {
    let services = steps.run("services", Services::start)?;
    steps.run("tests", || process::run(services.reach(process::cargo(&TEST).args(args))))
}

fn advisories(steps: &mut Steps) -> Result<()> {
    steps.run("advisories", || {
        let database = env::var_os("FREEHOLD_ADVISORY_DB").map_or_else(|| PathBuf::from(ADVISORIES), PathBuf::from);
        if process::find("cargo-audit").is_none() {
            out::note("skipped: cargo-audit is not installed");
        } else if !database.is_dir() {
            out::note(&format!(
                "skipped: no advisory database at {}, FREEHOLD_ADVISORY_DB can name one",
                database.display()
            ));
        } else {
            process::run(process::cargo(&["audit", "--no-fetch", "--db"]).arg(database))?;
        }
        Ok(())
    })
}

/// The steps of a run and how long each took.
struct Steps {
    planned: usize,
    begun: Instant,
    done: Vec<(&'static str, Duration, bool)>,
}

impl Steps {
    fn of(planned: usize) -> Self {
        Self { planned, begun: Instant::now(), done: Vec::new() }
    }

    fn run<T>(&mut self, name: &'static str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let head = format!("[{}/{}] {name} ...", self.done.len() + 1, self.planned);
        out::note(&head);
        let begun = Instant::now();
        let outcome = work();
        let took = begun.elapsed();
        self.done.push((name, took, outcome.is_ok()));
        let failed = if outcome.is_ok() { "" } else { "FAILED after " };
        out::note(&format!("{head} {failed}{}", seconds(took)));
        outcome
    }

    fn summary(&self) {
        out::note("");
        for (name, took, passed) in &self.done {
            out::note(&format!("{name:>14}  {:>8}  {}", seconds(*took), if *passed { "ok" } else { "FAILED" }));
        }
        for _ in self.done.len()..self.planned {
            out::note("               not reached");
        }
        out::note(&format!("{:>14}  {:>8}", "all", seconds(self.begun.elapsed())));
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f32())
}
