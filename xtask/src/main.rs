//! Freehold's scripts. `cargo xtask` alone lists them.

mod bench;
mod fuzz;
mod npm;
mod out;
mod pinned;
mod prerequisites;
mod process;
mod services;
mod test;
mod tidy;
mod up;
mod verifiers;

use std::env;
use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

const HELP: &str = "\
cargo xtask VERB

  up [-- ARGS]             build the server and run it with the demo tenants; ARGS go to `freehold serve`
  test [--fast] [-- ARGS]  everything a change must pass; --fast leaves out clippy, fuzzing and the advisories;
                           ARGS go to `cargo test`
  services -- CMD...       run CMD beside a throw-away PostgreSQL and PgBouncer, their addresses in FREEHOLD_TEST_*
  bench [NAME] [-- ARGS]   run all benches, or the one of this name; ARGS go to the bench
  fuzz [TARGET] [SECONDS]  run the fuzz targets, or one, for so many seconds each (5)
  tidy                     the rules of this repository that no compiler or lint can hold";

fn main() -> ExitCode {
    match enter_root().and_then(|()| dispatch()) {
        Ok(code) => code,
        Err(error) => {
            out::note(&format!("xtask: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Every path below is relative to the repository, wherever the caller stands.
fn enter_root() -> Result<()> {
    let Some(manifest) = env::var_os("CARGO_MANIFEST_DIR") else { return Ok(()) };
    env::set_current_dir(manifest).and_then(|()| env::set_current_dir("..")).context("cannot enter the repository")
}

fn dispatch() -> Result<ExitCode> {
    let mut args = env::args_os().skip(1);
    let verb = args.next().unwrap_or_default();
    let (own, passed) = split(args.collect())?;
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    match (verb.to_str().unwrap_or_default(), own.as_slice()) {
        ("up", []) => up::up(&passed),
        ("test", []) => test::full(&passed),
        ("test", ["--fast"]) => test::fast(&passed),
        ("services", []) => services::beside(&passed),
        ("bench", []) => bench::all(&passed),
        ("bench", [name]) => bench::one(name, &passed),
        ("fuzz", own) if passed.is_empty() => fuzz(own),
        ("tidy", []) if passed.is_empty() => tidy::tidy(),
        (services::KEEPER, []) => services::keep(),
        (up::GUIDE, [data_dir]) => up::guide(data_dir),
        ("" | "help" | "--help" | "-h", _) => {
            out::line(HELP);
            Ok(ExitCode::SUCCESS)
        }
        _ => bail!("unknown verb or argument\n{HELP}"),
    }
}

/// `[TARGET] [SECONDS]`
fn fuzz(own: &[&str]) -> Result<ExitCode> {
    let (named, seconds) = match own {
        [] => (None, None),
        [one] if one.bytes().all(|byte| byte.is_ascii_digit()) => (None, Some(*one)),
        [target] => (Some(*target), None),
        [target, seconds] => (Some(*target), Some(*seconds)),
        _ => bail!("too many arguments\n{HELP}"),
    };
    let seconds = seconds.map_or(Ok(fuzz::SECONDS), str::parse).context("SECONDS is a whole number")?;
    fuzz::run(named, seconds).map(|()| ExitCode::SUCCESS)
}

/// What stands before `--` is ours, what follows is handed on.
fn split(args: Vec<OsString>) -> Result<(Vec<String>, Vec<OsString>)> {
    let mut args = args.into_iter();
    let mut own = Vec::new();
    for arg in args.by_ref() {
        if arg == "--" {
            break;
        }
        own.push(arg.into_string().ok().context("an argument is not UTF-8")?);
    }
    Ok((own, args.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_dashes_split() {
        let args = ["--fast", "--", "lockout", "--", "--nocapture"].map(OsString::from);
        let (own, passed) = split(Vec::from(args)).unwrap();
        assert_eq!(own, ["--fast"]);
        assert_eq!(passed, ["lockout", "--", "--nocapture"].map(OsString::from));
    }
}
