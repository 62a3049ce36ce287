//! `cargo xtask tidy`: the rules of this repository that no compiler or lint can hold.
//!
//! Every rule works on text, so that its tests need no files.

mod lex;
mod manifests;
mod migrations;
mod promises;
mod source;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::{out, process};

const PROMISES: &str = "docs/promises.md";
const FOLDERS_SKIPPED: [&str; 4] = ["target", "data", "dist", "node_modules"];
const TREE: [&str; 10] = [
    "tree",
    "--workspace",
    "--locked",
    "--edges=normal",
    "--target",
    "x86_64-unknown-linux-gnu",
    "--prefix=none",
    "--format={p}",
    "--color=never",
    "--quiet",
];

/// A broken rule.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    path: String,
    line: usize,
    rule: String,
    remedy: &'static str,
}

impl Finding {
    fn new(path: &str, line: usize, rule: impl Into<String>, remedy: &'static str) -> Self {
        Self { path: path.to_owned(), line, rule: rule.into(), remedy }
    }
}

/// `cargo xtask tidy`
pub(crate) fn tidy() -> Result<ExitCode> {
    check().map(|()| ExitCode::SUCCESS)
}

/// Says every finding at once, a line each.
///
/// # Errors
/// There is one.
pub(crate) fn check() -> Result<()> {
    let mut findings = findings()?;
    findings.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
    for Finding { path, line, rule, remedy } in &findings {
        out::line(&format!("{path}:{line}: {rule}; {remedy}"));
    }
    match findings.len() {
        0 => Ok(()),
        1 => bail!("tidy has one finding"),
        n => bail!("tidy has {n} findings"),
    }
}

fn findings() -> Result<Vec<Finding>> {
    let mut paths = Vec::new();
    walk(Path::new("."), &mut paths)?;
    let mut findings = Vec::new();
    let mut functions = BTreeSet::new();
    for path in &paths {
        match Path::new(path).extension().and_then(|extension| extension.to_str()) {
            Some("rs") => {
                let text = read(path)?;
                let lexed = lex::lex(&text);
                functions.extend(source::functions(&lexed));
                findings.extend(source::check(path, &text, &lexed));
            }
            Some("sql" | "toml") => findings.extend(source::check_notes(path, &read(path)?)),
            _ => {}
        }
    }
    findings.extend(promises::check(PROMISES, fs::read_to_string(PROMISES).ok().as_deref(), &functions));
    findings.extend(migrations::check(&paths));
    findings.extend(manifests::check_lints(&read("Cargo.toml")?, |path| fs::read_to_string(path).ok()));
    let tree = process::output(Command::new("cargo").args(TREE))?;
    findings.extend(manifests::check_bans(&read("Cargo.lock")?, &tree));
    Ok(findings)
}

/// All files below `folder`, as `domain/src/id.rs`, in order.
fn walk(folder: &Path, paths: &mut Vec<String>) -> Result<()> {
    let mut entries = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let kind = entry.file_type()?;
        if kind.is_dir() && !name.starts_with('.') && !FOLDERS_SKIPPED.contains(&name.as_ref()) {
            walk(&entry.path(), paths)?;
        } else if kind.is_file() {
            paths.push(entry.path().to_string_lossy().trim_start_matches("./").to_owned());
        }
    }
    Ok(())
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {path}"))
}
