//! Webhooks of providers: what `freehold webhook verify` accepts, and what the providers' own libraries say of the same.

mod lines;
mod sdks;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::freehold;

const NOW_S: i64 = 1_790_000_000;
const ACCEPT: &str = "accept";
const REJECT: &str = "reject";
const FORM: &str = "application/x-www-form-urlencoded";
const PROVIDERS: [&str; 5] = ["stripe", "twilio", "quickbooks", "shopify", "square"];

/// A file of the folder beside this one.
fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/webhooks").join(name)
}

/// The published examples: 25 deliveries, signed by others, each with what is to be said of it.
fn examples() -> Vec<Value> {
    let text = std::fs::read_to_string(file("examples.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A line for each.
fn lines(of: &[impl ToString]) -> String {
    of.iter().flat_map(|line| [line.to_string(), "\n".to_owned()]).collect()
}

/// What a program writes that reads this, a line for each.
#[track_caller]
fn lines_of(command: &mut Command, stdin: &[u8]) -> Vec<String> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut to = child.stdin.take().unwrap();
    let stdin = stdin.to_vec();
    // Apart: it answers while it reads, and waits when nobody takes its answers.
    let writer = std::thread::spawn(move || drop(to.write_all(&stdin)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), said.as_ref()), (Some(0), ""));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// What `freehold webhook verify` says of these lines.
#[track_caller]
fn said_of_lines(lines: &[u8]) -> Vec<String> {
    lines_of(freehold().args(["webhook", "verify"]), lines)
}

/// What it says of these objects.
#[track_caller]
fn said_of(questions: &[Value]) -> Vec<String> {
    let lines = lines(questions);
    let said = said_of_lines(lines.as_bytes());
    assert_eq!(said.len(), questions.len());
    said
}

/// What the libraries of providers say, as `sdks.mjs` asks them.
#[track_caller]
pub(crate) fn libraries(questions: &[Value]) -> Vec<Value> {
    let folder = std::env::var("FREEHOLD_TEST_WEBHOOK_SDKS");
    let folder =
        folder.unwrap_or_else(|_| panic!("run the tests with `cargo xtask test`, which installs the libraries"));
    let lines = lines(questions);
    let said = lines_of(Command::new("node").arg(file("sdks.mjs")).arg(folder), lines.as_bytes());
    assert_eq!(said.len(), questions.len());
    said.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// `question` with these fields instead.
fn with(question: &Value, fields: &Value) -> Value {
    let mut question = question.clone();
    for (name, value) in fields.as_object().unwrap() {
        question[name] = value.clone();
    }
    question
}

/// Its name and value of the header that signs it.
fn signature(question: &Value) -> (String, String) {
    let headers = question["headers"].as_object().unwrap().iter();
    let mut signs = headers.filter(|(name, _)| {
        let name = name.to_lowercase();
        name.ends_with("-signature") || name.ends_with("-hmac-sha256")
    });
    let (name, value) = signs.next().unwrap();
    (name.clone(), value.as_str().unwrap().to_owned())
}

/// `question` with another value of that header.
fn signed(question: &Value, value: impl Into<Value>) -> Value {
    let mut question = question.clone();
    let (name, _) = signature(&question);
    question["headers"][name] = value.into();
    question
}

#[test]
fn the_published_examples_are_judged_as_they_say_by_the_binary() {
    let examples = examples();
    assert_eq!(examples.len(), 25);
    for (example, said) in examples.iter().zip(said_of(&examples)) {
        assert_eq!(example["expect"], said, "{}: {}", example["id"], example["why"]);
    }
}

#[test]
fn what_is_published_is_judged_alike_by_the_libraries() {
    let examples = examples();
    let questions: Vec<_> = examples.iter().map(|example| with(example, &json!({ "ask": "verify" }))).collect();
    let mut judged = 0;
    for (example, said) in examples.iter().zip(libraries(&questions)) {
        if example["provider"] != "quickbooks" {
            assert_eq!(said["ok"], example["expect"] == ACCEPT, "{}: {}", example["id"], example["why"]);
            judged += 1;
        }
    }
    assert_eq!(judged, 20);
}
