//! `freehold member import`: members of another system, one JSON object a line, with the hashes of their passwords.
//!
//! Lines are sent in batches; each line is imported whole or refused with its number and its faults, and the others go on.

use std::io::{self, BufRead, Read as _};
use std::time::Instant;

use freehold_actors::node::Node;
use freehold_actors::ops::import::{Arrival, Newcomer, import};
use freehold_domain::email::Email;
use freehold_domain::password::PasswordHash;
use freehold_domain::role::Role;
use freehold_domain::secret::Secret;
use freehold_domain::slug::Slug;
use freehold_domain::text::{OneLine, free};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Own, PATIENCE, ask_server, refused};
use crate::cli::Exit;
use crate::config::Config;
use crate::control::{Reply, Request};
use crate::failure::Failure;
use crate::out;

/// Bytes of one line, its newline included.
const LINE_BYTES_MAX: usize = 8 * 1024;
/// A batch that weighs as much is sent. A request of 64 KiB holds it and one line more, all of it escaped six-fold.
const BATCH_WEIGHT: usize = 12 * 1024;

/// Runs `freehold member import`: through the running server, or with the store opened here.
///
/// # Errors
/// Exit 65 when a line was refused, once every other is imported; what the verb as a whole is refused for.
pub async fn member_import(config: &Config, slug: &str) -> Result<(), Failure> {
    let mut own = None;
    let mut count = Count::default();
    let outcome = import_all(config, slug, &mut own, &mut count).await;
    if let Some(own) = own {
        own.close().await;
    }
    let Count { imported, refused, .. } = count;
    let said = say(&json!({ "slug": slug, "imported": imported, "refused": refused }));
    outcome.map_err(|failure| {
        let message = format!("{}; every line before line {} is done", failure.message, count.begun);
        Failure::new(failure.exit, message)
    })?;
    said?;
    match refused {
        0 => Ok(()),
        _ => Err(Failure::new(Exit::Data, format!("lines that were refused: {refused}"))),
    }
}

/// What was done so far.
#[derive(Default)]
struct Count {
    imported: u64,
    refused: u64,
    /// The first line of the batch that is under way.
    begun: u64,
}

async fn import_all(config: &Config, slug: &str, own: &mut Option<Own>, count: &mut Count) -> Result<(), Failure> {
    let mut lines = Lines { from: io::stdin().lock(), read: 0 };
    let mut noticed = Instant::now();
    loop {
        count.begun = lines.read + 1;
        let batch = lines.batch().map_err(|error| Failure::new(Exit::Data, format!("stdin: {error}")))?;
        for (line, fault) in &batch.faults {
            count.refused += 1;
            say(&json!({ "line": line, "fault": fault }))?;
        }
        if !batch.numbers.is_empty() {
            let request = Request::MemberImport { slug: slug.to_owned(), lines: batch.text };
            let replies = match own {
                Some(own) => own.answer(request).await,
                None => ask_server(config, request, own).await?,
            };
            settle(replies, &batch.numbers, count)?;
        }
        if batch.is_last {
            return Ok(());
        }
        if noticed.elapsed() >= PATIENCE {
            noticed = Instant::now();
            let Count { imported, refused, .. } = count;
            out::notice(
                &json!({ "notice": format!("{} lines: {imported} imported, {refused} refused …", lines.read) }),
            );
        }
    }
}

/// Counts what became of a batch, and says which lines were refused.
fn settle(replies: Vec<Reply>, numbers: &[u64], count: &mut Count) -> Result<(), Failure> {
    for reply in replies {
        match reply {
            Reply::Item(item) => {
                let Some(fault) = item.get("fault").and_then(Value::as_str) else {
                    count.imported += 1;
                    continue;
                };
                count.refused += 1;
                let index = item.get("index").and_then(Value::as_u64).and_then(|index| usize::try_from(index).ok());
                let line = index.and_then(|index| numbers.get(index));
                say(&json!({ "line": line, "fault": fault }))?;
            }
            Reply::Done => {}
            Reply::Refused { exit, message } => return Err(Failure::new(Exit::of(exit), message)),
        }
    }
    Ok(())
}

