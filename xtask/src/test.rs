//! `cargo xtask test`: everything a change must pass, one step after the other.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::services::Services;
use crate::{fuzz, out, prerequisites, process, tidy};

/// One build for all tests: what the features add is off until it is asked for.
const FEATURES: &str = "test-faults,waf";
const CLIPPY: [&str; 11] = [
    "clippy", "--workspace", "--all-targets", "--profile", "quick", "--features", FEATURES, "--locked", "--", "-D",
    "warnings",
];
/// What is released, without the features.
const CLIPPY_PLAIN: [&str; 8] = ["clippy", "--workspace", "--profile", "quick", "--locked", "--", "-D", "warnings"];
const TEST: [&str; 7] = ["test", "--workspace", "--profile", "quick", "--features", FEATURES, "--locked"];
/// Names a copy of the `RustSec` advisory database.
const ADVISORY_DB: &str = "FREEHOLD_ADVISORY_DB";

/// All steps.
pub(crate) fn full(args: &[OsString]) -> Result<ExitCode> {
    let mut steps = Steps::of(8);
    let outcome = check(&mut steps, Depth::Full).and_then(|()| tests(&mut steps, args)).and_then(|()| last(&mut steps));
    steps.summary();
    outcome.map(|()| ExitCode::SUCCESS)
}

/// Without clippy, the fuzz targets and the advisories.
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
    steps.run("format", || {
        process::run(&mut process::cargo(&["fmt", "--all", "--check"]))?;
        process::run(&mut process::cargo(&["fmt", "--check", "--manifest-path", fuzz::MANIFEST]))
    })?;
    if depth == Depth::Full {
        steps.run("clippy", || {
            process::run(&mut process::cargo(&CLIPPY))?;
            process::run(&mut process::cargo(&CLIPPY_PLAIN))
        })?;
    }
    steps.run("tidy", tidy::check)
}

fn tests(steps: &mut Steps, args: &[OsString]) -> Result<()> {
    let services = steps.run("services", Services::start)?;
    steps.run("tests", || process::run(services.reach(process::cargo(&TEST).args(args))))
}

fn last(steps: &mut Steps) -> Result<()> {
    steps.run("fuzz", || fuzz::run(None, fuzz::SECONDS))?;
    advisories(steps)
}

fn advisories(steps: &mut Steps) -> Result<()> {
    steps.run("advisories", || {
        if process::find("cargo-audit").is_none() {
            out::note("skipped: `cargo install cargo-audit --locked` enables it");
        } else if let Some(database) = advisory_db(|name| env::var_os(name)) {
            process::run(process::cargo(&["audit", "--no-fetch", "--db"]).arg(database))?;
        } else {
            out::note(&format!(
                "skipped: `cargo audit` once, or {ADVISORY_DB} with a copy of its database, enables it"
            ));
        }
        Ok(())
    })
}

/// The advisory database: the one that is named, whether or not it is there, else cargo-audit's own, if it has one.
fn advisory_db(var: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let named = |name: &str| var(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    named(ADVISORY_DB).or_else(|| {
        let cargo_home = named("CARGO_HOME").or_else(|| Some(named("HOME")?.join(".cargo")))?;
        Some(cargo_home.join("advisory-db")).filter(|database| database.is_dir())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_advisory_database_is_the_named_one_or_cargo_audits_own() {
        let home = env::temp_dir().join(format!("freehold-xtask-{}", std::process::id()));
        let own = home.join(".cargo/advisory-db");
        let found = |named: &[(&str, &str)]| {
            let named: Vec<_> = named.iter().map(|(name, value)| (*name, OsString::from(value))).collect();
            advisory_db(|name| named.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone()))
        };
        let text = home.to_str().expect("a path in UTF-8");
        assert_eq!(found(&[]), None);
        assert_eq!(found(&[("HOME", text)]), None, "it has fetched none yet");
        std::fs::create_dir_all(&own).expect("a folder");
        assert_eq!(found(&[("HOME", text)]), Some(own.clone()));
        assert_eq!(found(&[("HOME", "/nonexistent"), ("CARGO_HOME", &format!("{text}/.cargo"))]), Some(own));
        assert_eq!(found(&[("HOME", text), (ADVISORY_DB, "/named")]), Some(PathBuf::from("/named")));
        std::fs::remove_dir_all(home).expect("it goes");
    }
}
