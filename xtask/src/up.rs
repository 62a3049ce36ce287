//! `cargo xtask up`: the server with its demo tenants, and how to sign in to them.
//!
//! We become the server (`exec`), so signals and the exit code are its own. Its stdout goes through a guide, this
//! program in a process of its own, which hands every line on and adds the help once the server listens.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{self, BufRead};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result};

use crate::out;

/// The hidden verb that runs the guide.
pub(crate) const GUIDE: &str = "guide";

/// Builds the server and becomes it.
pub(crate) fn up(args: &[OsString]) -> Result<ExitCode> {
    let data_dir = env::var("FREEHOLD_DATA_DIR").unwrap_or_else(|_| String::from("./data"));
    let mut guide = Command::new(env::current_exe()?)
        .args([GUIDE, &data_dir])
        .process_group(0) // Ctrl-C is for the server; the guide ends when the server's stdout does
        .stdin(Stdio::piped())
        .spawn()
        .context("cannot start the guide")?;
    let to_guide = guide.stdin.take().context("the guide has no stdin")?;
    let mut server = Command::new("cargo");
    server.args(["run", "--profile", "quick", "--bin", "freehold", "--", "serve", "--demo"]).args(args);
    server.env("FREEHOLD_PROFILE", "development").env("FREEHOLD_DATA_DIR", &data_dir).stdout(to_guide);
    Err(server.exec()).context("cannot start cargo")
}

/// Hands stdin on to stdout, line by line, and says how to sign in when the server listens.
pub(crate) fn guide(data_dir: &str) -> Result<ExitCode> {
    for line in io::stdin().lock().lines() {
        let line = line?;
        out::line(&line);
        if let Some(port) = listening_port(&line) {
            let demo = Path::new(data_dir).join("demo.txt");
            match fs::read_to_string(&demo) {
                Ok(accounts) => out::note(&help(port, &accounts)),
                Err(error) => out::note(&format!("no demo accounts to show, {}: {error}", demo.display())),
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The port of `{"event": "listening", "http": "127.0.0.1:41234", …}`, the server's first word.
fn listening_port(line: &str) -> Option<u16> {
    let line: String = line.split_whitespace().collect();
    let (_, address) = line.contains(r#""event":"listening""#).then(|| line.split_once(r#""http":""#))??;
    address.split('"').next()?.rsplit(':').next()?.parse().ok()
}

/// `accounts` has a line for each, `{slug} {email} {password}`.
fn help(port: u16, accounts: &str) -> String {
    let commands: Vec<String> = accounts.lines().filter_map(|account| sign_in(port, account)).collect();
    format!("\nTo sign in, copy one of these; it prints who you are:\n\n{}", commands.join("\n"))
}

fn sign_in(port: u16, account: &str) -> Option<String> {
    let mut words = account.split_whitespace();
    let (slug, email, password) = (words.next()?, words.next()?, words.next()?);
    let origin = format!("http://{slug}.localhost:{port}");
    let body = format!(r#"{{"email":"{email}","password":"{password}"}}"#).replace('\'', r"'\''");
    Some(format!(
        r#"# {slug}, whose page is {origin}/
TOKEN=$(curl -s {origin}/v1/auth/login -H 'content-type: application/json' -d '{body}' \
  | sed 's/.*"access_token" *: *"\([^"]*\)".*/\1/')
curl -s {origin}/v1/me -H "authorization: Bearer $TOKEN"
"#
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_listening_line_has_a_port() {
        let line = r#"{"event": "listening", "http": "127.0.0.1:41234", "private": "127.0.0.1:41235"}"#;
        assert_eq!(listening_port(line), Some(41_234));
        assert_eq!(listening_port(&line.replace(' ', "")), Some(41_234));
        assert_eq!(listening_port(&line.replace("listening", "stopping")), None);
        assert_eq!(listening_port("ready"), None);
    }

    #[test]
    fn the_help_has_a_command_for_each_account() {
        let help = help(8080, "acme admin@acme.test pass'word\n\nglobex admin@globex.test other\n");
        assert!(help.contains("curl -s http://acme.localhost:8080/v1/auth/login"), "{help}");
        assert!(help.contains(r#"-d '{"email":"admin@acme.test","password":"pass'\''word"}'"#), "{help}");
        assert!(help.contains("http://globex.localhost:8080/v1/me"), "{help}");
    }
}