fn say(result: &Value) -> Result<(), Failure> {
    out::result(result).map_err(|error| Failure::new(Exit::Unavailable, error))
}

/// Some lines, with their numbers and what is wrong with others between them.
struct Batch {
    text: Secret<String>,
    numbers: Vec<u64>,
    faults: Vec<(u64, &'static str)>,
    is_last: bool,
}

struct Lines<R> {
    from: R,
    read: u64,
}

impl<R: BufRead> Lines<R> {
    /// The next lines. Blank ones are passed over.
    fn batch(&mut self) -> io::Result<Batch> {
        let mut text = String::with_capacity(BATCH_WEIGHT + LINE_BYTES_MAX);
        let (mut numbers, mut faults, mut weight) = (vec![], vec![], 0);
        while weight < BATCH_WEIGHT {
            let mut line = Vec::with_capacity(LINE_BYTES_MAX);
            let most = u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX);
            if (&mut self.from).take(most).read_until(b'\n', &mut line)? == 0 {
                return Ok(Batch { text: Secret::new(text), numbers, faults, is_last: true });
            }
            self.read += 1;
            let line = Secret::new(line);
            if line.expose().len() == LINE_BYTES_MAX && line.expose().last() != Some(&b'\n') {
                self.skip_line()?;
                faults.push((self.read, "is longer than 8 KiB"));
                continue;
            }
            match str::from_utf8(line.expose()).map(str::trim) {
                Ok("") => {}
                Ok(line) => {
                    numbers.push(self.read);
                    weight += escaped_bytes(line);
                    text.push_str(line);
                    text.push('\n');
                }
                Err(_) => faults.push((self.read, "is not UTF-8")),
            }
        }
        Ok(Batch { text: Secret::new(text), numbers, faults, is_last: false })
    }

    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let there = self.from.fill_buf()?;
            let end = there.iter().position(|byte| *byte == b'\n');
            let (passed, done) = end.map_or((there.len(), there.is_empty()), |end| (end + 1, true));
            self.from.consume(passed);
            if done {
                return Ok(());
            }
        }
    }
}

/// Bytes of a line and its newline as JSON has them.
fn escaped_bytes(line: &str) -> usize {
    let escaped = line.bytes().map(|byte| match byte {
        b'"' | b'\\' => 2,
        ..b' ' => 6,
        _ => 1,
    });
    escaped.sum::<usize>() + 2
}

/// A line, before it is known to be right.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    email: String,
    name: String,
    role: String,
    password_hash: Option<String>,
}

/// Imports a batch on the node: for each line, in order, an item that has its index and perhaps a fault.
pub(super) async fn perform(node: &Node, slug: &Slug, lines: &Secret<String>) -> Result<Vec<Value>, Failure> {
    let read: Vec<_> = lines.expose().lines().map(newcomer).collect();
    let (mut newcomers, mut faults) = (vec![], vec![]);
    for line in read {
        match line {
            Ok(newcomer) => {
                newcomers.push(newcomer);
                faults.push(None);
            }
            Err(fault) => faults.push(Some(fault)),
        }
    }
    let arrivals = import(node, slug, &newcomers).await.map_err(|error| refused(&error))?;
    let mut arrivals = arrivals.into_iter();
    let settled = faults.into_iter().map(|fault| fault.or_else(|| duplicate(arrivals.next())));
    Ok(settled.enumerate().map(|(index, fault)| json!({ "index": index, "fault": fault })).collect())
}

fn duplicate(arrival: Option<Arrival>) -> Option<String> {
    (arrival == Some(Arrival::Duplicate)).then(|| "email: is a member's already".to_owned())
}

/// Whom the line names; or everything that is wrong with it, without what was given.
fn newcomer(line: &str) -> Result<Newcomer, String> {
    const SHAPE: &str = "is not a JSON object of the texts email, name, role and, where there is one, password_hash";
    let line: Line = serde_json::from_str(line).map_err(|_| SHAPE.to_owned())?;
    let password_hash = line.password_hash.map(Secret::new);
    let mut faults = vec![];
    let email = checked("email", line.email.parse::<Email>(), &mut faults);
    let name = checked("name", free::<OneLine<200>>(line.name), &mut faults);
    let role = checked("role", line.role.parse::<Role>(), &mut faults);
    let hash = password_hash.as_ref().map(|hash| PasswordHash::parse(hash.expose())).transpose();
    let hash = checked("password_hash", hash, &mut faults);
    match (email, name, role, hash) {
        (Some(email), Some(name), Some(role), Some(hash)) => Ok(Newcomer { email, name, role, hash }),
        _ => Err(faults.join("; ")),
    }
}

fn checked<T, E: std::fmt::Display>(field: &str, value: Result<T, E>, faults: &mut Vec<String>) -> Option<T> {
    value.map_err(|error| faults.push(format!("{field}: {error}"))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_numbered_and_what_cannot_be_sent_is_named() {
        let long = "x".repeat(3 * LINE_BYTES_MAX);
        let fits = "\u{1}".repeat(LINE_BYTES_MAX - 1);
        let mut input = format!("a\n\n  b \r\n{long}\n{fits}\nc\n").into_bytes();
        input.extend(b"\xff\nd");
        let mut lines = Lines { from: input.as_slice(), read: 0 };
        let (mut texts, mut numbers, mut faults) = (vec![], vec![], vec![]);
        loop {
            let batch = lines.batch().expect("a slice is read");
            let request = Request::MemberImport { slug: "x".repeat(63), lines: batch.text.clone() };
            assert!(serde_json::to_vec(&request).expect("JSON").len() < 64 * 1024);
            texts.extend(batch.text.expose().lines().map(str::to_owned));
            numbers.extend(batch.numbers);
            faults.extend(batch.faults);
            if batch.is_last {
                break;
            }
        }
        assert_eq!(texts, ["a", "b", &fits, "c", "d"]);
        assert_eq!(numbers, [1, 3, 5, 6, 8]);
        assert_eq!(faults, [(4, "is longer than 8 KiB"), (7, "is not UTF-8")]);
    }

    #[test]
    fn a_line_is_refused_with_every_fault_and_nothing_of_what_it_holds() {
        let hash = "$2b$06$abcdefghijklmnopqrstuuNBpXtlux7FnXJE0fnrtkSXNhdOGmWHu";
        let line = |email: &str, name: &str, role: &str, hash: &str| {
            json!({ "email": email, "name": name, "role": role, "password_hash": hash }).to_string()
        };
        assert!(newcomer(&line("a@example.com", "Ada", "employee", hash)).is_ok());
        let without = r#"{"email": "a@example.com", "name": "Ada", "role": "employee"}"#;
        assert!(newcomer(without).is_ok_and(|newcomer| newcomer.hash.is_none()));
        for (text, named) in [
            (line("canary", "Ada", "employee", hash), vec!["email: "]),
            (line("a@example.com", "", "employee", hash), vec!["name: "]),
            (line("a@example.com", "Ada", "canary", hash), vec!["role: "]),
            (line("a@example.com", "Ada", "employee", "canary"), vec!["password_hash: "]),
            (
                line("canary", "\n", "canary", "$2b$31$canary"),
                vec!["email: ", "; name: ", "; role: ", "; password_hash: "],
            ),
            ("{\"email\": \"canary\"}".to_owned(), vec!["is not a JSON object"]),
            ("canary".to_owned(), vec!["is not a JSON object"]),
            (line("a@example.com", "Ada", "employee", hash).replace("name", "canary"), vec!["is not a JSON object"]),
        ] {
            let fault = newcomer(&text).err().expect("it is refused");
            assert!(named.iter().all(|part| fault.contains(part)) && !fault.contains("canary"), "{fault}");
        }
    }
}
